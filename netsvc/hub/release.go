package hub

import (
	"bytes"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// What another node asks for, which goes on with a session that is remembered here (package
// moving).

// Look returns what is to be answered to a question: Found means that Freeze may be called.
func (h *Hub) Look(q *moving.Question) moving.Status {
	if h.frozen.Load() {
		return moving.Busy // whoever goes on answers
	}
	h.memories.mu.Lock()
	defer h.memories.mu.Unlock()
	return h.memories.look(keyOf(q.Session), q.Claim.Turn)
}

// look is Look for a caller that holds mu.
func (all *memories) look(key memoryKey, turn uint64) moving.Status {
	own := all.find(key)
	if own == nil {
		if all.ended[key.digest()].turn >= turn {
			return moving.Stale
		}
		return moving.Nothing
	}
	if a := own.asks(); a != nil {
		if turn > a.turn {
			return moving.Busy
		}
		return moving.Stale
	}
	if own.session.Load().remembered().turn >= turn {
		return moving.Stale
	}
	return moving.Found
}

// Freeze ends writing to a remembered session, and has it take nothing any more until this
// node is asked to go on with it. Worked off is what this node has queued for its sessions:
// the memory accounts for it. The caller sees to it that nothing is being published. With
// Found, open makes the memory that the other node goes on with; it is called once.
func (h *Hub) Freeze(q *moving.Question, workedOff moving.Cover) (status moving.Status, open func() moving.Memory) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() {
		return moving.Busy, nil
	}
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	key := keyOf(q.Session)
	if status := all.look(key, q.Claim.Turn); status != moving.Found {
		return status, nil
	}
	own := all.find(key)
	if connected := own.away == nil; connected {
		h.suspend(own, closedMoved, q.Asker)
	}
	s := own.session.Load()
	s.until((*outbox).isStill)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.out.line()
	l.expire()
	if !l.frozen {
		l.frozen, l.cover = true, l.cover.With(workedOff)
		l.lapse = noLapse
	}
	return moving.Found, h.release(s, q.Claim)
}

// release collects what a frozen session has, and returns what makes a moving.Memory of it.
// The caller holds the session's lock.
func (h *Hub) release(s *session, said moving.Claim) (open func() moving.Memory) {
	o := &s.out
	m := o.memory
	has := moving.Memory{
		Line: moving.Line{Turn: m.turn, Begun: m.begun, Written: m.written}, Base: m.base,
		Since: m.since, Missed: m.missed, Resumed: uint64(m.resumed), Has: m.line.cover,
		Lost: moving.Lost{Lives: m.line.lost.Lives, For: max(time.Until(m.line.back), 0)},
	}
	queue := o.queue[o.head:]
	if o.written > 0 { // the rest of one that is kept, or of no concern
		queue = queue[1:]
	}
	sent := make([]*frame, 0, len(m.kept)+m.again)
	for _, k := range m.kept {
		sent = append(sent, k.frame)
		has.Cut = k.end == 0
	}
	for _, f := range queue[:m.again] {
		sent = append(sent, f)
		has.Cut = f.delivery != nil
	}
	oldest := m.oldest()
	if said.From >= m.begun && said.Received >= oldest && said.Received <= m.written {
		sent = sent[said.Received-oldest+1:]
	}
	never := append([]*frame(nil), queue[m.again:]...)
	origins := append([]unsent(nil), m.line.unsent...)
	return func() moving.Memory {
		for _, f := range sent {
			has.Sent = append(has.Sent, h.opened(f))
		}
		for at, f := range never {
			has.Unsent = append(has.Unsent, moving.Frame{Origin: origins[at].origin, Plaintext: h.opened(f)})
		}
		return has
	}
}

// opened is the plaintext of a frame.
func (h *Hub) opened(f *frame) []byte {
	plaintext, err := wire.ReadFrame(bytes.NewReader(f.bytes), f.key.Secret, len(f.bytes))
	if err != nil {
		panic(err) // it is ours, and so is its key
	}
	return plaintext
}

// Drop forgets a session that goes on at the node of that name since that turn, or has ended there. A
// larger turn, or one that is being asked for, shows that this node has it again.
func (h *Hub) Drop(s moving.Session, turn uint64, node string) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	own := all.find(keyOf(s))
	if own == nil || own.asks() != nil || h.frozen.Load() {
		return
	}
	has := own.session.Load()
	has.mu.Lock()
	m := has.out.memory
	older := m.turn < turn
	if older {
		m.turn = turn
	}
	has.mu.Unlock()
	if older {
		h.movedTo.Store(has, node)
		h.end(own, closedMoved)
	}
}
