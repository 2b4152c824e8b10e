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
// each processor. It takes from two lists by turns, so that a message to one user
// does not wait for one to ten thousand that came before. The lists are bounded by
// the number of sessions: a session is in one of them at most, once.
type flusher struct {
	hub  *Hub
	wake chan struct{}
	done chan struct{}

	mu    sync.Mutex
	lists [2]sessionList
	last  rank // of the list that was taken from
}

// rank is the list of a flusher that a session waits in.
type rank int

const (
	among rank = iota // many recipients
	alone             // or nearly so
)

// fewRecipients is up to how many recipients of a message are alone.
const fewRecipients = 16

// sessionList is a list in the order of coming, linked by session.next.
type sessionList struct{ head, tail *session }

func newFlusher(h *Hub) *flusher {
	return &flusher{hub: h, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (h *Hub) flusherOf(s *session) *flusher {
	return h.flushers[s.id%uint64(len(h.flushers))]
}

// push adds a session whose outbox the caller has just made outListed, unless it is there
// still: a publisher may have written meanwhile what it was put there for.
func (f *flusher) push(s *session, r rank) {
	f.mu.Lock()
	asleep := f.lists[among].head == nil && f.lists[alone].head == nil
	if !s.linked {
		s.linked = true
		f.lists[r].push(s)
	}
	f.mu.Unlock()
	if asleep {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// pop takes the next session, nil if there is none.
func (f *flusher) pop() *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := alone - f.last
	if f.lists[next].head == nil {
		next = f.last
	}
	f.last = next
	return f.lists[next].pop()
}

func (l *sessionList) push(s *session) {
	if l.head == nil {
		l.head = s
	} else {
		l.tail.next = s
	}
	l.tail = s
}

func (l *sessionList) pop() *session {
	s := l.head
	if s != nil {
		l.head, s.next, s.linked = s.next, nil, false
	}
	return s
}

// run writes until stop is called, or the hub is frozen.
func (f *flusher) run() {
	out := newOutlet()
	for {
		for s := f.pop(); s != nil; s = f.pop() {
			if f.hub.frozen.Load() {
				return // what is left in the lists is found in the sessions
			}
			if s.beginWriting() {
				f.hub.flush(s, out)
			}
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

// outlets are those of publishers that help.
var outlets = sync.Pool{New: func() any { return newOutlet() }}

// help is flush by a publisher, which owns the writing.
func (h *Hub) help(s *session) {
	out := outlets.Get().(*outlet)
	defer outlets.Put(out)
	h.flush(s, out)
}

// flush writes a session's queue without blocking. The caller owns the writing;
// flush gives it up when the queue is empty, or passes it to a goroutine that
// waits if the socket's buffer is full.
func (h *Hub) flush(s *session, out *outlet) {
	// One batch and one more round: a session that is sent to all the time must
	// not keep the flusher from the others.
	for range 2 {
		b := h.gather(s, out.buf)
		if b == nil {
			return
		}
		n, full, err := out.tryWrite(s.raw, b)
		out.finished = h.advance(s, n, out.finished)
		switch {
		case err != nil:
			h.closeUnwritable(s, h.whyEnded(s.raw, err, closedWriteFailed))
		case full:
			s.mu.Lock()
			s.out.block()
			s.mu.Unlock()
			h.goroutines.Go(func() { h.flushBlocking(s) })
			return
		}
	}
	h.passOn(s)
}

// passOn gives the writing of a session to its flusher.
func (h *Hub) passOn(s *session) {
	s.mu.Lock()
	left := s.out.pass()
	s.mu.Unlock()
	if left {
		h.flusherOf(s).push(s, among)
	} else {
		h.endWriting()
	}
}

// flushBlocking writes a frame of a session whose socket was full, waiting for the
// peer, and passes the rest on; where only it can write, it writes the rest too. It
// ends when that is done or the session is dropped.
func (h *Hub) flushBlocking(s *session) {
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	progress := time.Now()
	for {
		b := h.gather(s, nil)
		if b == nil {
			return
		}
		s.conn.SetWriteDeadline(time.Now().Add(h.limits.Load().WriteTimeout))
		if h.frozen.Load() {
			s.conn.SetWriteDeadline(past)
		}
		n, err := s.conn.Write(b)
		h.advance(s, n, nil)
		switch {
		case err == nil && triesWrites:
			h.passOn(s)
			return
		case err == nil, h.frozen.Load():
		case errors.Is(err, os.ErrDeadlineExceeded) && n > 0:
			progress = time.Now() // it is slow, but it reads
		case errors.Is(err, os.ErrDeadlineExceeded) && h.isSilent(s.raw):
			progress = time.Now()
		case errors.Is(err, os.ErrDeadlineExceeded):
			if time.Since(progress) >= h.unreadTime(s.raw) {
				h.closeUnwritable(s, closedWriteTimeout)
			}
		case errors.Is(err, net.ErrClosed):
			// Closed by somebody else, who said why.
		default:
			h.closeUnwritable(s, h.whyEnded(s.raw, err, closedWriteFailed))
		}
	}
}

// beginWriting makes the caller the one who writes, if anything waits and nobody does.
func (s *session) beginWriting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.begin()
}

// gather returns what is to be written next; nil: there is nothing, and the writing has
// ended.
func (h *Hub) gather(s *session, buf []byte) []byte {
	frozen := h.frozen.Load()
	s.mu.Lock()
	b := s.out.gather(buf, frozen)
	s.mu.Unlock()
	if b == nil {
		h.endWriting()
	}
	return b
}

// advance accounts for n written bytes of what was gathered. It returns finished,
// which is room that it may use, empty.
func (h *Hub) advance(s *session, n int, finished []*delivery) []*delivery {
	resumeBytes := h.limits.Load().ResumeBytes
	s.mu.Lock()
	frames, finished := s.out.advance(max(n, 0), resumeBytes, finished)
	untold := s.out.untold
	s.out.untold = false
	var lost *loss
	if s.out.state == outDetached {
		lost = s.settleLoss()
	}
	h.budget.recount(s)
	s.mu.Unlock()
	h.counters.delivered.Add(uint64(frames))
	h.counters.bytes.Add(uint64(n))
	if untold {
		h.later(func() { h.announceEnd(s) })
	}
	if lost != nil {
		h.later(func() { h.tellLoss(lost) })
	}
	for _, d := range finished {
		h.finished(d)
	}
	clear(finished)
	return finished[:0]
}

// startWriting counts, for Drain, the sessions whose outbox is outListed, outWriting or
// outBlocked. It is called before anybody else can see that.
func (h *Hub) startWriting() { h.writing.Add(1) }

func (h *Hub) endWriting() {
	if h.writing.Add(-1) == 0 {
		select {
		case h.drained <- struct{}{}:
		default:
		}
	}
}
