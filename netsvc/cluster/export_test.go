package cluster

import (
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Impatient has a node be lost after a part of a second.
var Impatient = Timing{Beat: 50 * time.Millisecond, Lost: 500 * time.Millisecond}

// Timing is what a test may change.
type Timing struct{ Beat, Lost, Ask, HandOver, Back, Rights, Gap time.Duration }

// StartTimed is Start with another timing; what is 0 stays as it is.
func StartTimed(o Options, t Timing) (*Node, error) {
	all := normal
	if t.Beat > 0 {
		all.beat = t.Beat
	}
	if t.Lost > 0 {
		all.lost = t.Lost
	}
	if t.Ask > 0 {
		all.ask = t.Ask
	}
	if t.HandOver > 0 {
		all.handOver = t.HandOver
	}
	if t.Back > 0 {
		all.back = t.Back
	}
	if t.Rights > 0 {
		all.rights = t.Rights
	}
	if t.Gap > 0 {
		all.gap = t.Gap
	}
	return start(o, all)
}

// Kill ends the connection without a word, as a killed process does.
func (n *Node) Kill() { n.conn.Close() }

// NoResponder is what NATS says when it knows nobody who listens to a peer's questions.
func (n *Node) NoResponder(peer seal.Epoch) { n.noResponder(peer) }

// Deafen ends the subscription to the messages for all.
func (n *Node) Deafen() error { return n.subscriptions[0].Unsubscribe() }

// Jump has the clock on the wall jump.
func (n *Node) Jump(by time.Duration) { n.life.Load().ahead.Add(int64(-by)) }

// BeginAnew is what a jump of the clock brings about.
func (n *Node) BeginAnew() { n.beginAnew() }

// Missed is how many messages nats.go has dropped because this node did not read them in time.
func (n *Node) Missed() (count uint64) {
	n.subscribing.Lock()
	defer n.subscribing.Unlock()
	for _, sub := range n.subscriptions {
		dropped, err := sub.Dropped()
		if err == nil {
			count += uint64(dropped)
		}
	}
	return count
}

// Subscriptions is the number of them that NATS has of this node.
func (n *Node) Subscriptions() int { return n.conn.NumSubscriptions() }

// Mute reports whether NATS did not answer Probe.
func (n *Node) Mute() bool { return n.mute.Load() }
