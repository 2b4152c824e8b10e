package hub

import (
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// outbox is what waits to be written to a session, who writes it, and what has been
// written so far. The session's mu guards it: callers of all methods hold that.
//
// Whoever makes it outWriting owns the writing, and is the only one to call gather, advance,
// block and pass, until it has given the writing up:
//
//	             put         begin       gather           block       pass             drop
//	outIdle      outListed                                                             outDropped
//	outListed    outListed   outWriting                                                outDropped
//	outWriting   outWriting              outWriting (1)   outBlocked  outListed (2)    outDropped
//	outBlocked   outBlocked              outBlocked (1)               outListed (2)    outDropped
//	outDropped   (3)         (3)         (3)              outDropped  (3)
//	outDetached  outDetached (3)         (3)              outDetached (3)              outDropped
//
// outDetached is the outbox of a remembered session without a connection, which detach makes of
// any but outDropped; attach has another outbox go on with what is in it.
//
// (1) or outIdle, if nothing is left. (2) to a flusher, or outIdle too. (3) refused; the
// writer has given up. Any other gap cannot come about.
//
// What happens when the queue is full is put's verdict: a session that is outBlocked does not
// read, so it is dropped; in any other state it is we who have not come to it yet.
type outbox struct {
	queue       []*frame // queue[head:] waits to be written
	head        int
	written     int // bytes of queue[head] that are written
	queuedBytes int // of queue[head:], written ones included

	delivered    uint64 // frames written whole
	bytes        uint64 // written
	lastDelivery int64  // Unix nanoseconds; 0: none

	memory   *memory // nil: the session is not to be remembered
	inFlight int32   // frames gathered from head on and being written
	foreign  bool    // queue[head] is the rest of a frame that memory knows nothing of
	leaving  bool    // who was writing has not noticed yet that it is outDetached
	untold   bool    // the end of the session is announced by whoever writes, who counts what it wrote
	state    outboxState
}

// outboxState is who is about to write what waits.
type outboxState uint8

const (
	outIdle     outboxState = iota // nobody: there is nothing
	outListed                      // a flusher, in whose list the session is or is about to be put
	outWriting                     // somebody is writing: a flusher, or a publisher that makes room
	outBlocked                     // that somebody waits for the peer: the socket's buffer is full
	outDropped                     // nobody any more: the session has ended
	outDetached                    // nobody, until the session comes back on another connection
)

// verdict is what became of a frame offered to a session.
type verdict int

const (
	notFor    verdict = iota // closed, or no longer the one that was meant
	tooSlow                  // its queue is full, and the peer does not read: it is to be dropped
	crowded                  // its queue is full of what we have not written yet: see offer
	queued                   // somebody writes already, or will
	wakeable                 // queued, and the caller has to hand the session to a flusher
	awaited                  // queued for a session that is detached
	overfull                 // its queue is full, and it is detached
	undecided                // queued, but it is not known yet whether the session goes on here
)

// put adds a frame, if the verdict is queued or wakeable. Beyond its first frame an outbox
// holds queueBytes at most.
func (o *outbox) put(f *frame, queueBytes int) verdict {
	if o.state == outDropped {
		return notFor
	}
	if o.head < len(o.queue) && o.isFull(len(f.bytes), queueBytes) {
		switch o.state {
		case outBlocked:
			return tooSlow
		case outDetached:
			o.memory.missed++
			return overfull
		}
		return crowded
	}
	o.queue = append(o.queue, f)
	o.queuedBytes += len(f.bytes)
	switch o.state {
	case outIdle:
	case outDetached:
		return awaited
	default:
		return queued
	}
	o.state = outListed
	return wakeable
}

// isFull reports whether so many bytes more are too many for a queue in which something waits.
// What is kept does not count.
func (o *outbox) isFull(more, queueBytes int) bool {
	frames, bytes := len(o.queue)-o.head, o.queuedBytes
	if m := o.memory; m != nil {
		frames, bytes = frames-m.again, bytes-m.againSize
		if o.written > 0 {
			frames, bytes = frames-1, bytes-len(o.queue[o.head].bytes)
		}
	}
	return frames > 0 && bytes+more > queueBytes
}

// begin makes the caller the one who writes. It reports false if somebody does, or if
// nothing waits any more.
func (o *outbox) begin() bool {
	if o.state != outListed {
		return false
	}
	o.state = outWriting
	return true
}

// gather returns what is to be written next: the rest of the first frame, or,
// if several fit, as much as fits into buf, so that many small frames leave in
// one call. It returns nil and gives the writing up when there is nothing
// left, the session has ended or the hub is frozen.
func (o *outbox) gather(buf []byte, frozen bool) []byte {
	if o.state == outDropped || o.state == outDetached {
		o.leaving = false
		return nil
	}
	waiting := o.queue[o.head:]
	if len(waiting) == 0 || frozen {
		o.state = outIdle
		return nil
	}
	o.inFlight = 1
	first := waiting[0].bytes[o.written:]
	if o.memory != nil {
		// No more than this can be beyond the send buffer's bound.
		first = first[:min(len(first), coalesceBytes)]
		if len(first) < len(waiting[0].bytes)-o.written {
			return first
		}
	}
	if len(waiting) == 1 || len(first)+len(waiting[1].bytes) > cap(buf) {
		return first
	}
	buf = append(buf[:0], first...)
	for _, f := range waiting[1:] {
		if len(buf)+len(f.bytes) > cap(buf) {
			break
		}
		buf = append(buf, f.bytes...)
		o.inFlight++
	}
	return buf
}

// advance takes n written bytes of what was gathered off the queue and counts
// the frames completed, those of a session that has ended meanwhile too. Of those of a remembered
// session so many bytes are kept. It appends the deliveries that ended with them to finished.
func (o *outbox) advance(n, resumeBytes int, finished []*delivery) (frames int, ended []*delivery) {
	o.inFlight = 0
	o.bytes += uint64(n)
	var now time.Time
	if n > 0 {
		now = time.Now() // once: it takes longer than the rest of this
	}
	for n > 0 && o.head < len(o.queue) {
		f := o.queue[o.head]
		rest := len(f.bytes) - o.written
		if m := o.memory; m != nil && !o.foreign {
			if o.written == 0 {
				m.begin(f, now, resumeBytes)
			}
			m.sent(min(n, rest), n >= rest, resumeBytes)
		}
		if n < rest {
			o.written += n
			break
		}
		n -= rest
		o.written = 0
		o.queuedBytes -= len(f.bytes)
		o.queue[o.head] = nil
		o.head++
		o.foreign = false
		if f.own != nil {
			f.own.free(f.key.tenant.budget)
		}
		if f.delivery == nil { // it was delivered before, on another connection
			continue
		}
		f.key.tenant.counters.delivered.Add(1)
		f.key.tenant.counters.bytes.Add(uint64(len(f.bytes)))
		if f.delivery.closed(f.key.tenant.budget) {
			finished = append(finished, f.delivery)
		}
		frames++
	}
	if frames > 0 {
		o.delivered += uint64(frames)
		o.lastDelivery = now.UnixNano()
	}
	if o.state == outDropped {
		o.discard()
	}
	o.trim()
	return frames, finished
}

// block notes that whoever writes will wait for the peer.
func (o *outbox) block() {
	if o.state == outWriting {
		o.state = outBlocked
	}
}

// pass gives the writing up, and reports whether the caller has to hand the session to a
// flusher: something is left to write. After a freeze, when nobody writes and the lists are
// new, it does so from whatever the outbox was.
func (o *outbox) pass() bool {
	switch {
	case o.state == outDropped, o.state == outDetached:
		o.leaving = false
		return false
	case o.head == len(o.queue):
		o.state = outIdle
		return false
	}
	o.state = outListed
	return true
}

// list reports whether the caller has to hand the session to a flusher: something waits, and
// nobody is about to write it.
func (o *outbox) list() bool { return o.state == outIdle && o.pass() }

// drop ends the outbox: nothing more is put in or written, and what waits is lost. Only
// what is being written at this moment is left to advance, which knows how much of it was:
// until then its memory, which may be a mapped file, has to stay.
// It reports whether the outbox was outListed: then nobody will write it, and the caller
// counts that off.
func (o *outbox) drop() (wasListed bool) {
	wasListed = o.state == outListed
	o.state = outDropped
	o.discard()
	return wasListed
}

// detach ends the writing, not the outbox: what is in it waits for another connection. It
// reports whether the outbox was outListed, as drop does.
func (o *outbox) detach() (wasListed bool) {
	wasListed, o.leaving = o.state == outListed, o.hasWriter()
	o.state = outDetached
	return wasListed
}

// remember has the outbox of a connected session keep what it sends from now on.
func (o *outbox) remember(m *memory) { o.memory, o.foreign = m, o.written > 0 }

// part has an empty outbox hold, detached, what another one does, whose connection goes on
// with another session: it is still to be sent the rest of a frame that was begun. It reports
// whether the caller has to hand that session to a flusher.
func (o *outbox) part(from *outbox) bool {
	queue := from.queue[from.head:]
	from.queue, from.head, from.queuedBytes = nil, 0, 0
	if from.written > 0 {
		cut := queue[0]
		if from.foreign {
			queue = queue[1:]
		} else { // it is to be sent whole to the session that leaves
			cut = cut.copied()
			o.written = from.written
		}
		from.queue, from.queuedBytes = []*frame{cut}, len(cut.bytes)
	}
	o.state, o.memory, from.memory = outDetached, from.memory, nil
	o.queue = slices.Clone(queue)
	for _, f := range o.queue {
		o.queuedBytes += len(f.bytes)
	}
	from.state = outIdle
	return from.pass()
}

// canAttach reports whether attach may be called: nothing is being written but the rest of a
// frame, which stays.
func (o *outbox) canAttach() bool {
	return o.inFlight == 0 || o.inFlight == 1 && o.written > 0
}

// attach has an outbox that is empty, but for what its connection was sent in part, go on with
// what is in a detached one that nobody writes any more: first the frames that were kept and that the
// client has not counted, then those that wait. Frames under another key are made anew.
func (o *outbox) attach(from *outbox, said *wire.Attributes, k *key) (lost uint64) {
	m := from.memory
	queue := from.queue[from.head:]
	if from.written > 0 {
		if from.foreign { // of no concern to memory
			queue[0].done()
		}
		queue = queue[1:] // else it is the last one that is kept
	}
	var rest []*frame
	if o.written > 0 {
		rest = o.queue[o.head : o.head+1 : o.head+1]
		o.foreign = true
	}
	for _, f := range o.queue[o.head+len(rest):] {
		f.done()
	}
	counted, lost := m.resume(said)
	before := make([]*frame, 0, len(m.kept)+len(queue))
	for _, kept := range m.kept {
		before = append(before, kept.again())
	}
	again := len(before) + m.again
	before = append(before, queue...)
	for _, f := range before[:counted] {
		f.done()
	}
	m.kept, m.keptBytes, m.again, m.againSize = nil, 0, again-counted, 0
	before = before[counted:]
	o.queuedBytes = 0
	for i, f := range before {
		before[i] = f.under(k)
		o.queuedBytes += len(f.bytes)
		if i < m.again {
			m.againSize += len(f.bytes)
		}
	}
	for _, f := range rest {
		o.queuedBytes += len(f.bytes)
	}
	o.queue, o.head = append(rest, before...), 0
	o.memory, from.memory = m, nil
	o.delivered, o.bytes, o.lastDelivery = from.delivered, from.bytes, from.lastDelivery
	from.queue, from.head, from.written, from.queuedBytes = nil, 0, 0, 0
	from.state = outDropped
	return lost
}

// again is a kept frame, which is kept no longer, as it is sent once more. One that was whole
// has been delivered; one that was not is in the queue as it is.
func (k keptFrame) again() *frame {
	if k.end == 0 {
		k.kept()
		return k.frame
	}
	return &frame{key: k.key, bytes: k.bytes, keep: k.keep, own: k.holding()}
}

// kept says that a frame is kept no longer.
func (f *frame) kept() { f.holding().free(f.key.tenant.budget) }

// copied is a frame that is delivered elsewhere, or was, once more.
func (f *frame) copied() *frame {
	f.holding().need()
	return &frame{key: f.key, bytes: f.bytes, keep: f.keep, own: f.holding()}
}

// done says that a copy is not going to be written.
func (f *frame) done() {
	if f.own != nil {
		f.own.free(f.key.tenant.budget)
	}
	if f.delivery != nil {
		f.delivery.closed(f.key.tenant.budget)
	}
}

// under is the frame under a key: itself, or made anew, which it makes way for.
func (f *frame) under(k *key) *frame {
	if f.key == k {
		return f
	}
	bytes, err := f.key.Secret.Reseal(f.bytes, k.Secret)
	if err != nil {
		panic(err) // it is ours, and so is its key
	}
	anew := &frame{key: k, delivery: f.delivery, bytes: bytes}
	anew.own = k.tenant.budget.hold(anew.memory())
	if f.own != nil {
		f.own.free(k.tenant.budget)
	}
	return anew
}

// forget has the outbox keep nothing any more.
func (o *outbox) forget() {
	for _, k := range o.memory.kept {
		k.kept()
	}
	o.memory = nil
}

// discard takes out all frames that are not being written.
func (o *outbox) discard() {
	kept := o.head + int(o.inFlight)
	for _, f := range o.queue[kept:] {
		o.queuedBytes -= len(f.bytes)
		f.done()
	}
	clear(o.queue[kept:])
	o.queue = o.queue[:kept]
	if o.inFlight == 0 {
		o.queue, o.head, o.written = nil, 0, 0
	}
}

// dropForeign takes frames under another key than that one out of the queue, for the peer
// could not decrypt them. Frames that are being written or partly written stay: cutting
// them would garble the stream.
func (o *outbox) dropForeign(current *key) {
	begun := int(o.inFlight)
	if o.written > 0 {
		begun = max(begun, 1)
	}
	kept := o.queue[:o.head+begun]
	for _, f := range o.queue[o.head+begun:] {
		if f.key != current {
			o.queuedBytes -= len(f.bytes)
			f.done()
			continue
		}
		kept = append(kept, f)
	}
	clear(o.queue[len(kept):])
	o.queue = kept
	o.trim()
}

// restore has an empty outbox hold what another hub's held, of whose first frame that many
// bytes are written. It reports whether the caller has to hand the session to a flusher.
func (o *outbox) restore(frames []*frame, written int) bool {
	o.queue, o.written = frames, written
	for _, f := range frames {
		o.queuedBytes += len(f.bytes)
	}
	return o.pass()
}

// waiting is the number of bytes not written yet.
func (o *outbox) waiting() int {
	if o.state == outDropped {
		return 0
	}
	return max(o.queuedBytes-o.written, 0)
}

// awaited is how many messages wait for a detached session, those included that may not have
// arrived.
func (o *outbox) awaited() int {
	n := len(o.queue) - o.head + len(o.memory.kept)
	if o.written > 0 { // it is in both
		n--
	}
	return n
}

// unsent is how many messages of a remembered session have never been sent.
func (o *outbox) unsent() int {
	n := len(o.queue) - o.head - o.memory.again
	if o.written > 0 {
		n--
	}
	return n
}

// hasWriter reports whether somebody writes, or tries to.
func (o *outbox) hasWriter() bool { return o.state == outWriting || o.state == outBlocked }

// keptQueueSlots is the queue room that an idle session may keep.
const keptQueueSlots = 8

// trim gives room of the queue back.
func (o *outbox) trim() {
	switch {
	case o.head == len(o.queue):
		o.queue, o.head = o.queue[:0], 0
		if cap(o.queue) > keptQueueSlots {
			o.queue = nil
		}
	case o.head > keptQueueSlots && 2*o.head > len(o.queue):
		// A peer that is always a frame behind would have it grow forever.
		n := copy(o.queue, o.queue[o.head:])
		clear(o.queue[n:])
		o.queue, o.head = o.queue[:n], 0
	}
}
