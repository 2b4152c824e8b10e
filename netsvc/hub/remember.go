package hub

import (
	"container/list"
	"crypto/sha256"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Remembered sessions (protocol.md section 4.4): who they are, which connection has each of
// them, and when they are forgotten. What is kept for one is in its memory.
//
// A remembered session that loses its connection stays in the index as it is, and what is
// published is put into its outbox, which nobody writes. When it comes back, the session of the
// new connection takes its place there in one step, and what is in the outbox.

// maxDetached is how many sessions without a connection are remembered at most, and how many
// of which only the last turn is.
const maxDetached = 65536

// memories are all there are. Who registers a remembered session, detaches or forgets it holds
// mu, taken before a shard's and a session's; who publishes or writes does not.
type memories struct {
	mu       sync.Mutex
	holders  map[memoryDigest]*holder
	detached *list.List // of *holder, the one that has been away longest first
	ended    map[memoryDigest]endedSession
	ends     *list.List // of memoryDigest, in the order of their end
}

// memoryKey is who may go on with a memory: the same session of the same user.
type memoryKey struct {
	infobaseKey
	user, session string
}

// memoryDigest stands for a memoryKey, which takes four times as much in a map, and holds on to
// texts of any length.
type memoryDigest [16]byte

// digest is that of a key. None of its texts has a NUL, for they come from registrations.
func (key memoryKey) digest() memoryDigest {
	var room [256]byte
	text := room[:0]
	for _, part := range []string{key.app, key.ib, key.user, key.session} {
		text = append(append(text, part...), 0)
	}
	sum := sha256.Sum256(text)
	return memoryDigest(sum[:])
}

// find returns the holder of a memory, nil: there is none.
func (all *memories) find(key memoryKey) *holder { return all.holders[key.digest()] }

// holder leads from a memory to the session that has it, at any time.
type holder struct {
	session      atomic.Pointer[session] // nil: it is forgotten
	away         *list.Element           // in memories.detached; nil: it is connected
	replacements *replacements           // nil: there were none
	secret       [wire.SessionIDBytes]byte
}

// hold has a session hold what is remembered under a key. It is found when it is in holders.
func hold(s *session, key memoryKey) *holder {
	own := &holder{secret: [wire.SessionIDBytes]byte([]byte(key.session))}
	own.session.Store(s)
	return own
}

// memoryKey is who may go on with what is remembered of the session that r is of.
func (r *registration) memoryKey() memoryKey {
	return memoryKey{r.infobase.infobaseKey, r.user, string(r.more.holder.secret[:])}
}

// key is that of a memory that is not forgotten. The caller holds memories.mu.
func (own *holder) key() memoryKey { return own.session.Load().registered().memoryKey() }

// endedSession is what stays known of a session that was forgotten.
type endedSession struct {
	turn uint64 // of the last packet that was taken
	at   time.Time
	in   *list.Element // of ends
}

func newMemories() *memories {
	return &memories{
		holders: make(map[memoryDigest]*holder), detached: list.New(), ended: make(map[memoryDigest]endedSession),
		ends: list.New(),
	}
}

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

// bury remembers the last turn of a session that was forgotten then, after all others.
func (all *memories) bury(key memoryDigest, turn uint64, at time.Time) {
	end, known := all.ended[key]
	if known {
		all.ends.MoveToBack(end.in)
	} else {
		end.in = all.ends.PushBack(key)
	}
	end.turn, end.at = turn, at
	all.ended[key] = end
	if all.ends.Len() > maxDetached {
		delete(all.ended, all.ends.Remove(all.ends.Front()).(memoryDigest))
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

// tidyEvery is how often it is looked at whether something is to be forgotten: at least so often that
// no window is longer by more than an eighth.
func (l *Limits) tidyEvery() time.Duration {
	if l.ResumeWindow == 0 {
		return time.Second
	}
	return max(min(time.Second, l.ResumeWindow/8), time.Millisecond)
}

// tidyMemories forgets what has been remembered for long enough, until the hub stops.
func (h *Hub) tidyMemories() {
	for {
		select {
		case <-time.After(h.limits.Load().tidyEvery()):
			h.forgetOld(time.Now())
			h.relieve()
			h.sayEnough(time.Now())
		case <-h.tidy:
			return
		}
	}
}

func (h *Hub) forgetOld(now time.Time) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() {
		return
	}
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	window := h.limits.Load().ResumeWindow
	for first := all.detached.Front(); first != nil; first = all.detached.Front() {
		own := first.Value.(*holder)
		if now.Sub(*own.session.Load().remembered().away) < window {
			break
		}
		h.end(own, closedNotResumed)
	}
	for first := all.ends.Front(); first != nil &&
		now.Sub(all.ended[first.Value.(memoryDigest)].at) >= window; first = all.ends.Front() {
		delete(all.ended, all.ends.Remove(first).(memoryDigest))
	}
	old := momentOf(now.Add(-h.limits.Load().keptFor()))
	for _, own := range all.holders {
		s := own.session.Load()
		s.mu.Lock()
		if s.out.state != outDetached { // else it all waits to be sent again, and grows no older
			s.out.memory.expire(old)
			h.budget.recount(s)
		}
		s.mu.Unlock()
	}
}
