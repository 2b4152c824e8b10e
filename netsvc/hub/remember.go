package hub

import (
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Remembered sessions (protocol.md section 4.4) as they register: who they are, and when they are
// forgotten, is in memories.go, how they lose their connection in detach.go. What is kept for one
// is in its memory.
//
// A remembered session that loses its connection stays in the index as it is, and what is
// published is put into its outbox, which nobody writes. When it comes back, the session of the
// new connection takes its place there in one step, and what is in the outbox.

// enterRemembered registers a session that asks to be remembered, or goes on with what is
// remembered of it.
func (h *Hub) enterRemembered(s *session, r *registration, k infobaseKey, said *wire.Attributes) (EventKind, error) {
	key := memoryKey{k, r.user, said.Session}
	if s.remembered() != nil && s.registered().memoryKey() != key {
		h.leave(s)
	}
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	own := all.find(key)
	last := all.ended[key.digest()].turn
	here := false
	if h.elsewhere.Load() != nil && own != nil {
		// A further registration waits until the one before it is decided.
		if a := own.asks(); a != nil && a.session != s && said.Turn > a.turn {
			return "", &waiting{on: a}
		} else if a != nil && a.session != s {
			return "", &refusal{reason: ReasonStale, app: r.key.tenant}
		}
	}
	if own != nil {
		has := own.session.Load()
		last, here = has.out.memory.turn, has == s
	}
	if said.Turn <= last || said.Mode == wire.ModeAgain && !here ||
		here && said.Mode != wire.ModeEnd && r.key != s.registered().key {
		return "", &refusal{reason: ReasonStale, app: r.key.tenant}
	}
	switch {
	case said.Mode == wire.ModeEnd:
		if own != nil {
			own.session.Load().out.memory.turn = said.Turn
			h.end(own, closedGoodbye)
		} else {
			all.bury(key.digest(), said.Turn, time.Now())
		}
		if h.elsewhere.Load() != nil {
			h.later(func() { (*h.elsewhere.Load()).Confirm(key.named(), said.Turn) })
		}
		return "", net.ErrClosed
	case here:
		return SessionChanged, h.acknowledge(s, r, k, said)
	case h.elsewhere.Load() != nil:
		return h.enterHere(s, r, k, own, key, said)
	case own != nil:
		own.session.Load().alone()
		return SessionResumed, h.goOn(s, r, k, own, said, true)
	}
	return SessionOpened, h.remember(s, r, k, key, said)
}

// remembered returns the memory that a session has, nil: none. A session that goes on elsewhere
// has none any more.
func (s *session) remembered() *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.memory
}

// acknowledge is a further packet on the connection that has the session.
func (h *Hub) acknowledge(s *session, r *registration, k infobaseKey, said *wire.Attributes) error {
	r.more.holder = s.registered().more.holder
	if h.registerWithin(r, k, math.MaxInt) != registered {
		return net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.memory.turn = said.Turn
	s.out.memory.acknowledge(said.Received)
	h.budget.recount(s)
	return nil
}

// remember begins to remember a session.
func (h *Hub) remember(s *session, r *registration, k infobaseKey, key memoryKey, said *wire.Attributes) error {
	m := &memory{
		id: s.shownID(), since: s.since, turn: said.Turn, begun: said.Turn, base: said.Received,
		written: said.Received,
		buffer:  h.capSendBuffer(s),
	}
	own := hold(s, key)
	r.more.holder = own
	// Before anybody finds it: the first message is remembered too.
	s.mu.Lock()
	s.out.remember(m)
	s.mu.Unlock()
	became := h.registerWithin(r, k, h.limits.Load().MaxSessionsPerUser)
	if became == registered {
		h.memories.holders[key.digest()] = own
		if said.Received > 0 {
			h.sayForgotten(s, said)
		}
		return nil
	}
	s.mu.Lock()
	s.out.forget()
	h.budget.recount(s)
	s.mu.Unlock()
	if became == tooMany {
		return &refusal{reason: ReasonTooManySessions, app: r.key.tenant}
	}
	return net.ErrClosed
}

// sayForgotten says that nothing is remembered of a session that comes back.
func (h *Hub) sayForgotten(s *session, said *wire.Attributes) {
	now, _, _ := s.describe()
	h.logSession("session comes back of which nothing is remembered, its numbers go on", &now,
		slog.Uint64("received", said.Received))
}

// capSendBuffer bounds what the system holds of a connection whose frames are kept, for as much
// has to be kept; it returns the bound.
func (h *Hub) capSendBuffer(s *session) uint32 {
	size := max(h.limits.Load().ResumeBytes/4, minSendBuffer)
	if has, ok := s.conn.(interface{ SetWriteBuffer(int) error }); ok {
		has.SetWriteBuffer(size) // it fails if the connection is gone
	}
	return uint32(min(2*size+coalesceBytes, math.MaxUint32)) // Linux doubles it, and takes one write more
}

// minSendBuffer is the smallest that systems allow.
const minSendBuffer = 4096

// goOn has a session take the place of the one that own leads to, and go on with what is
// remembered; resumes is whether it did so before. The caller holds memories.mu.
func (h *Hub) goOn(s *session, r *registration, k infobaseKey, own *holder, said *wire.Attributes, resumes bool) error {
	old := own.session.Load()
	if own.away == nil {
		h.replaced(own, time.Now())
		h.detachRemembered(old, closedReplaced)
		hangUp(old.conn, old.raw)
	}
	// Whoever writes to the old connection has written its last when that is accounted for.
	old.until((*outbox).isStill)
	buffer := h.capSendBuffer(s)
	r.more.holder = own
	lost, err := h.takePlace(r, k, old, said)
	if err != nil {
		return err
	}
	h.memories.detached.Remove(own.away)
	own.away = nil
	h.counters.detached.Add(-1)
	h.counters.missed.Add(lost)
	s.mu.Lock()
	m := s.out.memory
	m.buffer = buffer
	if resumes {
		h.counters.resumed.Add(1)
		m.resumed++
	}
	m.away = nil
	listed := s.out.list()
	s.mu.Unlock()
	if listed {
		h.startWriting()
		h.flusherOf(s).push(s, alone)
	}
	if !old.isRefused() { // else that one's goroutine does
		h.forgetResting(old)
	}
	if lost > 0 {
		h.logger.Warn("messages were kept no longer when a session came back", slog.Uint64("session", m.id),
			slog.Uint64("missed", lost))
	}
	return nil
}

// takePlace registers r instead of what the session old is registered as, and has its
// session go on with old's outbox, in one step for whoever publishes.
func (h *Hub) takePlace(r *registration, k infobaseKey, old *session, said *wire.Attributes) (lost uint64, err error) {
	s := r.session
	was := s.registered()
	unlock := h.lockShards(h.shardOf(k), was)
	defer unlock()
	old.mu.Lock()
	defer old.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != "" { // whoever closed it sees to what it was
		return 0, net.ErrClosed
	}
	if !s.out.canAttach() {
		return 0, net.ErrClosed // the client comes back on a connection of its own
	}
	if s.registration != nil { // it was somebody else, without being remembered
		h.remove(s.registration)
		h.counters.sessions.Add(-1)
	}
	before := old.registration
	before.key.sessions.Add(1) // as long as it was away it did not count
	h.remove(before)
	h.enlist(r, k)
	h.counters.sessions.Add(1)
	s.registration = r
	lost = s.out.attach(&old.out, said, r.key)
	h.budget.recount(s)
	h.budget.recount(old)
	old.closed = closedReplaced
	r.more.holder.session.Store(s)
	return lost, nil
}
