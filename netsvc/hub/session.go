package hub

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// closeReason says why a session ended; a stable word for logs and counters.
type closeReason string

const (
	closedByPeer       closeReason = "closed_by_peer"
	closedShutdown     closeReason = "shutdown"
	closedByAdmin      closeReason = "closed_by_admin"
	closedKeyRevoked   closeReason = "key_revoked"
	closedQueueFull    closeReason = "too_slow_queue_full"
	closedWriteTimeout closeReason = "too_slow_write_timeout"
	closedWriteFailed  closeReason = "write_failed"
	closedSilent       closeReason = "peer_timeout"
	closedRefused      closeReason = "refused"
	closedEvicted      closeReason = "evicted"
	closedGoodbye      closeReason = "goodbye"
	closedNotResumed   closeReason = "not_resumed" // within resume_window
	closedReplaced     closeReason = "replaced"    // it goes on on another connection: no end
	closedMoved        closeReason = "moved"       // to another node of the cluster

	// All queues together were full (queue_memory): it gave back most, or it was detached.
	closedSlowForRoom closeReason = "too_slow_queue_memory"
	closedForRoom     closeReason = "forgotten_queue_memory"
)

// closeReasons are those for which a registered session can end.
var closeReasons = []closeReason{
	closedByPeer, closedShutdown, closedByAdmin, closedKeyRevoked, closedQueueFull, closedWriteTimeout,
	closedWriteFailed, closedSilent, closedRefused,
	closedGoodbye, closedNotResumed, closedMoved, closedSlowForRoom, closedForRoom,
}

// session is one connection of a 1C client, registered or not yet. Its goroutine
// reads, or while it waits there is none (see register.go and watch_linux.go);
// who writes is its outbox's to say.
// It is kept small: there are tens of thousands of them, mostly idle.
type session struct {
	id    uint64
	conn  net.Conn
	raw   syscall.RawConn // for writes that do not block; nil: not available
	since int64           // Unix nanoseconds

	// number is its number for people, guarded by mu, since id has gone with a session that it had
	// before; 0: it has not.
	number uint64

	header  [2]byte     // of the packet being read
	linked  bool        // it is in a flusher's list, which guards this
	waited  bool        // its registration had to, and it is pending no more; its own goroutine's
	resting bool        // guarded by mu: it has no goroutine, and watch waits for what it sends
	refused bool        // guarded by mu: a packet was, and the goroutine that reads on takes it off the books
	endAway bool        // guarded by mu: it was away when it ended, and end takes it off the books
	counted uint32      // guarded by mu: what out takes of the budget; see recount
	pending pendingLink // guarded by the list it is in

	mu           sync.Mutex
	closed       closeReason   // not empty: closed, and the outbox is dropped
	registration *registration // nil: not registered yet
	out          outbox

	next *session // in a flusher's list, which guards it
}

// frame is a message encrypted under one key, shared by all its recipients.
type frame struct {
	key      *key
	delivery *delivery // of the message, shared by its frames
	bytes    []byte
	keep     any // what bytes lie in, if that is not the heap; nil: it is
	// own is where the memory of a frame of a single session is counted, who needs it there;
	// nil: with its delivery.
	own *holding
}

// detach marks the session closed, drops its outbox and takes it out of the
// index, so that nothing more is sent to it. It reports false if that was done
// before. The connection stays open. The caller has seen that the hub is not frozen,
// and holds changing.
func (h *Hub) detach(s *session, why closeReason) bool {
	return h.detachIf(s, why, func(*session) bool { return true })
}

// detachIf is detach for a session of which holds is true, which is asked under the
// session's lock: it may register again at any moment.
func (h *Hub) detachIf(s *session, why closeReason, holds func(*session) bool) bool {
	s.mu.Lock()
	if s.closed != "" || !holds(s) {
		s.mu.Unlock()
		return false
	}
	if s.out.memory != nil {
		s.mu.Unlock()
		return h.detachOrEnd(s, why, holds)
	}
	s.closed = why
	r := s.registration
	wasListed := s.out.drop()
	h.budget.recount(s)
	s.mu.Unlock()
	if wasListed {
		h.endWriting()
	}
	if r != nil {
		h.unregister(r)
		h.countClosed(r.key.tenant, why)
	}
	return true
}

// closeSession ends a session: its connection is closed, not reset. It reports
// false if it was closed before, or if the hub is frozen: then whoever goes on with
// the session finds the reason again.
func (h *Hub) closeSession(s *session, why closeReason) bool {
	h.changing.RLock()
	defer h.changing.RUnlock()
	return h.close(s, why)
}

// closeUnwritable is closeSession for whoever writes to the session and cannot. It does nothing
// if leave waits for the writer: that one holds changing, for which the writer would wait as
// soon as a hand-over does.
func (h *Hub) closeUnwritable(s *session, why closeReason) {
	for turn := 0; !h.changing.TryRLock(); turn++ {
		if s.isLeaving() {
			return
		}
		pause(turn)
	}
	defer h.changing.RUnlock()
	h.close(s, why)
}

// isLeaving reports whether a writer has still to notice that its session was detached.
func (s *session) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.leaving
}

// close is closeSession for a caller that holds changing.
func (h *Hub) close(s *session, why closeReason) bool {
	if h.frozen.Load() {
		return false
	}
	first := h.detach(s, why)
	h.hangUp(s)
	return first
}

// closeIfRevoked ends a session if the key that it is registered under is no longer in
// force. It reports false if it did not, or if the hub is frozen.
func (h *Hub) closeIfRevoked(s *session) bool {
	return h.closeIf(s, closedKeyRevoked, (*session).isRevoked)
}

// closeIf is closeSession for a session of which holds is true, which is asked under the
// session's lock.
func (h *Hub) closeIf(s *session, why closeReason, holds func(*session) bool) bool {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() || !h.detachIf(s, why, holds) {
		return false
	}
	h.hangUp(s)
	return true
}

// isRevoked: the caller holds mu.
func (s *session) isRevoked() bool {
	if s.registration == nil || !s.registration.key.revoked.Load() {
		return false
	}
	// One that is detached may come back under another key, if its app is there.
	return s.out.state != outDetached || s.registration.key.tenant.removed.Load()
}

// hangUp closes the connection of a session that was detached.
func (h *Hub) hangUp(s *session) {
	hangUp(s.conn, s.raw)
	if s.wake() {
		h.forgetResting(s)
	}
}

// wake makes the caller the one who goes on with a resting session. It reports
// false if somebody else does.
func (s *session) wake() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.resting
	s.resting = false
	return was
}

// forget takes a session off the books, unless it was not closed since the hub is
// frozen, or end sees to it.
func (h *Hub) forget(s *session) {
	s.mu.Lock()
	mine := s.closed != "" && !s.endAway
	s.mu.Unlock()
	if mine {
		h.takeOff(s)
	}
}

// takeOff takes a closed session off the books, and announces its end.
func (h *Hub) takeOff(s *session) {
	h.pending.remove(s)
	h.mu.Lock()
	delete(h.sessions, s.id)
	h.mu.Unlock()

	s.mu.Lock()
	s.out.untold = s.out.inFlight > 0
	untold := s.out.untold
	s.mu.Unlock()
	if !untold {
		h.announceEnd(s)
	}
}

// announceEnd announces the end of a session of which nobody writes anything any more: what is
// said of it then is what has been counted.
func (h *Hub) announceEnd(s *session) {
	node, _ := h.movedTo.LoadAndDelete(s)
	if last, why, registered := s.describe(); registered && why != closedReplaced {
		name, _ := node.(string)
		h.tellClosed(&last, why, name)
	}
}

// tellClosed tells of the end of a session, which goes on at a node if that is not empty.
func (h *Hub) tellClosed(last *Session, why closeReason, node string) {
	h.logSession("session closed", last, append(nodeAttr(node), slog.String("reason", string(why)),
		slog.Uint64("delivered", last.Delivered), slog.Duration("age", max(time.Since(last.Since).Round(time.Second), 0)))...)
	h.observeMove(SessionClosed, *last, string(why), node)
}

// forgetResting takes a closed session that has no goroutine off the books,
// without having the caller wait for the log.
func (h *Hub) forgetResting(s *session) {
	h.later(func() { h.forget(s) })
}

// later does what nobody is to wait for.
func (h *Hub) later(do func()) {
	h.mu.Lock()
	stopped := h.stopped
	if !stopped {
		h.goroutines.Go(do)
	}
	h.mu.Unlock()
	if stopped {
		do()
	}
}

// registered returns the session's registration, nil if it has none.
func (s *session) registered() *registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registration
}

// isDetached reports whether a remembered session has no connection.
func (s *session) isDetached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.state == outDetached
}

func (s *session) closeReason() closeReason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// peer is the address of the other side.
func (s *session) peer() netip.AddrPort {
	if a, ok := s.conn.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
