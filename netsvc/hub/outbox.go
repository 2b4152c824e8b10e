package hub

import "time"

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
//
// (1) or outIdle, if nothing is left. (2) to a flusher, or outIdle too. (3) refused; the
// writer has given up. Any other gap cannot come about.
//
// What happens when the queue is full is put's verdict: a session that is outBlocked does not
// read, so it is dropped; in any other state it is we who have not come to it yet.
type outbox struct {
	queue       []*frame // queue[head:] waits to be written
	head        int
	inFlight    int // frames gathered from head on and being written
	written     int // bytes of queue[head] that are written
	queuedBytes int // of queue[head:], written ones included

	delivered    uint64 // frames written whole
	bytes        uint64 // written
	lastDelivery int64  // Unix nanoseconds; 0: none

	state outboxState
}

// outboxState is who is about to write what waits.
type outboxState uint8

const (
	outIdle    outboxState = iota // nobody: there is nothing
	outListed                     // a flusher, in whose list the session is or is about to be put
	outWriting                    // somebody is writing: a flusher, or a publisher that makes room
	outBlocked                    // that somebody waits for the peer: the socket's buffer is full
	outDropped                    // nobody any more: the session has ended
)

// verdict is what became of a frame offered to a session.
type verdict int

const (
	notFor   verdict = iota // closed, or no longer the one that was meant
	tooSlow                 // its queue is full, and the peer does not read: it is to be dropped
	crowded                 // its queue is full of what we have not written yet: see offer
	queued                  // somebody writes already, or will
	wakeable                // queued, and the caller has to hand the session to a flusher
)

// put adds a frame, if the verdict is queued or wakeable. Beyond its first frame an outbox
// holds queueBytes at most.
func (o *outbox) put(f *frame, queueBytes int) verdict {
	if o.state == outDropped {
		return notFor
	}
	if o.head < len(o.queue) && o.queuedBytes+len(f.bytes) > queueBytes {
		if o.state == outBlocked {
			return tooSlow
		}
		return crowded
	}
	o.queue = append(o.queue, f)
	o.queuedBytes += len(f.bytes)
	if o.state != outIdle {
		return queued
	}
	o.state = outListed
	return wakeable
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
	if o.state == outDropped {
		return nil
	}
	waiting := o.queue[o.head:]
	if len(waiting) == 0 || frozen {
		o.state = outIdle
		return nil
	}
	o.inFlight = 1
	first := waiting[0].bytes[o.written:]
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
// the frames completed, those of a session that has ended meanwhile too. It appends the
// deliveries that ended with them to finished.
func (o *outbox) advance(n int, finished []*delivery) (frames int, ended []*delivery) {
	o.inFlight = 0
	o.bytes += uint64(n)
	for n > 0 && o.head < len(o.queue) {
		f := o.queue[o.head]
		rest := len(f.bytes) - o.written
		if n < rest {
			o.written += n
			break
		}
		n -= rest
		o.written = 0
		o.queuedBytes -= len(f.bytes)
		f.key.tenant.counters.delivered.Add(1)
		f.key.tenant.counters.bytes.Add(uint64(len(f.bytes)))
		if f.delivery.closed() {
			finished = append(finished, f.delivery)
		}
		o.queue[o.head] = nil
		o.head++
		frames++
	}
	if frames > 0 {
		o.delivered += uint64(frames)
		o.lastDelivery = time.Now().UnixNano()
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
	case o.state == outDropped:
		return false
	case o.head == len(o.queue):
		o.state = outIdle
		return false
	}
	o.state = outListed
	return true
}

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

// discard takes out all frames that are not being written.
func (o *outbox) discard() {
	kept := o.head + o.inFlight
	for _, f := range o.queue[kept:] {
		o.queuedBytes -= len(f.bytes)
		f.delivery.closed()
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
	begun := o.inFlight
	if o.written > 0 {
		begun = max(begun, 1)
	}
	kept := o.queue[:o.head+begun]
	for _, f := range o.queue[o.head+begun:] {
		if f.key != current {
			o.queuedBytes -= len(f.bytes)
			f.delivery.closed()
			continue
		}
		kept = append(kept, f)
	}
	clear(o.queue[len(kept):])
	o.queue = kept
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
