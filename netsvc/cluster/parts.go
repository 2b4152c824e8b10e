package cluster

import "time"

const (
	// partBytes is the largest part of a message, if the NATS server takes it.
	partBytes = 512 << 10
	// maxUnfinished bounds the parts of one peer that wait for others.
	maxUnfinished = 64 << 20
)

// assembly puts the messages of one peer together that came in parts.
type assembly struct {
	unfinished map[uint64]*unfinished // by the number of the first part
	bytes      int
}

type unfinished struct {
	parts   [][]byte
	missing int
	bytes   int
	since   time.Duration
}

// add takes a part, which it keeps, of the message whose first part has that number. It
// returns the whole message with its last part, else nil; ok is false if there is no room.
func (a *assembly) add(now time.Duration, first uint64, h partHead, part []byte) (whole []byte, ok bool) {
	if h.parts == 1 {
		return part, true
	}
	u := a.unfinished[first]
	if u == nil {
		u = &unfinished{parts: make([][]byte, h.parts), missing: int(h.parts), since: now}
		if a.unfinished == nil {
			a.unfinished = make(map[uint64]*unfinished)
		}
		a.unfinished[first] = u
	}
	if int(h.parts) != len(u.parts) || u.parts[h.part] != nil || a.bytes+len(part) > maxUnfinished {
		a.drop(first)
		return nil, false
	}
	u.parts[h.part] = part
	u.missing--
	u.bytes += len(part)
	a.bytes += len(part)
	if u.missing > 0 {
		return nil, true
	}
	whole = make([]byte, 0, u.bytes)
	for _, one := range u.parts {
		whole = append(whole, one...)
	}
	a.drop(first)
	return whole, true
}

// awaits reports whether parts of the message are missing whose last part has that number.
func (a *assembly) awaits(last uint64) bool {
	for first, u := range a.unfinished {
		if first+uint64(len(u.parts))-1 == last {
			return true
		}
	}
	return false
}

func (a *assembly) drop(first uint64) {
	if u := a.unfinished[first]; u != nil {
		a.bytes -= u.bytes
		delete(a.unfinished, first)
	}
}

// expire drops what was begun so long ago that the rest would come too late.
func (a *assembly) expire(now, patience time.Duration) {
	for first, u := range a.unfinished {
		if now-u.since > patience {
			a.drop(first)
		}
	}
}
