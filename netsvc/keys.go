package netsvc

import (
	"context"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// appChanged is called by the registry after each change, before it is answered.
func (s *Server) appChanged(id string, a *app.App) {
	s.tellHub(id, a)
	s.remember(id, a)
	select {
	case s.keysChanged <- struct{}{}:
	default: // the keeper is going to look anyway
	}
}

// remember puts into the history what changed about an app.
func (s *Server) remember(id string, now *app.App) {
	before := s.known[id]
	if now == nil {
		delete(s.known, id)
		s.history.AppChanged(id, before.Title, history.AppRemoved)
		return
	}
	s.known[id] = now
	s.history.AppChanged(id, now.Title, changeOf(before, now))
}

// changeOf tells what differs between two states of an app; before is nil if it
// is new.
func changeOf(before, now *app.App) history.Change {
	switch {
	case before == nil:
		return history.AppCreated
	case before.Title != now.Title:
		return history.AppRenamed
	case before.ServerKeys[0].Key != now.ServerKeys[0].Key:
		return history.AppServerKey
	case before.ClientKeys[0].Key != now.ClientKeys[0].Key:
		return history.AppClientKey
	case len(now.ServerKeys) < len(before.ServerKeys) || len(now.ClientKeys) < len(before.ClientKeys):
		return history.AppOldKeysGone
	}
	return history.AppTokensReset
}

// tellHub brings the hub's view of an app up to date; a nil app was removed.
func (s *Server) tellHub(id string, a *app.App) {
	closed := 0
	if a == nil {
		closed = s.hub.RemoveApp(id)
	} else {
		closed = s.hub.SetApp(id, s.hubKeys(a))
	}
	if closed > 0 {
		s.logger.Warn("sessions closed because their key is no longer valid", slog.String("app", id), slog.Int("sessions", closed))
	}
}

func (s *Server) hubKeys(a *app.App) []hub.Key {
	keys := make([]hub.Key, 0, len(a.ClientKeys))
	for _, k := range a.ClientKeys {
		secret, err := wire.ParseClientKey(k.Key)
		if err != nil {
			// The registry admits no such key; without it the others still work.
			s.logger.Error("client key cannot be used", slog.String("app", a.ID), slog.Int("generation", k.Generation), slog.Any("error", err))
			continue
		}
		keys = append(keys, hub.Key{Generation: k.Generation, Secret: secret})
	}
	return keys
}

// expiryRetry is when to try again to remove expired keys that could not be
// removed, for example because the disk is full. They admit nobody meanwhile.
const expiryRetry = time.Minute

// longestWait bounds how late an expiry is noticed after the clock was set
// forward.
const longestWait = time.Minute

// announceBefore is how long before the end of an old client key the log tells how
// many sessions will be closed with it.
var announceBefore = []time.Duration{5 * time.Minute, time.Hour}

// keepKeys removes old keys when their time is over, and announces it.
func (s *Server) keepKeys(ctx context.Context) error {
	announced := make(map[announcement]bool)
	for {
		var wait <-chan time.Time
		next, err := s.apps.Expire()
		if err != nil {
			s.logger.Error("expired keys could not be removed, trying again", slog.Any("error", err))
			wait = time.After(expiryRetry)
		} else if next = s.announceEnds(next, announced); !next.IsZero() {
			wait = time.After(min(time.Until(next), longestWait))
		}
		select {
		case <-wait:
		case <-s.keysChanged:
		case <-ctx.Done():
			return nil
		}
	}
}

// announcement is one about a client key.
type announcement struct {
	app        string
	generation int
	before     time.Duration
}

// announceEnds tells of the client keys that end soon, once at each of
// announceBefore, and returns when to look again: at next or earlier.
func (s *Server) announceEnds(next time.Time, announced map[announcement]bool) time.Time {
	for _, a := range s.apps.List() {
		for _, k := range a.ClientKeys[1:] {
			left := time.Until(k.Until)
			due := false
			for _, before := range announceBefore {
				this := announcement{a.ID, k.Generation, before}
				switch {
				case left > before:
					if at := k.Until.Add(-before); at.Before(next) {
						next = at
					}
				case !announced[this]:
					announced[this], due = true, true
				}
			}
			if sessions := s.sessionsOn(a.ID, k.Generation); due && sessions > 0 {
				s.logger.Warn("sessions will be closed when their client key ends", slog.String("app", a.ID), slog.Int("sessions", sessions),
					slog.Time("at", k.Until), slog.Duration("left", left.Round(time.Second)))
			}
		}
	}
	return next
}

// sessionsOn counts the sessions of an app that registered under a client key.
func (s *Server) sessionsOn(app string, generation int) (n int) {
	s.hub.Walk(func(session *hub.Session) bool {
		if session.AppID == app && session.KeyGeneration == generation {
			n++
		}
		return true
	})
	return n
}
