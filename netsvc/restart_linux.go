package netsvc

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// This file is the process that leaves its sessions in systemd's store, for the one that is
// started next.

// jobPatience is how long systemd may take to tell what it is about to do with the service.
const jobPatience = 300 * time.Millisecond

// restart puts the sessions into systemd's store, for the process that it starts next. It
// is called after SIGTERM, when nobody owns them but this process.
func (h *hander) restart(term time.Time) error {
	s, d := h.server, h.deadlines
	if h.closeGate() != nil {
		s.apps.Abandon() // whoever waits is told that the outcome is not known
	}
	record := control.Handover{Way: control.WayRestart, FromVersion: s.options.Version, FromPID: os.Getpid(),
		At: time.Now()}
	last := term.Add(d.Term + 3*time.Second)
	s.membership.aboutToHandOver()
	h.ends = h.systemd.Stops(time.Now().Add(jobPatience))
	state := h.freeze("R.O.freeze", true)
	record.Sessions = state.Registered()

	stored := errors.New("there was no time")
	end := earliest(time.Now().Add(d.Store), last)
	for stored != nil && time.Now().Before(end) {
		try := earliest(time.Now().Add(d.StoreTry), end)
		if stored = h.reach("R.O.store", try); stored == nil {
			stored = h.store(state, record, try)
		}
		if stored != nil {
			s.logger.Error("the sessions could not be stored", slog.Any("error", stored))
			time.Sleep(min(100*time.Millisecond, time.Until(end)))
		}
	}
	if err := h.closeDatabase(time.Now().Add(d.Database)); err != nil {
		s.logger.Warn("the database was not closed: the end of the process does that", slog.Any("error", err))
	}
	h.awaitSystemd("R.O.barrier", latest(term.Add(d.Term), time.Now().Add(time.Second)))
	if stored != nil {
		return fmt.Errorf("%d sessions could not be handed over and are closed: %w", len(state.Sessions), stored)
	}
	return nil
}

// store is one try to put the sessions into systemd's store.
func (h *hander) store(state *hub.State, record control.Handover, until time.Time) error {
	parcel, err := h.pack(state, record, nil, until)
	if err != nil {
		return err
	}
	defer parcel.close()
	return h.keep(parcel, until)
}

// keep has systemd keep a parcel.
func (s *Succession) keep(parcel *parcel, until time.Time) error {
	link, end, err := handover.NewLink()
	if err != nil {
		return err
	}
	defer link.Close()
	defer end.Close()
	link.SetDeadline(until)
	if err := parcel.send(link); err != nil {
		return err
	}
	ours, err := link.File()
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := s.systemd.Store(storeName, end, until); err != nil {
		return err
	}
	return s.systemd.Store(keepName, ours, until)
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
