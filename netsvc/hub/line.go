package hub

import (
	"context"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
)

// line is what a memory has besides where its session may go on at another node of a cluster
// (package moving). It belongs to the memory, and is guarded as that is.
type line struct {
	unsent []unsent     // one for each frame of the outbox that was never sent, in their order
	cover  moving.Cover // messages that it accounts for, though this node did not queue them
	lapse  time.Time    // since then none of these can come any more; noLapse: not known yet
	lost   moving.Lost  // nor does it take anything of these
	back   time.Time    // until then
	frozen bool         // another node goes on with it, perhaps: it takes nothing
	asking *asking      // nil: nobody is asked for it; guarded by memories.mu too
}

// noLapse is the lapse of a cover that holds as long as the memory is frozen, or was.
var noLapse time.Time

// unsent is where a frame came from, and who waits to hear whether it was queued; nil: nobody.
type unsent struct {
	origin moving.Origin
	held   *held
}

// asking is a registration that waits for what the other nodes have. All but what says
// otherwise is guarded by memories.mu.
type asking struct {
	session   *session // whose registration it is
	turn      uint64
	fresh     bool // this node remembered nothing
	wasFrozen bool
	before    int // how many frames of the line were unsent before
	ctx       context.Context
	cancel    context.CancelFunc
	over      chan struct{} // is closed when the registration is in force, or of no effect
	result    *moving.Result
	from      string // the node whose memory is used; empty: this one's, or none
	taken     bool   // the session goes on here; as from, read by the registration's goroutine, which set it
}

// line returns that of a memory, which is made now if it has none. o is the outbox that has
// the memory.
func (o *outbox) line() *line {
	m := o.memory
	if m.line == nil {
		m.line = &line{unsent: make([]unsent, o.unsent())}
	}
	return m.line
}

// alone has a memory be as one that no other node knows of: it came from a process that was
// one of a cluster.
func (s *session) alone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.memory.line = nil
}

// asks returns the registration that waits for a remembered session, nil: none does. The
// caller holds memories.mu.
func (own *holder) asks() *asking {
	if l := own.session.Load().remembered().line; l != nil {
		return l.asking
	}
	return nil
}

// abandon ends the waiting for other nodes when the session is forgotten.
func (l *line) abandon(h *Hub) {
	if l.asking == nil {
		return
	}
	l.asking.cancel()
	for i := range l.unsent {
		if v := l.unsent[i].held; v != nil {
			v.settle(h, false, false)
			l.unsent[i].held = nil
		}
	}
}

// takes reports whether a message is to be queued: the memory does not have it already, on
// another node.
func (l *line) takes(origin moving.Origin) bool {
	if l.frozen {
		return false
	}
	l.expire()
	return !l.cover.Has(origin) && !l.lost.Has(origin)
}

// expire forgets the cover if none of its messages can come any more, and the lost nodes if none can that they had
// sent before the session began.
func (l *line) expire() {
	now := time.Now()
	if l.cover != nil && !l.lapse.IsZero() && now.After(l.lapse) {
		l.cover = nil
	}
	if l.lost.Lives != nil && now.After(l.back) {
		l.lost = moving.Lost{}
	}
}

// queued notes a frame that was queued, and returns the verdict on it: who is to be told waits
// while other nodes are asked.
func (l *line) queued(p *publication, v verdict) verdict {
	one := unsent{origin: p.origin}
	if l.asking != nil && p.settled != nil {
		one.held, v = p.hold(), undecided
	}
	l.unsent = append(l.unsent, one)
	return v
}

// putFrom is put for a message that may have come from another node.
func (o *outbox) putFrom(p *publication, f *frame, queueBytes int) verdict {
	if o.memory == nil || o.memory.line == nil {
		return o.put(f, queueBytes)
	}
	l := o.memory.line
	if !l.takes(p.origin) {
		return notFor
	}
	v := o.put(f, queueBytes)
	if v == queued || v == wakeable || v == awaited {
		v = l.queued(p, v)
	}
	return v
}

// begun notes that the first frame that was never sent is being sent.
func (l *line) begun() {
	l.unsent[0] = unsent{}
	l.unsent = l.unsent[1:]
}

// keepUnsent leaves, of the frames that were never sent, those for which keep is true, and
// tells those who wait to hear of them. The outbox has a line.
func (o *outbox) keepUnsent(h *Hub, away bool, keep func(at int, one unsent) bool) {
	l := o.line()
	first := len(o.queue) - len(l.unsent)
	frames, rest := o.queue[:first], l.unsent[:0]
	for at, one := range l.unsent {
		f, kept := o.queue[first+at], keep(at, one)
		if one.held != nil {
			one.held.settle(h, kept, away)
			one.held = nil
		}
		if kept {
			frames, rest = append(frames, f), append(rest, one)
			continue
		}
		o.queuedBytes -= len(f.bytes)
		f.done()
	}
	clear(o.queue[len(frames):])
	clear(l.unsent[len(rest):])
	o.queue, l.unsent = frames, rest
}

// dropSent gives up the frames of a detached outbox that were sent, or were to be sent again.
func (o *outbox) dropSent() {
	m := o.memory
	for _, k := range m.kept {
		k.kept()
	}
	first := len(o.queue) - o.unsent()
	for _, f := range o.queue[o.head:first] {
		o.queuedBytes -= len(f.bytes)
		f.done()
	}
	o.queue = append([]*frame(nil), o.queue[first:]...)
	o.head, o.written, o.foreign = 0, 0, false
	m.kept, m.keptBytes, m.again, m.againSize = nil, 0, 0, 0
}

// held is a message that was queued for sessions of which it is not known yet whether they go
// on here.
type held struct {
	mu    sync.Mutex
	open  int // sessions of which that is not known, and one as long as the publisher counts
	reach Reach
	told  func(Reach)
}

// hold returns the message as one of which it is not known yet whom it reaches.
func (p *publication) hold() *held {
	if p.held == nil {
		p.held = &held{open: 1, told: p.settled}
	}
	p.held.mu.Lock()
	defer p.held.mu.Unlock()
	p.held.open++
	return p.held
}

// settle notes whether the message is queued for one session more, which may be away.
func (v *held) settle(h *Hub, queued, away bool) {
	reach := Reach{}
	if queued {
		reach.Sessions = 1
	}
	if queued && away {
		reach.Waiting = 1
	}
	v.add(h, reach)
}

// add adds whom the message reached, and tells of it when that was the last to be known.
func (v *held) add(h *Hub, reach Reach) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reach.Sessions += reach.Sessions
	v.reach.Waiting += reach.Waiting
	if v.open--; v.open == 0 {
		reach := v.reach
		h.later(func() { v.told(reach) }) // the caller holds locks
	}
}

// saved is what is handed over of a line. The hub is frozen.
func (l *line) saved() *SavedLine {
	if l == nil {
		return nil
	}
	saved := &SavedLine{Frozen: l.frozen}
	if len(l.cover) > 0 {
		saved.Cover = l.cover.Append(nil)
	}
	if !l.lapse.IsZero() {
		saved.Lapse = l.lapse.UnixNano()
	}
	if l.lost.Lives != nil {
		saved.Lost, saved.Back = l.lost.Lives, l.back.UnixNano()
	}
	for _, one := range l.unsent {
		saved.Origins = one.origin.Append(saved.Origins)
	}
	return saved
}

// read reads what saved wrote; ok is false if it is not that of a queue with so many frames that
// were never sent.
func (saved *SavedLine) read(unsentFrames int) (cover moving.Cover, origins []unsent, ok bool) {
	var err error
	if len(saved.Cover) > 0 {
		if cover, err = moving.ParseCover(saved.Cover); err != nil {
			return nil, nil, false
		}
	}
	rest := saved.Origins
	for len(rest) > 0 {
		var one unsent
		if one.origin, rest, err = moving.ParseOrigin(rest); err != nil {
			return nil, nil, false
		}
		origins = append(origins, one)
	}
	return cover, origins, len(origins) == unsentFrames
}

// whole reports whether what was read can be of a queue with so many frames that were never sent.
func (saved *SavedLine) whole(unsentFrames int) bool {
	if saved == nil {
		return true
	}
	_, _, ok := saved.read(unsentFrames)
	return ok
}

// restored is the line of an outbox that was handed over; no process served for as long as it stood.
func (saved *SavedLine) restored(stood time.Duration, o *outbox) *line {
	if saved == nil {
		return nil
	}
	cover, origins, ok := saved.read(o.unsent())
	if !ok { // a frame is not in the queue any more: its app is gone
		origins = make([]unsent, o.unsent())
	}
	l := &line{frozen: saved.Frozen, cover: cover, unsent: origins}
	if saved.Lapse != 0 {
		l.lapse = time.Unix(0, saved.Lapse).Add(stood)
	}
	if len(saved.Lost) > 0 {
		l.lost.Lives, l.back = saved.Lost, time.Unix(0, saved.Back).Add(stood)
	}
	return l
}
