package netsvc

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/internal/listen"
)

// This file is the process that finds sessions in systemd's store.

const (
	// storeWait bounds the reading of the further messages of a version before, which are
	// there, too.
	storeWait = 10 * time.Second
	// roomFiles is how many descriptors taking over needs, beside those in use already and
	// those of the connections. It is less than the reserve of package listen: a process with
	// the same limit takes all that the one before it had, even if that had none left.
	roomFiles = 16
	// sendersFiles stay free for senders, beside the reserve, if not all connections fit
	// anyway.
	sendersFiles = 16
)

// openFromStore opens a server that finds sessions in systemd's store. What can be wrong
// with settings and database is looked at before they are taken out of it.
func (s *Server) openFromStore(ctx context.Context, o *Succession, stored []*os.File) error {
	defer closeFiles(stored)
	if err := o.at("R.N.settings"); err != nil {
		return err
	}
	apps, databaseErr := s.openInTime(o, app.Options{})
	if ctx.Err() != nil { // stopped again: they stay where they are
		if apps != nil {
			apps.Close()
		}
		return context.Cause(ctx)
	}
	t := &takeover{Succession: o, early: make(map[uint64]*handover.Socket)}
	if err := o.at("R.N.read"); err != nil {
		if apps != nil {
			apps.Close()
		}
		return err // they stay where they are
	}
	in, err := t.fromStore(stored)
	if err != nil {
		s.logger.Error("sessions that were handed over cannot be read, and are lost", slog.Any("error", err))
	}
	if in == nil {
		if apps != nil {
			apps.Close()
		}
		return s.openAlone(ctx)
	}
	t.inheritance, t.listened, t.saved = in, in.sockets, in.document.Sockets
	if err := s.settleDatabase(in, apps, databaseErr); err != nil {
		s.putBack(o, in)
		return err
	}
	err = o.at("R.N.ports")
	if err == nil {
		err = s.listenAll(context.WithoutCancel(ctx), t)
	}
	if err != nil {
		// The ports that there were are better than none.
		s.logger.Error("an address of the settings cannot be had: the one before stays",
			slog.String("error", s.said(err)))
		s.listenBefore(t)
	}
	s.takeover = t
	return nil
}

// fromStore reads what is in systemd's store. nil: nothing is, or somebody has read it.
func (t *takeover) fromStore(stored []*os.File) (found *inheritance, err error) {
	for _, file := range stored {
		link, openErr := handover.OpenLink(file)
		if openErr != nil {
			err = openErr
			continue
		}
		in, readErr := t.read(link)
		link.Close()
		switch {
		case readErr != nil:
			err = readErr
		case in == nil:
		case found == nil || in.document.Record.At.After(found.document.Record.At):
			// Of one that was stored twice only the copies differ.
			if found != nil {
				found.close()
			}
			found = in
		default:
			in.close()
		}
	}
	until := time.Now().Add(t.deadlines.Database)
	t.systemd.Forget(storeName, until)
	t.systemd.Forget(keepName, until)
	return found, err
}

func (t *takeover) read(link *handover.Link) (*inheritance, error) {
	text, files, err := link.ReceiveNow() // all of it is there, or nothing
	link.SetDeadline(time.Now().Add(storeWait))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || isEnd(err):
		return nil, nil
	case err != nil:
		return nil, err
	case text[0] == landedFormat:
		return receiveLanded(link, text, files)
	}
	return receiveParcel(text, files, make(map[uint64]*handover.Socket), t.room)
}

// room is how many of so many connections this process takes.
func (t *takeover) room(connections int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	free := int(limit.Cur) - len(t.early) - listen.Reserved()
	if used, err := os.ReadDir("/proc/self/fd"); err == nil {
		free = int(limit.Cur) - len(used)
	}
	if connections <= free-roomFiles {
		return free - roomFiles
	}
	return max(free-listen.Reserved()-sendersFiles, 0)
}

// settleDatabase takes the database that was opened, if it is the right one. Otherwise the
// apps are served from memory. The error says that neither is possible.
func (s *Server) settleDatabase(in *inheritance, apps *app.Registry, why error) error {
	if apps != nil {
		if have := apps.Identity(); !have.IsZero() && !in.document.Identity.IsZero() && have != in.document.Identity {
			apps.Close()
			apps, why = nil, app.ErrAnother
		}
	}
	switch {
	case apps != nil:
		s.setApps(apps)
		return nil
	case in.apps == nil:
		return &DatabaseError{Path: s.DatabasePath(), Err: why}
	}
	s.serveFromMemory(in, why)
	return nil
}

// putBack puts sessions into systemd's store again that this process cannot serve: they are
// of the landed version, which gave no apps with them, and the database cannot be opened.
func (s *Server) putBack(o *Succession, in *inheritance) {
	in.document.Format = documentFormat
	sockets := make([]syscall.Conn, len(in.sockets))
	for i, f := range in.sockets {
		sockets[i] = f
	}
	parcel, err := in.document.pack(sockets, nil, time.Now().Add(o.deadlines.StoreTry))
	if err == nil {
		defer parcel.close()
		err = o.keep(parcel, time.Now().Add(o.deadlines.StoreTry))
	}
	if err == nil {
		err = o.systemd.Barrier(time.Now().Add(o.deadlines.Term))
	}
	if err != nil {
		s.logger.Error("the sessions could not be put back into the store, and are closed", slog.Any("error", err))
	}
	in.close()
}

// listenBefore goes on with the sockets that came where an address cannot be had.
func (s *Server) listenBefore(t *takeover) {
	anyAddress := func(config.Address) bool { return true }
	for setting, service := range map[string]**listen.Service{"listen": &s.senders, "service": &s.sessions,
		"metrics_listen": &s.metrics} {
		if *service != nil {
			continue
		}
		if sockets := t.take(setting, anyAddress); len(sockets) > 0 {
			*service = listen.Adopt(sockets, t.address(setting), listen.Options{Service: setting, Exhausted: s.evict,
				Logger: s.logger})
		}
	}
}
