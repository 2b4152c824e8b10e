package hub

import (
	"net"
	"time"
)

// detachRemembered leaves a remembered session without a connection. It reports false if it is
// already. The caller holds memories.mu, and sees to the connection.
func (h *Hub) detachRemembered(s *session, why closeReason) bool { return h.detachTo(s, why, "") }

// detachTo is detachRemembered for a session that goes on at another node, if node is not empty.
func (h *Hub) detachTo(s *session, why closeReason, node string) bool {
	s.mu.Lock()
	m := s.out.memory
	if m == nil || s.out.state == outDetached {
		s.mu.Unlock()
		return false
	}
	wasListed := s.out.detach()
	h.budget.recount(s)
	now := time.Now()
	m.away = &now
	r := s.registration
	r.key.sessions.Add(-1)
	own := r.more.holder
	var lost *loss
	if why != closedReplaced {
		m.loss = &loss{why: why, node: node, own: own}
		lost = s.settleLoss() // or whoever writes does, see advance
	}
	s.mu.Unlock()
	if lost != nil {
		h.later(func() { h.tellLoss(lost) })
	}
	if wasListed {
		h.endWriting()
	}
	own.away = h.memories.detached.PushBack(own)
	h.counters.sessions.Add(-1)
	h.counters.detached.Add(1)
	h.countSlow(r.key.tenant, why)
	if h.memories.detached.Len() > maxDetached {
		h.end(h.memories.detached.Front().Value.(*holder), closedNotResumed)
	}
	return true
}

// detachOrEnd is detachIf for a remembered session.
func (h *Hub) detachOrEnd(s *session, why closeReason, holds func(*session) bool) bool {
	h.memories.mu.Lock()
	s.mu.Lock()
	held, r, remembered := s.closed == "" && holds(s), s.registration, s.out.memory != nil
	s.mu.Unlock()
	if !held {
		h.memories.mu.Unlock()
		return false
	}
	if !remembered { // any more
		h.memories.mu.Unlock()
		return h.detachIf(s, why, holds)
	}
	switch why {
	case closedByAdmin, closedKeyRevoked, closedShutdown, closedSlowForRoom:
		h.end(r.more.holder, why)
		h.memories.mu.Unlock()
		return true
	}
	defer h.memories.mu.Unlock()
	return h.detachRemembered(s, why)
}

// leave has the former session of a connection stay detached, for the connection registers as
// another one. What the connection was sent in part of it, it is sent whole.
func (h *Hub) leave(s *session) {
	h.memories.mu.Lock()
	h.detachRemembered(s, closedByPeer)
	h.memories.mu.Unlock()
	s.until(func(o *outbox) bool { // the writer may be about to close it
		if o.leaving {
			s.conn.SetWriteDeadline(past)
		}
		return !o.leaving
	}) // whoever waits for the peer next sets a deadline of his own
	h.memories.mu.Lock()
	defer h.memories.mu.Unlock()
	s.mu.Lock()
	m, r := s.out.memory, s.registration
	s.number = h.lastID.Add(1)
	s.mu.Unlock()
	if m == nil {
		return // it has come back elsewhere
	}
	away := &session{id: h.lastID.Add(1), conn: goneConn{remote: s.conn.RemoteAddr()}, since: s.since}
	copied := *r
	copied.session = away
	sh := &h.shards[r.infobase.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	away.mu.Lock()
	defer away.mu.Unlock()
	r.key.sessions.Add(1)
	h.remove(r)
	h.enlist(&copied, r.infobase.infobaseKey)
	copied.key.sessions.Add(-1)
	s.registration, away.registration = nil, &copied
	listed := away.out.part(&s.out)
	h.budget.recount(away)
	h.budget.recount(s)
	if listed {
		h.startWriting()
		h.flusherOf(s).push(s, alone)
	}
	copied.more.holder.session.Store(away)
	h.mu.Lock()
	h.sessions[away.id] = away
	h.mu.Unlock()
}

// end forgets a remembered session. The caller holds memories.mu.
func (h *Hub) end(own *holder, why closeReason) {
	s, key := own.session.Load(), own.key().digest()
	own.session.Store(nil)
	delete(h.memories.holders, key)
	h.memories.bury(key, s.out.memory.turn, time.Now())
	away := own.away != nil
	if away {
		h.memories.detached.Remove(own.away)
		own.away = nil
		h.counters.detached.Add(-1)
		h.counters.sessions.Add(1) // that the end of a session takes off
		s.registered().key.sessions.Add(1)
	}
	s.mu.Lock()
	if why == closedForRoom || why == closedSlowForRoom {
		h.counters.missed.Add(uint64(s.out.unsent()))
	}
	if l := s.out.memory.line; l != nil {
		l.abandon(h)
	}
	lost := s.out.memory.loss
	if lost != nil && !lost.settled {
		lost = nil // its end is all that is told
	}
	s.out.forget()
	s.endAway = away
	s.mu.Unlock()
	h.detach(s, why)
	h.hangUp(s)
	if away { // nobody else will
		h.later(func() {
			if lost != nil {
				h.tellLoss(lost)
			}
			h.takeOff(s)
		})
	}
}

// goneConn stands for the connection of a session that has none.
type goneConn struct {
	net.Conn
	remote net.Addr
}

func (c goneConn) RemoteAddr() net.Addr             { return c.remote }
func (c goneConn) Close() error                     { return nil }
func (c goneConn) SetDeadline(time.Time) error      { return nil }
func (c goneConn) SetReadDeadline(time.Time) error  { return nil }
func (c goneConn) SetWriteDeadline(time.Time) error { return nil }
