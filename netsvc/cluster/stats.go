package cluster

import (
	"sync/atomic"
	"time"
)

// The reasons for which something that a peer, or a stranger, sent is dropped.
type dropReason int

const (
	droppedSeen dropReason = iota
	droppedLate
	droppedOwn
	droppedUnknown
	droppedForged
	droppedOverloaded
)

var dropWords = [...]string{"seen", "late", "own", "unknown", "forged", "overloaded"}

// The reasons for which a peer counts as unconfirmed.
type unconfirmedReason int

const (
	unconfirmedAway unconfirmedReason = iota // lost, joining or silent, or this node is cut off
	unconfirmedSilent
	unconfirmedLate
	unconfirmedOverloaded
)

var unconfirmedWords = [...]string{"away", "silent", "late", "overloaded"}

// WaitBuckets are the upper bounds of Stats.Waits, in seconds.
var WaitBuckets = [...]float64{0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}

// Stats count since Start.
type Stats struct {
	Sent, Received uint64                       // messages, to all peers and from one
	SentAgain      uint64                       // parts
	NotSent        uint64                       // envelopes that NATS did not take
	Gaps           uint64                       // numbers that were skipped when another came
	Unconfirmed    map[string]uint64            // peers, by reason
	Dropped        map[string]uint64            // by reason
	Waits          [len(WaitBuckets) + 1]uint64 // how long messages waited for peers; the last: longer
	WaitSeconds    float64                      // their sum
}

type counts struct {
	sent, received, again, notSent, gaps atomic.Uint64
	dropped                              [len(dropWords)]atomic.Uint64
	unconfirmed                          [len(unconfirmedWords)]atomic.Uint64
}

type waits struct {
	buckets [len(WaitBuckets) + 1]atomic.Uint64
	sum     atomic.Int64
}

func (w *waits) observe(waited time.Duration) {
	i := 0
	for i < len(WaitBuckets) && waited.Seconds() > WaitBuckets[i] {
		i++
	}
	w.buckets[i].Add(1)
	w.sum.Add(int64(waited))
}

// Stats returns the counts.
func (n *Node) Stats() Stats {
	c := &n.counts
	st := Stats{
		Sent: c.sent.Load(), Received: c.received.Load(), SentAgain: c.again.Load(), NotSent: c.notSent.Load(),
		Gaps: c.gaps.Load(), Unconfirmed: make(map[string]uint64), Dropped: make(map[string]uint64),
		WaitSeconds: time.Duration(n.waits.sum.Load()).Seconds(),
	}
	for i, word := range dropWords {
		st.Dropped[word] = c.dropped[i].Load()
	}
	for i, word := range unconfirmedWords {
		st.Unconfirmed[word] = c.unconfirmed[i].Load()
	}
	for i := range st.Waits {
		st.Waits[i] = n.waits.buckets[i].Load()
	}
	return st
}
