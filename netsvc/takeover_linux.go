package netsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/internal/systemd"
)

// This file is the process that takes over: N in the drawings of handover.go. The numbers
// in its comments are theirs.

const (
	// lockWait is how long a process that takes over waits for the lock of the database.
	lockWait = 3 * time.Second
	// successorWait is how long a successor waits for each thing that the process before
	// it does. That one is done long before, or dead.
	successorWait = 15 * time.Second
)

// takeover is what a starting server is about to take over.
type takeover struct {
	*Succession
	*inheritance
	early    map[uint64]*handover.Socket
	turn     *os.File // the pipe with the right to serve; nil: nobody else has it
	listened []*os.File
	saved    []savedSocket // what listened are
}

// open opens all that a server needs. After an error nothing was taken over, and whoever
// had the sessions has them still.
func (s *Server) open(ctx context.Context) error {
	succession := s.options.Succession
	switch {
	case succession == nil:
		return s.openAlone(ctx)
	case succession.link != nil && succession.landed:
		return s.openAfterLanded(ctx, succession)
	case succession.link != nil:
		return s.openAsSuccessor(ctx, succession)
	}
	if stored := systemd.Stored(storeName); len(stored) > 0 {
		return s.openFromStore(ctx, succession, stored)
	}
	return s.openAlone(ctx)
}

// openAsSuccessor speaks with the process that hands over, up to being ready (2 to 8).
func (s *Server) openAsSuccessor(ctx context.Context, o *Succession) error {
	t := &takeover{Succession: o, early: make(map[uint64]*handover.Socket)}
	o.link.SetDeadline(time.Now().Add(successorWait))
	greeting, files, err := hear(o.link, sayGreeting)
	if err != nil {
		return err
	}
	if len(files) != 1+len(greeting.Sockets) {
		closeFiles(files)
		return fmt.Errorf("taking over: %d descriptors do not fit the greeting", len(files))
	}
	t.turn, t.listened, t.saved = files[0], files[1:], greeting.Sockets
	if greeting.Format != documentFormat {
		err = fmt.Errorf("the process before this one hands over in format %d, this one reads %d", greeting.Format,
			documentFormat)
	}
	if err == nil {
		err = s.lookAround(ctx, t, greeting.Identity)
	}
	var limit unix.Rlimit
	if err == nil {
		err = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	hello := word{Say: sayHello, Version: s.options.Version, Limit: limit.Cur}
	if err != nil {
		hello.Why = s.said(err)
	} else {
		hello.Node = s.membership.prepare(greeting.Node)
	}
	if sayErr := say(o.link, hello); err == nil {
		err = sayErr
	}
	if err == nil {
		err = t.receive(successorWait)
	}
	if err != nil {
		return err
	}
	err = o.reach("U.N.got", time.Now().Add(o.deadlines.Hello))
	if err == nil {
		err = say(o.link, word{Say: sayGot, Sessions: t.came()})
	}
	if err != nil && !t.alone() {
		return err
	}
	if _, _, err := hear(o.link, sayClosed); err != nil && !isEnd(err) {
		return err
	}
	// The database comes after the sessions: whatever is wrong with it, they can go on.
	err = s.openInherited(t)
	ready := word{Say: sayReady, Format: documentFormat, Sessions: t.came()}
	if err != nil {
		ready.Why = s.said(err)
		s.serveFromMemory(t.inheritance, err)
	}
	err = o.reach("U.N.ready", time.Now().Add(o.deadlines.Hello))
	if err == nil {
		err = say(o.link, ready)
	}
	if err != nil {
		s.logger.Warn("the process before this one does not hear", slog.Any("error", err))
	}
	s.takeover = t
	return nil
}

// lookAround does what can fail before anything is frozen: looks at the database and the
// folder of the control channel, and binds the ports that the process before did not have.
func (s *Server) lookAround(ctx context.Context, t *takeover, identity app.Identity) error {
	if err := t.at("U.N.look"); err != nil {
		return err
	}
	if files.Exposed(s.DatabasePath()) {
		return &DatabaseError{Path: s.DatabasePath(), Err: ErrExposed}
	}
	seen, err := app.Look(s.DatabasePath())
	if err == nil && !identity.IsZero() && !seen.Identity.IsZero() && seen.Identity != identity {
		err = app.ErrAnother
	}
	if err != nil {
		return &DatabaseError{Path: s.DatabasePath(), Err: reason(err)}
	}
	control := s.options.Config.Control
	if err := socket.Look(control); err != nil {
		return &ControlError{Path: control, Err: err}
	}
	if err := t.at("U.N.ports"); err != nil {
		return err
	}
	return s.listenAll(ctx, t)
}

// receive reads what is passed early, and the document (3 and 6).
func (t *takeover) receive(patience time.Duration) error {
	for {
		t.link.SetDeadline(time.Now().Add(patience))
		text, files, err := t.link.Receive()
		if err != nil {
			return err
		}
		var c contents
		if json.Unmarshal(text, &c) != nil || c.Say != sayEarly {
			if err := t.at("U.N.receive"); err != nil {
				closeFiles(files)
				return err
			}
			t.inheritance, err = receiveParcel(text, files, t.early, allOf)
			return err
		}
		for _, tray := range files {
			if err := handover.Unpack(tray, math.MaxInt,
				func(number uint64, s *handover.Socket) { t.early[number] = s }); err != nil {
				return err
			}
		}
	}
}

// allOf is the room of a successor: its limit was looked at before, and if one connection
// does not come the other process keeps them all.
func allOf(int) int { return math.MaxInt }

// alone reports whether the process before this one is gone.
func (t *takeover) alone() bool { return t.turn == nil || errors.Is(peek(t.turn), io.EOF) }

// peek looks whether a pipe has ended, without reading from it.
func peek(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ready := []unix.PollFd{{Events: unix.POLLIN}}
	if controlErr := raw.Control(func(fd uintptr) {
		ready[0].Fd = int32(fd)
		_, err = unix.Poll(ready, 0)
	}); controlErr != nil {
		return controlErr
	}
	if err == nil && ready[0].Revents&(unix.POLLHUP|unix.POLLIN) == unix.POLLHUP {
		return io.EOF
	}
	return err
}

// isEnd reports whether the other end of a link is closed.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// awaitTurn returns when the sessions are this process's: it has read the byte, or the
// process before it is gone (9).
func (t *takeover) awaitTurn() error {
	switch {
	case t == nil || t.link == nil:
		return nil
	case t.landed:
		defer t.link.Close()
		return t.awaitLanded()
	}
	defer t.link.Close()
	defer t.turn.Close()
	t.turn.SetReadDeadline(time.Now().Add(successorWait))
	turn := make([]byte, 1)
	n, err := 0, t.at("U.N.take")
	if err == nil {
		n, err = t.turn.Read(turn)
	}
	switch {
	case n == 0 && !errors.Is(err, io.EOF):
		return fmt.Errorf("the process before this one does not let go of the sessions: %w", err)
	case n == 1 && turn[0] != turnGiven:
		return errRefused
	}
	say(t.link, word{Say: sayMine}) // the other process may be gone
	return nil
}

// said is what is wrong, for whoever asked for the upgrade and for the log.
func (s *Server) said(err error) string {
	if s.options.ErrorText == nil {
		return err.Error()
	}
	return s.options.ErrorText(locale.English, nil, err)
}

// openInherited opens the database of inherited sessions.
func (s *Server) openInherited(t *takeover) error {
	apps, err := s.openInTime(t.Succession, app.Options{Expect: t.document.Identity})
	if err != nil {
		return err
	}
	s.setApps(apps)
	return nil
}

// openInTime opens the database, but makes none, and waits for the disk no longer than the
// sessions can do without. One that is open too late is closed again.
func (s *Server) openInTime(o *Succession, options app.Options) (*app.Registry, error) {
	options.NeverCreate, options.LockWait = true, lockWait
	apps, err := bounded(time.Now().Add(o.deadlines.Open), func() (*app.Registry, error) {
		if err := o.at("N.open"); err != nil {
			return nil, err
		}
		return s.openDatabase(options)
	}, func(late *app.Registry) { late.Close() })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &DatabaseError{Path: s.DatabasePath(), Err: errDiskHangs}
	}
	return apps, err
}

var errDiskHangs = errors.New("the disk does not answer")

// serveFromMemory serves the apps that came with the sessions, until the database can be
// opened.
func (s *Server) serveFromMemory(in *inheritance, why error) {
	s.logger.Error("the database cannot be opened: serving from memory, and nothing can be changed until it can",
		slog.String("path", s.DatabasePath()), slog.Any("error", why))
	if err := app.DecodeNames(in.apps, in.document.Names); err != nil {
		s.logger.Error("names of users and infobases are shown as ids", slog.Any("error", err))
	}
	apps := app.FromMemory(in.apps, in.document.Identity, app.Options{Changed: s.appChanged})
	apps.SetUnavailable(why)
	s.setApps(apps)
}

// take returns the sockets that came for a setting, if the address they were opened for
// fits.
func (t *takeover) take(setting string, fits func(config.Address) bool) (sockets []net.Listener) {
	if t == nil {
		return nil
	}
	for i, saved := range t.saved {
		if saved.Setting != setting || t.listened[i] == nil {
			continue
		}
		if before, err := config.ParseAddress(saved.Address, 0); err != nil || !fits(before) {
			continue
		}
		ln, err := net.FileListener(t.listened[i])
		if err != nil {
			continue // the address is opened anew
		}
		t.listened[i].Close()
		t.listened[i] = nil
		sockets = append(sockets, ln)
	}
	return sockets
}

// address is what the sockets of a setting were opened for.
func (t *takeover) address(setting string) config.Address {
	for _, saved := range t.saved {
		if saved.Setting == setting {
			if address, err := config.ParseAddress(saved.Address, 0); err == nil {
				return address
			}
		}
	}
	return config.Address{}
}

// takeControl returns the control channel that came, if it is at the path of the settings.
func (t *takeover) takeControl(path string) net.Listener {
	for i, saved := range t.saved {
		if saved.Setting != "control" || saved.Address != path || t.listened[i] == nil {
			continue
		}
		ln, err := net.FileListener(t.listened[i])
		if err != nil {
			continue
		}
		t.listened[i].Close()
		t.listened[i] = nil
		if attached, err := socket.Attach(ln.(*net.UnixListener), path, saved.File); err == nil {
			return attached
		}
		ln.Close() // its file is gone
	}
	return nil
}

// takeOver serves the sessions that came. They are this process's now.
func (s *Server) takeOver() {
	t := s.takeover
	if t == nil {
		return
	}
	record := t.document.Record
	record.ToVersion, record.ToPID = s.options.Version, os.Getpid()
	s.history.RememberUnmet(t.document.Unmet)
	if past := t.document.Timeline; len(past) > 0 {
		if err := s.stats.Timeline().Restore(past); err != nil {
			s.logger.Info("the charts begin anew", slog.Any("error", err))
		}
	}
	became := s.hub.TakeOver(t.document.hub)
	s.membership.adopt(t.document.Cluster)
	record.Sessions, record.Lost, record.Revoked, record.Done = became.Sessions, became.Missing, became.Revoked, true
	record.Seconds = time.Since(record.At).Seconds()
	if became.Missing > 0 {
		record.Why = fmt.Sprintf("this process may have %d files open, which is not enough: raise LimitNOFILE of the unit, or ulimit -n", openLimit())
		s.logger.Error("sessions were lost at the hand-over", slog.Int("lost", became.Missing),
			slog.String("why", record.Why))
	}
	s.recordHandOver(record) // before anybody can ask for it
	if ln := t.takeControl(s.options.Config.Control); ln != nil {
		s.setControl(ln)
	}
	s.accept()
	for _, f := range t.listened {
		if f != nil { // nobody listens there any more
			f.Close()
		}
	}
	s.logger.Info("sessions taken over", slog.String("way", record.Way), slog.Int("sessions", became.Sessions),
		slog.Int("unregistered", became.Unregistered),
		slog.Int("revoked", became.Revoked), slog.Int("lost", became.Missing),
		slog.String("from_version", record.FromVersion),
		slog.String("to_version", record.ToVersion),
		slog.Duration("not_served", time.Duration(record.Seconds*float64(time.Second)).Round(time.Microsecond)))
	if became.Revoked > 0 {
		s.logger.Warn("sessions were closed at the hand-over: their key is no longer in force",
			slog.Int("sessions", became.Revoked))
	}
}

func openLimit() uint64 {
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur
}

// reason is an error of package app without the path, which is said anyway.
func reason(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
