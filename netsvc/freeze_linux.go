package netsvc

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// This file is what a process stops to do before it hands over, and begins again if nothing
// comes of it. The numbers in its comments are those of handover.go.

// freeze ends all that touches sessions, and returns what they are (5). For good: nothing
// is taken back. Then queues are written first, as far as peers take them, for it may be a
// stop; and the control channel is closed, so that whoever calls before the next process
// answers is told that nobody does.
//
// Each wait in it has an end: those who accept are woken, requests and queues have their
// time and are cut off then, whoever publishes waits for no peer (hub.Publish), and whoever
// reads or writes is woken by a deadline that has gone by (hub.HandOver).
func (h *hander) freeze(step string, forGood bool) *hub.State {
	s, d := h.server, h.deadlines
	h.at(step)
	s.stopAccepting()
	if forGood {
		s.closeControl(time.Now().Add(d.Requests))
	}
	requests, cancel := context.WithTimeout(context.Background(), d.Requests)
	defer cancel()
	if err := h.finishRequests(requests); err != nil {
		s.logger.Warn("requests were cut off at the hand-over", slog.Any("error", err))
	}
	s.hub.FinishMoves(requests)
	if forGood {
		queues, cancel := context.WithTimeout(context.Background(), d.Requests)
		defer cancel()
		s.hub.Settle(queues) // what is left is handed over
	}
	// What the node has taken from others is in the queues then.
	if h.cluster = nil; forGood && !h.ends || h.goesOn {
		h.cluster = s.membership.handOver()
	} else {
		s.membership.leave()
	}
	return s.hub.HandOver()
}

// finishRequests waits for the requests under way. Those that wait for other nodes are answered when half
// of the time for them is over: better told that a node may lack the message than cut off on a busy machine.
func (h *hander) finishRequests(ctx context.Context) error {
	hurried := make(chan struct{})
	hurry := time.AfterFunc(h.deadlines.Requests/2, func() {
		defer close(hurried)
		h.server.membership.endWaiting()
	})
	err := h.server.http.Finish(ctx)
	if !hurry.Stop() {
		<-hurried
	}
	return err
}

// thaw undoes freeze.
func (s *Server) thaw() {
	s.hub.TakeBack()
	s.membership.rejoin()
	s.http.Resume()
	for _, f := range s.fronts() {
		f.service.Resume()
	}
	if ln := s.currentControl(); ln != nil {
		again, _ := socket.Resume(ln) // nil: its file is gone, and is made again
		s.setControl(again)
	}
	s.shutControl(false)
	s.accept()
	s.apps.Resume()
	wake(s.keysChanged)
	wake(s.databaseAway)
	wake(s.controlAway)
}

// stopAccepting returns when nobody accepts any more. Whoever connects waits.
func (s *Server) stopAccepting() {
	s.shutControl(true)
	for _, f := range s.fronts() {
		f.service.Detach()
	}
	if ln := s.currentControl(); ln != nil {
		socket.Detach(ln)
	}
	s.accepting.Wait()
}

// closeControl closes the control channel, where nobody accepts any more. Its folder may be
// locked by somebody, or lie on a disk that does not answer: then that is done later.
func (s *Server) closeControl(until time.Time) {
	before := s.currentControl()
	s.setControl(nil)
	if before == nil {
		return
	}
	bounded(until, func() (struct{}, error) {
		again, err := socket.Resume(before)
		if err == nil {
			err = again.Close()
		}
		return struct{}{}, err
	}, func(struct{}) {})
}

// shutControl has the control channel not be opened, until it is no longer shut.
func (s *Server) shutControl(shut bool) {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	s.controlShut = shut
}

// sockets are those that listen, and what they are.
func (s *Server) sockets() (saved []savedSocket, sockets []syscall.Conn) {
	for _, front := range s.fronts() {
		for _, ln := range front.service.Sockets() {
			saved = append(saved, savedSocket{Setting: front.setting, Address: front.service.Address().String()})
			sockets = append(sockets, ln)
		}
	}
	channel := s.currentControl()
	if ln := socket.Underlying(channel); ln != nil {
		saved = append(saved, savedSocket{Setting: "control", Address: s.options.Config.Control,
			File: socket.FileOf(channel)})
		sockets = append(sockets, ln)
	}
	return saved, sockets
}
