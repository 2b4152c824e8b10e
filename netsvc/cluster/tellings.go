package cluster

// A node that was killed begins with an empty memory, and does not meet a node that hangs or
// is cut off at that moment: it would answer as if that one's sessions had been served, or
// were none. So whoever comes in is told of the others by those it meets, and names whom it
// does not meet as if it had lost that one itself.

// someComesIn reports whether a peer may not know this node's company yet. The caller holds mu.
func (n *Node) someComesIn() bool {
	for _, p := range n.peers {
		if !p.lost && (!p.told.ready || !p.live()) {
			return true
		}
	}
	return false
}

// tellings are the nodes that one that comes in has to reckon with, first those that it
// surely does not meet. The caller holds mu.
func (n *Node) tellings() (nodes []toldOf) {
	now := n.now()
	for id, a := range n.absent {
		nodes = append(nodes, toldOf{id, a.name, max(now-a.since, 1)})
	}
	for _, p := range n.peers { // they may be silent, or about to be lost
		if p.admitted && !p.lost {
			nodes = append(nodes, toldOf{id: p.told.id, name: p.told.name})
		}
	}
	return nodes[:min(len(nodes), maxTold)]
}

// takeTellings takes nodes that a peer has told of for lost ones, until they are met, for as
// long as they are named there. What this node knows itself it knows better. The caller holds mu.
func (n *Node) takeTellings(nodes []toldOf) {
	met := make(map[NodeID]bool)
	for _, p := range n.peers {
		met[p.told.id] = met[p.told.id] || p.proven
	}
	for _, one := range nodes {
		_, absent := n.absent[one.id]
		_, departed := n.departed[one.id]
		known := absent || departed || met[one.id] || one.id == n.options.ID || one.name == n.options.Name
		if !known && one.lost < n.timing.absent && len(n.absent) < maxPeers {
			n.absent[one.id] = absentPeer{one.name, n.now() - one.lost}
		}
	}
}

// depart notes that a node has left, or is not to be named any more, whatever others tell.
// The caller holds mu.
func (n *Node) depart(id NodeID) {
	delete(n.absent, id)
	n.departed[id] = n.now()
}
