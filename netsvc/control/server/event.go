package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/fold"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

// eventFilter is an EventQuery ready for use.
type eventFilter struct {
	kinds       []string
	appID, text string
	names       func(*hub.Session) (user, ib string)
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
	has := func(text string) bool { return fold.Contains(text, f.text) }
	user, ib := f.names(s)
	return slices.ContainsFunc([]string{user, ib, s.UserID, s.IbID, s.UserGroup, s.Addr, s.AppID, s.Host, s.Agent,
		e.Title, e.Reason}, has) ||
		slices.ContainsFunc(s.Groups, has)
}

// listEvents answers with the last events, or goes on with those that come.
func (s *Server) listEvents(r *http.Request) (reply, error) {
	values := r.URL.Query()
	filter := eventFilter{appID: values.Get("app"), text: strings.ToLower(values.Get("q")), names: s.nameOf}
	if kinds := values.Get("event"); kinds != "" {
		filter.kinds = strings.Split(kinds, ",")
		for _, kind := range filter.kinds {
			if !slices.Contains(control.EventKinds(), kind) {
				return nil, badRequest("event %q: expected %s, or several of them with commas between", kind,
					oneOf(control.EventKinds()))
			}
		}
	}
	tail, follow, err := tailAndFollow(values)
	if err != nil {
		return nil, err
	}
	// Before the client is told that it follows: from then on it misses nothing.
	last, cursor := s.history.Events().Last(tail, filter.keeps)
	return s.stream(follow, func(ctx context.Context, out *records) error {
		for i := range last {
			if err := out.write(s.eventOf(&last[i])); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		// The first of the two to fail, because the client has left, ends the other.
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			return followRing(ctx, cursor, out, filter.keeps, func(e *history.Event) any { return s.eventOf(e) },
				func(lost uint64) any {
					return control.Event{Time: time.Now().UTC(), Event: control.EventLost, Lost: lost}
				})
		})
		if filter.wants(control.EventStatistics) {
			group.Go(func() error { return s.writeStatistics(ctx, out) })
		}
		return group.Wait()
	}), nil
}

// writeStatistics writes what the last second was like, each second.
func (s *Server) writeStatistics(ctx context.Context, out *records) error {
	for {
		select {
		case <-s.stats.Sampled():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := out.write(control.Event{Time: time.Now().UTC(), Event: control.EventStatistics,
			Statistics: s.statistics()}); err != nil {
			return err
		}
	}
}

func (s *Server) eventOf(e *history.Event) control.Event {
	object := control.Event{Time: e.Time.UTC(), Event: string(e.Kind), Reason: e.Reason}
	switch e.Kind {
	case history.KindAppChanged:
		object.AppID, object.Title, object.Change = e.Session.AppID, e.Title, string(e.Change)
	case history.KindNode:
		object.PeerNode, object.Change = e.Title, string(e.Change)
	case hub.RegistrationRefused:
		peer := s.peerOfEvent(e)
		object.Peer = &peer
	case history.KindUnmet:
		to := s.recipientOf(history.Recipient{AppID: e.Session.AppID, IbID: e.Session.IbID, Type: e.To,
			Name: cmp.Or(e.Session.UserID, e.Session.UserGroup)})
		object.AppID, object.Recipient, object.Count = e.Session.AppID, &to, e.Count
	default:
		session := s.sessionOf(e.Session)
		object.Session, object.PeerNode = &session, e.Node
		if e.Kind == hub.SessionClosed {
			// The clock may have been set back.
			age := max(int64(e.Time.Sub(e.Session.Since).Round(time.Second).Seconds()), 0)
			object.AgeSeconds = &age
		}
	}
	return object
}
