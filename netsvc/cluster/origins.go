package cluster

import (
	"slices"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// A remembered session that goes on at another node must get each message once. So nodes tell
// each other which messages they have queued for their sessions, by number: moving.Origin. That
// of a message in parts is the number of its first part.
//
// A number that has not come though a later one has is expected for a while: it is sent again,
// perhaps. After that it counts as worked off, for its sender was told that this node may not
// have it, and goes on.

// formerLife is an epoch of which messages may be in queues, of this node or of one that is
// not known more exactly, and since when it is over.
type formerLife struct {
	*life
	over time.Duration
}

// gonePeer is a peer that has left, of which messages may be in lanes and queues.
type gonePeer struct {
	*peer
	since time.Duration
}

// Last is the epoch of this node, and the number of its last message.
func (n *Node) Last() (seal.Epoch, uint64) {
	l := n.life.Load()
	return l.epoch, l.last.Load()
}

// Patience is how long a message of any node may be under way.
func (n *Node) Patience() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.patience()
}

// patience is Patience for a caller that holds mu. After this node has handed over, what was sent
// meanwhile is older than else.
func (n *Node) patience() time.Duration {
	wait := time.Duration(n.wait.Load())
	for _, p := range n.peers {
		if p.proven && !p.lost {
			wait = max(wait, p.told.wait)
		}
	}
	if resumed := time.Duration(n.resumed.Load()); resumed > 0 && n.now()-resumed < n.timing.handOver {
		wait = max(wait, n.timing.handOver)
	}
	return 2 * wait
}

// forgetFormer forgets those of whom nothing can be in a queue that was not handed over. The caller
// holds mu.
func (n *Node) forgetFormer(now time.Duration) {
	patience := 2 * n.patience()
	n.former = slices.DeleteFunc(n.former, func(f formerLife) bool { return now-f.over > patience })
	for epoch, p := range n.gone {
		if now-p.since > patience {
			delete(n.gone, epoch)
		}
	}
}

// Seen is what this node has of its own and of its peers' messages, whether it has queued
// them for its sessions yet or not.
func (n *Node) Seen() moving.Cover {
	own, last := n.Last()
	return n.cover(moving.Numbers{Top: last}, own, (*window).seen)
}

// Still calls f while no message is being queued for sessions, with those that were, or that do
// not come any more. f must return soon.
func (n *Node) Still(f func(worked moving.Cover)) {
	n.gate.Lock()
	defer n.gate.Unlock()
	l := n.life.Load()
	f(n.cover(l.worked(), l.epoch, (*window).worked))
}

// cover is that of all lives of nodes that are known, with the numbers of the own one.
func (n *Node) cover(own moving.Numbers, epoch seal.Epoch, of func(*window) moving.Numbers) moving.Cover {
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	patience := n.patience()
	c := make(moving.Cover, len(n.peers)+len(n.gone)+len(n.former)+1)
	for _, f := range n.former {
		c[f.epoch] = f.worked()
	}
	for _, p := range n.gone {
		c[p.epoch] = p.numbers(now, patience, of)
	}
	for _, p := range n.peers {
		if p.admitted {
			c[p.epoch] = p.numbers(now, patience, of)
		}
	}
	c[epoch] = own
	return c
}

func (p *peer) numbers(now, patience time.Duration, of func(*window) moving.Numbers) moving.Numbers {
	p.receiving.Lock()
	defer p.receiving.Unlock()
	p.window.progress(now, patience)
	return of(&p.window)
}

// Lacks reports whether one of these messages, or one that was sent before others that have
// come, is not yet queued for the sessions of this node and may be.
func (n *Node) Lacks(seen moving.Cover) bool {
	now, l := n.now(), n.life.Load()
	if l.own.lacks(seen[l.epoch]) {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	patience := n.patience()
	lacks := func(p *peer, expects bool) bool {
		p.receiving.Lock()
		defer p.receiving.Unlock()
		p.window.progress(now, patience)
		return p.window.lacks(seen[p.epoch], expects)
	}
	for _, p := range n.peers {
		if p.admitted && lacks(p, p.admits && !p.lost) {
			return true
		}
	}
	for _, p := range n.gone {
		if lacks(p.peer, false) {
			return true
		}
	}
	return false
}

// numbered are the own messages of a life, in all its turns.
type numbered struct {
	mu   sync.Mutex
	open map[uint64]bool // those that are not queued yet for the sessions of this node
}

func newNumbered() *numbered { return &numbered{open: make(map[uint64]bool)} }

// queued notes that a message was queued for the sessions of this node.
func (o *numbered) queued(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, number)
}

// lacks reports whether one of these is not queued yet.
func (o *numbered) lacks(seen moving.Numbers) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for number := range o.open {
		if seen.Has(number) {
			return true
		}
	}
	return false
}

// worked are the own messages that are queued for the sessions of this node.
func (l *life) worked() moving.Numbers {
	l.own.mu.Lock()
	defer l.own.mu.Unlock()
	worked := moving.Numbers{Top: l.last.Load()}
	for number := range l.own.open {
		worked.Missing = append(worked.Missing, number)
	}
	slices.Sort(worked.Missing)
	return worked
}

// openVerdicts counts messages of which it is not known yet whom they reach.
type openVerdicts struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // is closed when there are none; nil: nobody waits
}

func (o *openVerdicts) add(by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count += by; o.count == 0 && o.none != nil {
		close(o.none)
		o.none = nil
	}
}

// wait returns when there are none, at the latest after a while.
func (o *openVerdicts) wait(patience time.Duration) {
	o.mu.Lock()
	if o.count == 0 {
		o.mu.Unlock()
		return
	}
	if o.none == nil {
		o.none = make(chan struct{})
	}
	none := o.none
	o.mu.Unlock()
	select {
	case <-none:
	case <-time.After(patience):
	}
}
