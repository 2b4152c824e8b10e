package control

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/fold"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

// EventKinds returns the kinds that a follower can choose from.
func EventKinds() []string {
	return []string{
		string(hub.SessionOpened), string(hub.SessionChanged), string(hub.SessionClosed), string(hub.RegistrationRefused),
		EventAppChanged, EventStatistics,
	}
}

// EventQuery selects events. The zero value selects all of them.
type EventQuery struct {
	Kinds []string // of EventKinds; empty: all
	AppID string   // the app's events only, and statistics
	Text  string   // must be part of an id, a group, an address, a title or a reason, in any letter case; not of statistics
	Tail  int      // how many of the last events come first
}

// eventFilter is an EventQuery ready for use.
type eventFilter struct {
	kinds       []string
	appID, text string
}

func (f *eventFilter) wants(kind string) bool {
	return len(f.kinds) == 0 || slices.Contains(f.kinds, kind)
}

func (f *eventFilter) keeps(e *history.Event) bool {
	s := &e.Session
	if !f.wants(string(e.Kind)) || f.appID != "" && !strings.EqualFold(s.AppID, f.appID) {
		return false
	}
	if f.text == "" {
		return true
	}
	return slices.ContainsFunc([]string{s.UserID, s.IbID, s.UserGroup, s.Addr, s.AppID, e.Title, e.Reason},
		func(text string) bool { return fold.Contains(text, f.text) })
}

// listEvents answers with the last events, or goes on with those that come.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) (any, error) {
	values := r.URL.Query()
	filter := eventFilter{appID: values.Get("app"), text: strings.ToLower(values.Get("q"))}
	if kinds := values.Get("event"); kinds != "" {
		filter.kinds = strings.Split(kinds, ",")
		for _, kind := range filter.kinds {
			if !slices.Contains(EventKinds(), kind) {
				return nil, badRequest("event %q: expected %s, or several of them with commas between", kind, oneOf(EventKinds()))
			}
		}
	}
	tail, follow, err := tailAndFollow(values)
	if err != nil {
		return nil, err
	}
	// Before the client is told that it follows: from then on it misses nothing.
	last, cursor := s.history.Events().Last(tail, filter.keeps)
	return nil, s.stream(w, r, follow, func(ctx context.Context, out *records) error {
		for i := range last {
			if err := out.write(eventOf(&last[i])); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		// The first of the two to fail, because the client has left, ends the other.
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			return followRing(ctx, cursor, out, filter.keeps, func(e *history.Event) any { return eventOf(e) }, func(lost uint64) any {
				return Event{Time: time.Now().UTC(), Event: EventLost, Lost: lost}
			})
		})
		if filter.wants(EventStatistics) {
			group.Go(func() error { return s.tellStatistics(ctx, out) })
		}
		return group.Wait()
	})
}

// tellStatistics writes what the last second was like, each second.
func (s *Server) tellStatistics(ctx context.Context, out *records) error {
	for {
		select {
		case <-s.stats.Sampled():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := out.write(Event{Time: time.Now().UTC(), Event: EventStatistics, Statistics: s.statistics()}); err != nil {
			return err
		}
	}
}

func eventOf(e *history.Event) Event {
	object := Event{Time: e.Time.UTC(), Event: string(e.Kind), Reason: e.Reason}
	switch e.Kind {
	case history.KindAppChanged:
		object.AppID, object.Title, object.Change = e.Session.AppID, e.Title, string(e.Change)
	case hub.RegistrationRefused:
		peer := peerOfEvent(e)
		object.Peer = &peer
	default:
		session := sessionOf(e.Session)
		object.Session = &session
		if e.Kind == hub.SessionClosed {
			age := max(int64(e.Time.Sub(e.Session.Since).Round(time.Second).Seconds()), 0) // the clock may have been set back
			object.AgeSeconds = &age
		}
	}
	return object
}
