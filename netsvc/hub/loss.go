package hub

import (
	"log/slog"
	"sync"
)

// loss is that of the connection of a remembered session, which people are to know of
// (SessionDetached). What is told of the session is what it was when all that was written to
// the connection had been accounted for, and it is told before whatever became of it since.
type loss struct {
	why     closeReason
	node    string // where the session goes on; empty: it may come back here
	own     *holder
	session Session // when it is settled: before that somebody writes still
	settled bool
	told    sync.Once
}

// settleLoss returns the loss that is to be told of a session now that nobody writes to it;
// nil: there is none. The caller holds the session's mu.
func (s *session) settleLoss() *loss {
	m := s.out.memory
	if m == nil || m.loss == nil || m.loss.settled || s.out.inFlight > 0 {
		return nil
	}
	m.loss.settled = true
	m.loss.session, _, _ = s.view()
	return m.loss
}

// tellLoss tells of a loss that is settled, unless somebody has, or does: then it waits for him.
func (h *Hub) tellLoss(l *loss) {
	l.told.Do(func() {
		h.logSession("session detached", &l.session, append(nodeAttr(l.node), slog.String("reason", string(l.why)))...)
		h.observeMove(SessionDetached, l.session, string(l.why), l.node)
	})
	s := l.own.lock()
	if s == nil {
		return // it is forgotten
	}
	defer s.mu.Unlock()
	if m := s.out.memory; m.loss == l {
		m.loss = nil
	}
}

// tellLossBefore tells what is to be told before it is that a session has come back.
func (h *Hub) tellLossBefore(s *session) {
	if m := s.remembered(); m != nil {
		s.mu.Lock()
		l := m.loss
		s.mu.Unlock()
		if l != nil {
			h.tellLoss(l)
		}
	}
}
