package cluster

import (
	"bytes"
	"log/slog"
	"slices"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// allLive reports whether no peer is on its way in. The caller holds mu.
func (n *Node) allLive() bool {
	for _, p := range n.peers {
		if p.proven && !p.lost && !p.live() {
			return false
		}
	}
	return true
}

// problem says why the node is refused; empty: it is not. The caller holds mu.
func (n *Node) problem() string {
	if n.denied != "" {
		return n.denied
	}
	some := false
	for _, p := range n.peers {
		if !p.proven || p.lost {
			continue
		}
		some = true
		if p.told.spoken() && n.same(p) && n.yieldsTo(p) {
			return n.double(p)
		}
	}
	if !some && n.strangerKey != "" && n.now()-n.strangerAt < 2*n.timing.lost {
		return "others use another cluster key: " + n.strangerKey
	}
	return ""
}

// double says how there can be another node that is this one, and the way out.
func (n *Node) double(p *peer) string {
	if p.told.id == n.options.ID {
		return "node " + p.told.name + " has the same id, for the database of one of them is a copy of the other's: " +
			"begin here with an empty database, it gets the apps of the others"
	}
	return "another node has the same name, " + p.told.name + ": set another cluster_node here"
}

// same reports whether a peer claims to be this node.
func (n *Node) same(p *peer) bool {
	return p.told.id == n.options.ID || p.told.name == n.options.Name
}

// yieldsTo decides between this node and one that claims to be the same: who was live
// first, else who has the smaller epoch, is the one. The caller holds mu.
func (n *Node) yieldsTo(p *peer) bool {
	if p.told.ready != n.ready.Load() {
		return p.told.ready
	}
	own := n.life.Load().epoch
	return bytes.Compare(p.epoch[:], own[:]) < 0
}

// hear takes a heartbeat. The caller holds mu.
func (n *Node) hear(head seal.Head, h *heartbeat) {
	now := n.now()
	p := n.peers[head.Epoch]
	switch {
	case p == nil && len(n.peers) >= maxPeers && !n.makeRoom():
		n.counts.dropped[droppedUnknown].Add(1)
		return
	case p == nil:
		p = n.newPeer(head.Epoch, n.life.Load().epoch)
		p.turn = head.Turn
		n.peers[head.Epoch] = p
		n.beat()
	case head.Number <= p.number:
		n.counts.dropped[droppedSeen].Add(1)
		return
	}
	p.told, p.number, p.key, p.heard = *h, head.Number, head.Key, now
	p.told.nodes = nil // they are taken now or not at all
	n.isBack(p, head.Turn)
	if !h.spoken() {
		p.refuse(n, "it speaks other versions of the protocol than this node")
		return
	}
	wasLive, wasLost := p.live(), p.lost
	p.silent, p.noResponders = false, 0
	own := slices.IndexFunc(h.heard, func(one heardOf) bool { return one.epoch == n.life.Load().epoch })
	echo, admitted, admits := p.echo, p.admitted, p.admits
	p.echo, p.admits = 0, false
	if own >= 0 {
		of := h.heard[own]
		p.echo, p.admits = of.challenge, of.admitted
		p.proven = p.proven || of.echo == p.challenge
	}
	p.receiving.Lock()
	p.ages.heard(now, h.sent)
	if p.admits && !admits { // what it sent before it did not count on this node
		p.window.begin(h.last)
	}
	p.receiving.Unlock()
	if p.proven {
		n.admit(p)
	}
	switch {
	case !wasLive && p.live():
		p.joined = now
	case wasLive && !p.live(), wasLost && !p.lost:
		p.met = now
	}
	if p.admitted && (!admitted || !n.ready.Load()) {
		n.takeTellings(h.nodes)
	}
	if p.echo != echo || p.admitted != admitted {
		n.beat() // it waits to hear of this
	}
	n.noteState(p)
}

// makeRoom forgets the epoch that was heard longest ago of those that are no peers, or no
// more, and reports whether there was one. If that comes back it has to prove itself anew,
// and what it sent before is not taken. The caller holds mu.
func (n *Node) makeRoom() bool {
	var least *peer
	for _, p := range n.peers {
		if (p.lost || !p.proven) && (least == nil || p.heard < least.heard) {
			least = p
		}
	}
	if least == nil {
		return false
	}
	n.forget(least)
	return true
}

// admit takes a peer in that has proven that it is alive, unless another one has its id or
// name: then that one is asked whether it still is there. The caller holds mu.
func (n *Node) admit(p *peer) {
	if n.same(p) {
		p.refuse(n, "it has the id or the name of this node")
		return
	}
	for _, other := range n.peers {
		if other == p || !other.admitted || other.lost || other.told.id != p.told.id && other.told.name != p.told.name {
			continue
		}
		p.refuse(n, "another node has its id or name")
		n.ask(other, nil)
		return
	}
	p.problem = ""
	if p.lost {
		p.lost = false
		n.beat()
	}
	delete(n.absent, p.told.id)
	delete(n.departed, p.told.id)
	if !p.admitted {
		n.tell(p, PeerJoined)
	}
	p.admitted = true
}

// refuse notes why a peer is not taken in. The caller holds mu.
func (p *peer) refuse(n *Node, why string) {
	if p.problem == why {
		return
	}
	p.problem = why
	n.note(slog.LevelWarn, "a node is refused by this one", slog.String("node", p.told.name),
		slog.String("problem", why), slog.String("version", p.told.program))
}
