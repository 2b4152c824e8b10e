package netsvc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// A keeper is a goroutine of Run that opens again what has gone: the control channel, the
// database.

// keepControl opens the control channel whenever it is not open, or nobody finds it: a
// cleaner of temporary folders may have removed its file.
func (s *Server) keepControl(ctx context.Context) error {
	look := time.NewTicker(s.options.RetryEvery)
	defer look.Stop()
	for {
		if s.controlIsAway() {
			if err := s.serveControl(); err != nil {
				s.logger.Error("the control channel cannot be opened: trying again", slog.Any("error", err))
			}
		}
		select {
		case <-look.C:
		case <-s.controlAway:
		case <-ctx.Done():
			return nil
		}
	}
}

// controlIsAway reports whether the control channel is to be opened.
func (s *Server) controlIsAway() bool {
	s.controlMu.Lock()
	ln, shut := s.controlLn, s.controlShut
	s.controlMu.Unlock()
	return !shut && (ln == nil || !socket.IsThere(ln))
}

// serveControl opens the control channel and serves it, unless a hand-over has begun
// meanwhile, which would wait for its end in vain.
func (s *Server) serveControl() error {
	path := s.options.Config.Control
	ln, err := socket.Listen(path)
	if err != nil {
		return &ControlError{Path: path, Err: err}
	}
	s.controlMu.Lock()
	shut, before := s.controlShut, s.controlLn
	if !shut {
		s.controlLn = ln
		s.acceptOn(func() error { return s.control.Serve(ln) })
	}
	s.controlMu.Unlock()
	switch {
	case shut:
		return ln.Close()
	case before != nil:
		s.logger.Warn("the control channel had been removed, and is there again", slog.String("path", path))
		socket.Drop(before)
	}
	return nil
}

// wake has a keeper look after what it keeps.
func wake(keeper chan struct{}) {
	select {
	case keeper <- struct{}{}:
	default: // it is going to look anyway
	}
}

// keepDatabase opens the database again whenever it is not open. Where the disk does not
// answer, a try may outlive it.
func (s *Server) keepDatabase(ctx context.Context) error {
	for {
		again := make(chan (<-chan time.Time), 1)
		go func() { again <- s.lookAfterDatabase() }()
		var wait <-chan time.Time
		select {
		case wait = <-again:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-wait:
		case <-s.databaseAway:
		case <-ctx.Done():
			return nil
		}
	}
}

// lookAfterDatabase opens the database if it is not open, and sees that it has an identity.
// It returns when to do it again; nil: not before something happens.
func (s *Server) lookAfterDatabase() <-chan time.Time {
	if s.apps.Unavailable() != nil {
		err := s.reopenDatabase()
		if errors.Is(err, app.ErrHandingOver) {
			return nil // whoever takes the sessions back asks again
		}
		if err != nil {
			s.logger.Error("the database cannot be opened: nothing can be changed until it can", slog.Any("error", err))
			return time.After(s.options.RetryEvery)
		}
		s.logger.Warn("the database is open again")
		if s.membership != nil {
			wake(s.membership.wake)
		}
	}
	if err := s.apps.EnsureIdentity(); err != nil && !errors.Is(err, app.ErrHandingOver) {
		s.logger.Error("the database got no identity: trying again", slog.Any("error", err))
		return time.After(s.options.RetryEvery)
	}
	return nil
}

// reopenDatabase opens the file of the database for apps that are served from memory.
func (s *Server) reopenDatabase() error {
	if path := s.DatabasePath(); files.Exposed(path) {
		err := &DatabaseError{Path: path, Err: ErrExposed}
		s.apps.SetUnavailable(err)
		return err
	}
	if err := s.apps.Reopen(s.DatabasePath()); err != nil {
		return err
	}
	s.warnOfDoubt(s.apps)
	return nil
}
