package hub

import (
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
	closedRefused      closeReason = "refused"
	closedEvicted      closeReason = "evicted"
)

// closeReasons are those for which a registered session can end.
var closeReasons = []closeReason{
	closedByPeer, closedShutdown, closedByAdmin, closedKeyRevoked, closedQueueFull, closedWriteTimeout, closedWriteFailed, closedRefused,
}

// session is one connection of a 1C client, registered or not yet. Its goroutine
// reads, or while it waits there is none (see serve.go and watch_linux.go);
// whoever set writing writes (see flush.go).
// It is kept small: there are tens of thousands of them, mostly idle.
type session struct {
	id    uint64
	conn  net.Conn
	raw   syscall.RawConn // for writes that do not block; nil: not available
	since int64           // Unix nanoseconds

	header  [2]byte     // of the packet being read
	pending pendingLink // guarded by the list it is in

	mu           sync.Mutex
	closed       closeReason   // not empty: closed
	registration *registration // nil: not registered yet
	queue        []*frame      // queue[head:] waits to be written
	head         int
	written      int  // bytes of queue[head] that are written
	inFlight     int  // frames gathered from head on and being written
	queuedBytes  int  // of queue[head:], written ones included
	listed       bool // it is in a flusher's list, or whoever has set this is about to put it there
	writing      bool // somebody writes the queue
	blocked      bool // that somebody waits for the peer: the socket's buffer is full
	resting      bool // it has no goroutine: watch waits for what it sends
	delivered    uint64
	bytes        uint64
	lastDelivery int64 // Unix nanoseconds; 0: none

	next *session // in a flusher's list, which guards it
}

// frame is a message encrypted under one key, shared by all its recipients.
type frame struct {
	key      *key
	delivery *delivery // of the message, shared by its frames
	bytes    []byte
	keep     any // what bytes lie in, if that is not the heap; nil: it is
}

// detach marks the session closed, drops its queue and takes it out of the
// index, so that nothing more is sent to it. It reports false if that was done
// before. The connection stays open. The caller has seen that the hub is not frozen,
// and holds changing.
func (h *Hub) detach(s *session, why closeReason) bool {
	s.mu.Lock()
	if s.closed != "" {
		s.mu.Unlock()
		return false
	}
	s.closed = why
	r := s.registration
	for _, f := range s.queue[s.head:] {
		f.delivery.closed()
	}
	s.queue, s.head, s.written, s.queuedBytes = nil, 0, 0, 0
	s.mu.Unlock()
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
	if h.frozen.Load() {
		return false
	}
	first := h.detach(s, why)
	hangUp(s.conn, s.raw)
	if s.wake() {
		h.forgetResting(s)
	}
	return first
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

// registered returns the session's registration, nil if it has none.
func (s *session) registered() *registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registration
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

// verdict is what became of a frame offered to a session.
type verdict int

const (
	notFor   verdict = iota // closed, or no longer the one that was meant
	tooSlow                 // its queue is full, and the peer does not read: it is to be dropped
	crowded                 // its queue is full of what we have not written yet: see offer
	queued                  // somebody writes already, or will
	wakeable                // queued, and the caller has to hand the session to a flusher
)

// enqueue puts a frame into the queue of the session that r belongs to, if the
// verdict is queued or wakeable.
func (r *registration) enqueue(f *frame, queueBytes int) verdict {
	s := r.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != "" || s.registration != r {
		return notFor
	}
	if s.head < len(s.queue) && s.queuedBytes+len(f.bytes) > queueBytes {
		if s.blocked {
			return tooSlow
		}
		return crowded
	}
	s.queue = append(s.queue, f)
	s.queuedBytes += len(f.bytes)
	if s.listed || s.writing {
		return queued
	}
	s.listed = true
	return wakeable
}

// beginWriting makes the caller the one who writes the queue. It reports false if
// somebody does.
func (s *session) beginWriting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.writing
	s.writing = true
	return !was
}

// unlist is beginWriting for the flusher that took the session from its list.
func (s *session) unlist() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = false
	was := s.writing
	s.writing = true
	return !was
}

// relist gives the writing up, and reports whether the caller has to hand the
// session to a flusher: it may be in the list.
func (s *session) relist() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.blocked = false, false
	was := s.listed
	s.listed = true
	return !was
}

// block notes that whoever writes will wait for the peer.
func (s *session) block() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = true
}

// gather returns what is to be written next: the rest of the first frame, or,
// if several fit, as much as fits into buf, so that many small frames leave in
// one call. It returns nil and gives the writing up when there is nothing
// left, the session is closed or the hub is frozen.
func (s *session) gather(buf []byte, frozen bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue[s.head:]
	if s.closed != "" || len(waiting) == 0 || frozen {
		s.writing, s.blocked = false, false
		return nil
	}
	s.inFlight = 1
	first := waiting[0].bytes[s.written:]
	if len(waiting) == 1 || len(first)+len(waiting[1].bytes) > cap(buf) {
		return first
	}
	buf = append(buf[:0], first...)
	for _, f := range waiting[1:] {
		if len(buf)+len(f.bytes) > cap(buf) {
			break
		}
		buf = append(buf, f.bytes...)
		s.inFlight++
	}
	return buf
}

// advance takes n written bytes of what was gathered off the queue and counts
// the frames completed. It appends the deliveries that ended with them to
// finished.
func (s *session) advance(n int, finished []*delivery) (frames int, ended []*delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight = 0
	s.bytes += uint64(n)
	for n > 0 && s.head < len(s.queue) {
		size := len(s.queue[s.head].bytes)
		rest := size - s.written
		if n < rest {
			s.written += n
			break
		}
		n -= rest
		s.written = 0
		s.queuedBytes -= size
		f := s.queue[s.head]
		f.key.tenant.counters.delivered.Add(1)
		f.key.tenant.counters.bytes.Add(uint64(size))
		if f.delivery.closed() {
			finished = append(finished, f.delivery)
		}
		s.queue[s.head] = nil
		s.head++
		frames++
	}
	switch {
	case s.head == len(s.queue):
		s.resetQueue()
	case s.head > keptQueueSlots && 2*s.head > len(s.queue):
		// A peer that is always a frame behind would have it grow forever.
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	if frames > 0 {
		s.delivered += uint64(frames)
		s.lastDelivery = time.Now().UnixNano()
	}
	return frames, finished
}

// keptQueueSlots is the queue room an idle session may keep.
const keptQueueSlots = 8

func (s *session) resetQueue() {
	s.head = 0
	s.queue = s.queue[:0]
	if cap(s.queue) > keptQueueSlots {
		s.queue = nil
	}
}

// dropForeignFrames takes frames under another key than the current one out of
// the queue, for the peer could not decrypt them. Frames that are being written
// or partly written stay: cutting them would garble the stream. The caller holds
// mu.
func (s *session) dropForeignFrames() {
	begun := s.inFlight
	if s.written > 0 {
		begun = max(begun, 1)
	}
	kept := s.queue[:s.head+begun]
	for _, f := range s.queue[s.head+begun:] {
		if f.key != s.registration.key {
			s.queuedBytes -= len(f.bytes)
			f.delivery.closed()
			continue
		}
		kept = append(kept, f)
	}
	clear(s.queue[len(kept):])
	s.queue = kept
}
