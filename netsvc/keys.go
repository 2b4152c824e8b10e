package netsvc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// appChanged is called by the registry after each change, before it is answered.
func (s *Server) appChanged(id string, a *app.App) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.tellHub(id, a)
	s.remember(id, a)
	wake(s.keysChanged)
}

// remember puts into the history what changed about an app. The caller holds telling.
func (s *Server) remember(id string, now *app.App) {
	before := s.known[id]
	if now == nil {
		if before == nil {
			return
		}
		delete(s.known, id)
		s.history.AppChanged(id, before.Title, history.AppRemoved)
		return
	}
	s.known[id] = now
	for _, change := range changesOf(before, now) {
		s.history.AppChanged(id, now.Title, change)
	}
}

// changesOf tells what differs between two states of an app; before is nil if it
// is new. Both of its keys may be renewed at once.
func changesOf(before, now *app.App) []history.Change {
	switch {
	case before == nil:
		return []history.Change{history.AppCreated}
	case before.Title != now.Title:
		return []history.Change{history.AppRenamed}
	case before.Names() != now.Names():
		return []history.Change{history.AppNames}
	}
	var changes []history.Change
	if before.ServerKeys[0].Key != now.ServerKeys[0].Key {
		changes = append(changes, history.AppServerKey)
	}
	if before.ClientKeys[0].Key != now.ClientKeys[0].Key {
		changes = append(changes, history.AppClientKey)
	}
	switch {
	case changes != nil:
		return changes
	case len(now.ServerKeys) < len(before.ServerKeys) || len(now.ClientKeys) < len(before.ClientKeys):
		return []history.Change{history.AppOldKeysGone}
	}
	return []history.Change{history.AppTokensReset}
}

// tellHub brings the hub's view of an app up to date; a nil app was removed. The caller
// holds telling.
func (s *Server) tellHub(id string, a *app.App) {
	closed := 0
	if a == nil {
		closed = s.hub.RemoveApp(id)
	} else {
		closed = s.hub.SetApp(id, s.hubKeys(a))
	}
	if s.closed != nil {
		s.closed[id] += closed
	}
	if closed > 0 {
		s.logger.Warn("sessions closed because their key is no longer valid", slog.String("app", id),
			slog.Int("sessions", closed))
	}
}

func (s *Server) hubKeys(a *app.App) []hub.Key {
	inForce := a.ClientKeysAt(time.Now())
	keys := make([]hub.Key, 0, len(inForce))
	for _, k := range inForce {
		secret, err := wire.ParseClientKey(k.Key)
		if err != nil {
			// The registry admits no such key; without it the others still work.
			s.logger.Error("client key cannot be used", slog.String("app", a.ID), slog.Int("generation", k.Generation),
				slog.Any("error", err))
			continue
		}
		keys = append(keys, hub.Key{Generation: k.Generation, Secret: secret})
	}
	return keys
}

// expiryRetry is when to try again to take ended keys out of the database when that
// failed, for example because the disk is full. They admit nobody meanwhile.
const expiryRetry = time.Minute

// longestWait bounds how late an end is noticed after the clock was set forward.
const longestWait = time.Minute

// announceBefore is how long before the end of an old client key the log says how
// many sessions will be closed with it.
var announceBefore = []time.Duration{5 * time.Minute, time.Hour}

// keepKeys closes the sessions of old keys when their time is over, whatever the disk
// does, and announces it. Taking the keys out of the database comes after that.
func (s *Server) keepKeys(ctx context.Context) error {
	ended := make(chan struct{}, 1)
	s.services.Go(func() error { return s.expireKeys(ctx, ended) })
	var announced map[announcement]bool
	for {
		if s.closeEnded() {
			wake(ended)
		}
		var wait <-chan time.Time
		var next time.Time
		next, announced = s.announceEnds(s.apps.NextEnd(time.Now()), announced)
		if !next.IsZero() {
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

// closeEnded has the hub know the apps that have a key whose time is over, and reports
// whether there are any.
func (s *Server) closeEnded() (any bool) {
	s.telling.Lock()
	defer s.telling.Unlock()
	now := time.Now()
	for _, a := range s.apps.List() {
		if a.HasEnded(now) {
			any = true
			s.tellHub(a.ID, a)
		}
	}
	return any
}

// expireKeys takes ended keys out of the database when it is told to.
func (s *Server) expireKeys(ctx context.Context, ended <-chan struct{}) error {
	var again <-chan time.Time
	for {
		select {
		case <-ended:
		case <-again:
		case <-ctx.Done():
			return nil
		}
		again = nil
		_, err := s.apps.Expire()
		switch {
		case err == nil:
		case errors.Is(err, app.ErrHandingOver), errors.Is(err, app.ErrUnavailable):
			again = time.After(s.options.RetryEvery)
		default:
			s.logger.Error("ended keys could not be taken out of the database, trying again", slog.Any("error", err))
			again = time.After(expiryRetry)
		}
	}
}

// announcement is one about a client key.
type announcement struct {
	app        string
	generation int
	ahead      time.Duration // one of announceBefore
}

// announceEnds announces the client keys that end soon, once at each of
// announceBefore. It returns when to look again, at next or earlier, and what was
// announced so far of the keys that there are still.
func (s *Server) announceEnds(next time.Time, before map[announcement]bool) (time.Time, map[announcement]bool) {
	announced := make(map[announcement]bool)
	for _, a := range s.apps.List() {
		for _, k := range a.ClientKeys[1:] {
			left := time.Until(k.Until)
			due := false
			for _, ahead := range announceBefore {
				this := announcement{a.ID, k.Generation, ahead}
				switch {
				case left > ahead:
					if at := k.Until.Add(-ahead); at.Before(next) {
						next = at
					}
				case left > 0:
					announced[this] = true
					due = due || !before[this]
				}
			}
			if !due {
				continue
			}
			if sessions := s.hub.KeySessions(a.ID, k.Generation); sessions > 0 {
				s.logger.Warn("sessions will be closed when their client key ends", slog.String("app", a.ID),
					slog.Int("sessions", sessions),
					slog.Time("at", k.Until), slog.Duration("left", left.Round(time.Second)))
			}
		}
	}
	return next, announced
}
