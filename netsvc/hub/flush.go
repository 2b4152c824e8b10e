package hub

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// coalesceBytes is how much of a queue leaves in one write.
const coalesceBytes = 16 << 10

// flusher writes the queues of the sessions pushed to it, one goroutine for
// each processor. Its list is bounded by the number of sessions: busy admits a
// session once.
type flusher struct {
	hub  *Hub
	wake chan struct{}
	done chan struct{}

	mu         sync.Mutex
	head, tail *session
}

func newFlusher(h *Hub) *flusher {
	return &flusher{hub: h, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (h *Hub) flusherOf(s *session) *flusher {
	return h.flushers[s.id%uint64(len(h.flushers))]
}

// push adds a session whose busy mark the caller has just set.
func (f *flusher) push(s *session) {
	f.mu.Lock()
	empty := f.head == nil
	if empty {
		f.head = s
	} else {
		f.tail.next = s
	}
	f.tail = s
	f.mu.Unlock()
	if empty {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

func (f *flusher) pop() *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.head
	if s != nil {
		f.head, s.next = s.next, nil
	}
	return s
}

// run writes until stop is called.
func (f *flusher) run() {
	out := newOutlet()
	for {
		for s := f.pop(); s != nil; s = f.pop() {
			f.hub.flush(s, out)
		}
		select {
		case <-f.wake:
		case <-f.done:
			return
		}
		// Whoever is about to publish goes first: frames that wait together for a
		// session leave in one write, which costs hardly more than a write for one.
		runtime.Gosched()
	}
}

func (f *flusher) stop() { close(f.done) }

// outlet is the working memory of whoever flushes.
type outlet struct {
	*tryWriter
	buf      []byte
	finished []*delivery
}

func newOutlet() *outlet {
	return &outlet{tryWriter: newTryWriter(), buf: make([]byte, 0, coalesceBytes)}
}

// flush writes a session's queue without blocking. The caller owns the writing;
// flush gives it up when the queue is empty, or passes it to a goroutine that
// waits if the socket's buffer is full.
func (h *Hub) flush(s *session, out *outlet) {
	// One batch and one more round: a session that is sent to all the time must
	// not keep the flusher from the others.
	for range 2 {
		b := s.gather(out.buf, h.frozen.Load())
		if b == nil {
			h.endWriting()
			return
		}
		n, full, err := out.tryWrite(s.raw, b)
		out.finished = h.advance(s, n, out.finished)
		switch {
		case err != nil && h.froze(err):
		case err != nil:
			h.closeSession(s, closedWriteFailed)
		case full:
			h.goroutines.Go(func() { h.flushBlocking(s) })
			return
		}
	}
	h.flusherOf(s).push(s)
}

// flushBlocking writes a slow session's queue, waiting for it, and ends when the
// queue is empty or the session is dropped.
func (h *Hub) flushBlocking(s *session) {
	for {
		b := s.gather(nil, h.frozen.Load())
		if b == nil {
			h.endWriting()
			return
		}
		s.conn.SetWriteDeadline(time.Now().Add(h.limits.Load().WriteTimeout))
		if h.frozen.Load() {
			s.conn.SetWriteDeadline(past)
		}
		n, err := s.conn.Write(b)
		h.advance(s, n, nil)
		switch {
		case err == nil:
			// Writes that do not block look at the deadline too.
			s.conn.SetWriteDeadline(time.Time{})
		case h.froze(err):
		case errors.Is(err, os.ErrDeadlineExceeded) && n > 0:
			// It is slow, but it reads.
		case errors.Is(err, os.ErrDeadlineExceeded):
			h.closeSession(s, closedWriteTimeout)
		case errors.Is(err, net.ErrClosed):
			// Closed by somebody else, who said why.
		default:
			h.closeSession(s, closedWriteFailed)
		}
	}
}

// advance accounts for n written bytes of what was gathered. It returns finished,
// which is room that it may use, empty.
func (h *Hub) advance(s *session, n int, finished []*delivery) []*delivery {
	frames, finished := s.advance(max(n, 0), finished)
	h.counters.delivered.Add(uint64(frames))
	h.counters.bytes.Add(uint64(n))
	for _, d := range finished {
		h.finished(d)
	}
	clear(finished)
	return finished[:0]
}

// startWriting counts the sessions with something to write, for Shutdown.
func (h *Hub) startWriting() { h.writing.Add(1) }

func (h *Hub) endWriting() {
	if h.writing.Add(-1) == 0 {
		select {
		case h.drained <- struct{}{}:
		default:
		}
	}
}
