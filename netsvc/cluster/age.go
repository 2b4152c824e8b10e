package cluster

import (
	"slices"
	"time"
)

// agesKept is how many heartbeats back the way of a peer's messages is known. They are
// forgotten by number, not by time: after a pause of this process the first thing that is
// read would otherwise pass for fresh, however long it has been waiting.
const agesKept = 60

// ages tells how old a message of a peer is, though neither clock is right: compared with
// the fastest of its last heartbeats.
type ages struct {
	differences []time.Duration // own clock at the receipt less the peer's at the sending
	next        int             // the one that is replaced next
}

// heard notes a heartbeat that the peer sent when its clock showed sent.
func (a *ages) heard(now, sent time.Duration) {
	if len(a.differences) < agesKept {
		a.differences = append(a.differences, now-sent)
		return
	}
	a.differences[a.next] = now - sent
	a.next = (a.next + 1) % agesKept
}

// of is how much longer than the fastest heartbeat a message has been under way. Without
// any heartbeat it is the longest there is.
func (a *ages) of(now, sent time.Duration) time.Duration {
	if len(a.differences) == 0 {
		return 1<<63 - 1
	}
	return now - sent - slices.Min(a.differences)
}
