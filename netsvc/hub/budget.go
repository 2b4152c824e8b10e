package hub

import (
	"cmp"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What waits in all queues, and what is kept for all remembered sessions, takes no more memory
// than Limits.QueueMemory (protocol.md section 5). Counted are:
//
//   - each message once, however many sessions it waits or is kept for, from its publication
//     until nobody needs it: its frames, one for each client key among its recipients, with
//     frameOverhead each (holding);
//   - a frame that was made anew under another key for a session, the same way;
//   - what a session holds them in: its queue if that has grown beyond what an idle session
//     has, and entryBytes for each frame that is kept (outbox.takes);
//   - a session that is detached: detachedBytes, and what it says of itself beyond what an
//     add-in does (registration.takes).
//
// What a session takes that is sent nothing, and what the system holds of its connection, is
// not in it.

const (
	frameOverhead = 128  // of a frame: itself and its delivery, rounded up by the allocator
	entryBytes    = 64   // of a frame that is kept, or is to be sent again
	detachedBytes = 1024 // of a detached session
	textBytes     = 1000 // that add-ins say of themselves at most (protocol.md section 4.4): no more is in detachedBytes
	groupBytes    = 256  // of a further group, beside its name
)

// budget counts what is taken of Limits.QueueMemory.
type budget struct {
	used atomic.Int64

	relieving sync.Mutex // is held while sessions are dropped, and guards the rest
	ranking   []burden   // the largest first, without those that were dropped
	rankedAt  time.Time
	rankNext  time.Time // not before, for nobody can be dropped
	// For the log:
	dropped, forgotten int       // since it was said that sessions are
	last               time.Time // that one was; zero: nothing was said
}

// holding is memory that goes back to the budget when nobody needs it any more.
type holding struct {
	needs atomic.Int32 // how many do; all copies of a message that are queued are one
	bytes atomic.Int64
}

func (d *holding) need() { d.needs.Add(1) }

func (d *holding) free(b *budget) {
	if d.needs.Add(-1) == 0 {
		b.used.Add(-d.bytes.Load())
	}
}

// hold takes something into account that one needs.
func (b *budget) hold(bytes int64) *holding {
	d := new(holding)
	d.bytes.Store(bytes)
	d.needs.Store(1)
	b.used.Add(bytes)
	return d
}

// recount takes into account what a session's frames are held in, after its outbox was changed.
// The caller holds the session's mu.
func (b *budget) recount(s *session) {
	now := s.out.takes()
	if s.out.state == outDetached && s.out.memory != nil {
		now += detachedBytes + max(0, s.registration.takes()-textBytes)
	}
	if now = min(now, math.MaxUint32); now != int(s.counted) {
		b.used.Add(int64(now) - int64(s.counted))
		s.counted = uint32(now)
	}
}

// takes is how many bytes it takes to hold the frames of the outbox, without themselves.
func (o *outbox) takes() (bytes int) {
	if cap(o.queue) > keptQueueSlots {
		bytes = cap(o.queue) * slotBytes
	}
	if m := o.memory; m != nil {
		bytes += entryBytes * (len(m.kept) + m.again)
	}
	return bytes
}

// takes is how many bytes it takes to hold what a session has said of itself.
func (r *registration) takes() (bytes int) {
	bytes = len(r.infobase.ib) + len(r.user) + len(r.group)
	if said := r.more; said != nil {
		bytes += len(said.user) + len(said.host) + len(said.ib.Value()) + len(said.agent.Value())
	}
	further := r.further()
	for i := range further {
		bytes += groupBytes + len(further[i].name.Value())
	}
	return bytes
}

// slotBytes is the size of a place in a queue.
const slotBytes = 8

// memory is how many bytes a frame takes.
func (f *frame) memory() int64 {
	if f.keep != nil { // it is a part of something larger
		return int64(len(f.bytes)) + frameOverhead
	}
	return int64(cap(f.bytes)) + frameOverhead
}

// holding is where the memory of a frame is counted.
func (f *frame) holding() *holding {
	if f.own != nil {
		return f.own
	}
	return &f.delivery.held
}

// share is what a frame takes, divided among those who need it.
func (f *frame) share() int64 {
	n := int64(f.holding().needs.Load())
	if f.own == nil {
		if open := f.delivery.open.Load(); open > 0 {
			n += open - 1
		}
	}
	return f.holding().bytes.Load() / max(n, 1)
}

// share is what dropping the session gives back of the budget; of what others need too, its
// part. Zero: it is not to be dropped. A queue whose peer reads does not count: it is we who
// have not come to it yet.
func (s *session) share() (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	if !o.isBurden() {
		return 0
	}
	bytes = int64(s.counted)
	if o.state == outBlocked {
		for _, f := range o.queue[o.head:] {
			bytes += f.share()
		}
	}
	if o.memory != nil {
		for _, k := range o.memory.kept {
			bytes += k.share()
		}
	}
	return bytes
}

// isBurden reports whether an outbox with a connection may have to be dropped for its memory:
// the peer does not read, or it is one of which frames are kept that were sent.
func (o *outbox) isBurden() bool {
	return o.state == outBlocked || o.memory != nil && len(o.memory.kept) > 0 && o.state != outDetached
}

// isOver reports whether more is taken than may be.
func (h *Hub) isOver() bool { return h.budget.used.Load() > h.limits.Load().QueueMemory }

// relieve drops sessions until no more is taken than may be: first those that are detached, the
// one that has been away longest first; then, one by one, the one whose dropping gives back
// most. Whoever is about to add more waits meanwhile.
func (h *Hub) relieve() {
	if !h.isOver() {
		return
	}
	b := h.budget
	b.relieving.Lock()
	defer b.relieving.Unlock()
	for turn := 0; h.isOver() && !h.frozen.Load(); turn++ {
		any, looked := h.forgetDetached(), false
		if !any {
			any, looked = h.dropLargest()
		}
		switch {
		case any:
			turn = 0
		case looked && h.writing.Load() <= h.waiting.Load():
			return // it is just being given back
		default:
			pause(turn)
		}
	}
}

// forgetDetached forgets detached sessions as long as that is necessary. It reports false if it
// found none.
func (h *Hub) forgetDetached() (any bool) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	for h.isOver() && !h.frozen.Load() {
		first := all.detached.Front()
		if first == nil {
			break
		}
		h.sayFull()
		h.budget.forgotten++
		any = true
		own := first.Value.(*holder)
		s := own.session.Load()
		h.end(own, closedForRoom)
		s.until((*outbox).isStill) // then its memory is given back
	}
	return any
}

// burden is a session that may have to be dropped, and its share when that was looked at.
type burden struct {
	session *session
	share   int64
}

// rankingAge is how long sessions are dropped in the order that they had. To look at each of ten
// thousand takes milliseconds, for which senders wait.
const rankingAge = 100 * time.Millisecond

// dropLargest drops the sessions that take most, as long as that is necessary. It reports whether
// it found any, and whether it looked: when it has found none, it does not for a while.
func (h *Hub) dropLargest() (any, looked bool) {
	b := h.budget
	if now := time.Now(); now.Before(b.rankNext) {
		return false, false
	} else if len(b.ranking) == 0 || now.Sub(b.rankedAt) >= rankingAge {
		h.rank()
	}
	for len(b.ranking) > 0 && h.isOver() {
		largest := b.ranking[0].session
		b.ranking[0] = burden{}
		b.ranking = b.ranking[1:]
		if h.closeIf(largest, closedSlowForRoom, func(s *session) bool { return s.out.isBurden() }) {
			h.sayFull()
			b.dropped++
			any = true
			largest.until((*outbox).isStill) // then its memory is given back
		}
	}
	return any, true
}

// When nobody can be dropped, sessions are not looked at again for rankingRest times as long as that
// took, nor for leastRest: else whoever waits would do nothing else.
const (
	rankingRest = 10
	leastRest   = time.Millisecond
)

// rank looks which sessions take most.
func (h *Hub) rank() {
	b := h.budget
	began := time.Now()
	b.ranking = nil
	for _, s := range h.snapshot() {
		if share := s.share(); share > 0 {
			b.ranking = append(b.ranking, burden{s, share})
		}
	}
	slices.SortFunc(b.ranking, func(a, b burden) int {
		return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(a.session.id, b.session.id))
	})
	b.rankedAt = time.Now()
	if len(b.ranking) == 0 {
		took := b.rankedAt.Sub(began)
		b.rankNext = b.rankedAt.Add(min(max(rankingRest*took, leastRest), rankingAge))
	}
}

// sayFull says, once for all sessions until sayEnough has said that it is over, that sessions
// are dropped. The caller holds relieving.
func (h *Hub) sayFull() {
	b := h.budget
	if b.last.IsZero() {
		h.logger.Warn("messages that wait take more memory than queue_memory: sessions are dropped",
			slog.Int64("bytes", b.used.Load()), slog.Int64("queue_memory", h.limits.Load().QueueMemory))
	}
	b.last = time.Now()
}

// quiet is how long no session must have been dropped until it is said that it is over.
const quiet = time.Minute

// sayEnough says that no more sessions are dropped.
func (h *Hub) sayEnough(now time.Time) {
	b := h.budget
	b.relieving.Lock()
	defer b.relieving.Unlock()
	if now.Sub(b.rankedAt) >= rankingAge {
		b.ranking = nil // sessions are not kept for it
	}
	if b.last.IsZero() || now.Sub(b.last) < quiet {
		return
	}
	h.logger.Warn("messages that wait take less memory than queue_memory again", slog.Int64("bytes", b.used.Load()),
		slog.Int("dropped", b.dropped), slog.Int("forgotten", b.forgotten))
	b.dropped, b.forgotten, b.last = 0, 0, time.Time{}
}
