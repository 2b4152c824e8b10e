package cluster

import (
	"slices"
	"time"
)

// agesKept is how many heartbeats back the way of a peer's messages is known. They are
// forgotten by number, not by time: after a pause of this process the first thing that is
// read would otherwise pass for fresh, however long it has been waiting. For the same
// reason those that come within agesApart are one: after a pause of minutes, minutes of
// heartbeats are read at once.
const (
	agesKept  = 60
	agesApart = 500 * time.Millisecond
)

// ages tells how old a message of a peer is, though neither clock is right: compared with
// the fastest of its last heartbeats.
type ages struct {
	differences []time.Duration // own clock at the receipt less the peer's at the sending
	last        int             // the one that was noted last
	since       time.Duration   // when it was
}

// heard notes a heartbeat that the peer sent when its clock showed sent.
func (a *ages) heard(now, sent time.Duration) {
	difference := now - sent
	switch {
	case len(a.differences) > 0 && now-a.since < agesApart:
		a.differences[a.last] = min(a.differences[a.last], difference)
		return
	case len(a.differences) < agesKept:
		a.last = len(a.differences)
		a.differences = append(a.differences, difference)
	default:
		a.last = (a.last + 1) % agesKept
		a.differences[a.last] = difference
	}
	a.since = now
}

// of is how much longer than the fastest heartbeat a message has been under way. Without
// any heartbeat it is the longest there is.
func (a *ages) of(now, sent time.Duration) time.Duration {
	if len(a.differences) == 0 {
		return 1<<63 - 1
	}
	return now - sent - slices.Min(a.differences)
}
