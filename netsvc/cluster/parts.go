package cluster

import (
	"sync/atomic"
	"time"
)

const (
	// partBytes is the largest part of a message, if the NATS server takes it.
	partBytes = 512 << 10
	// maxUnfinished bounds the messages of one peer that are not all there, but for one above
	// largeBytes.
	maxUnfinished = 64 << 20
	// maxRefused bounds the messages of one peer that are known to have been refused.
	maxRefused = 1024
)

// assembly puts the messages of one peer together that came in parts.
type assembly struct {
	unfinished map[uint64]*unfinished // by the number of the first part
	bytes      int                    // of those up to largeBytes
	large      uint64                 // the first part of the one above; 0: there is none
	larges     *atomic.Int64          // bytes of such messages, of all peers
	ended      bool                   // nothing is taken any more
	dropped    []uint64               // see givenUp
}

type unfinished struct {
	whole   []byte // nil: there was no room for it
	has     []bool
	missing int
	last    uint64 // number of the last part; 0: it has not come
	since   time.Duration
}

// add takes a part with that number. It returns the whole message with the part that was
// missing, and the number of its last one; ok is false if there is no room. Those above
// largeBytes count in larges until release.
func (a *assembly) add(now time.Duration, number uint64, h partHead, chunk []byte) (whole []byte, last uint64, ok bool) {
	if h.parts == 1 || a.ended {
		return chunk, number, !a.ended
	}
	first := h.first
	if h.part == 0 {
		first = number
	}
	u := a.unfinished[first]
	if u == nil {
		u = a.begin(now, first, h)
	}
	from, to := bounds(int(h.size), int(h.part), int(h.parts))
	switch {
	case u.whole == nil:
		return nil, 0, false
	case int(h.parts) != len(u.has) || int(h.size) != len(u.whole) || len(chunk) != to-from || u.has[h.part]:
		a.drop(first)
		return nil, 0, false
	}
	copy(u.whole[from:], chunk)
	u.has[h.part], u.since = true, now
	if h.part == h.parts-1 {
		u.last = number
	}
	if u.missing--; u.missing > 0 {
		return nil, 0, true
	}
	if first == a.large {
		a.large = 0 // it counts until release
	} else {
		a.bytes -= len(u.whole)
	}
	delete(a.unfinished, first)
	return u.whole, u.last, true
}

// begin makes the entry of a message, without memory if there is no room. A peer sends one
// above largeBytes at a time: one that was not finished will not be.
func (a *assembly) begin(now time.Duration, first uint64, h partHead) *unfinished {
	size := int(h.size)
	room := a.bytes+size <= maxUnfinished
	if size > largeBytes {
		a.drop(a.large)
		if room = a.larges.Add(int64(size)) <= maxLarger; !room {
			a.larges.Add(int64(-size))
		}
	}
	u := &unfinished{since: now}
	if room {
		u.whole, u.has, u.missing = make([]byte, size), make([]bool, h.parts), int(h.parts)
		if size > largeBytes {
			a.large = first
		} else {
			a.bytes += size
		}
	}
	if a.unfinished == nil {
		a.unfinished = make(map[uint64]*unfinished)
	}
	if room || len(a.unfinished) < maxRefused {
		a.unfinished[first] = u
	}
	return u
}

// release gives back what a whole message of so many bytes has taken of larges.
func (a *assembly) release(size int) {
	if size > largeBytes {
		a.larges.Add(int64(-size))
	}
}

func (a *assembly) drop(first uint64) {
	u := a.unfinished[first]
	if u == nil {
		return
	}
	if first == a.large {
		a.large = 0
		a.release(len(u.whole))
	} else {
		a.bytes -= len(u.whole)
	}
	delete(a.unfinished, first)
	a.dropped = append(a.dropped, first)
}

// end drops everything, and whatever comes.
func (a *assembly) end() {
	a.ended = true
	for first := range a.unfinished {
		a.drop(first)
	}
}

// expire drops that of which nothing came for so long that the rest would come too late.
func (a *assembly) expire(now, patience time.Duration) {
	for first, u := range a.unfinished {
		if now-u.since > patience {
			a.drop(first)
		}
	}
}

// givenUp returns the numbers of the first parts of what was dropped since the last call.
func (a *assembly) givenUp() []uint64 {
	dropped := a.dropped
	a.dropped = nil
	return dropped
}
