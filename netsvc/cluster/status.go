package cluster

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// PeerState is what is known of another node.
type PeerState string

// The states of a peer.
const (
	PeerJoining     PeerState = "joining" // heard, but one of the two does not take the other's messages yet
	PeerLive        PeerState = "live"
	PeerSilent      PeerState = "silent" // it has let a message pass without a word; nobody waits for it
	PeerHandingOver PeerState = "moving" // from one process to the next; it is waited for
	PeerLost        PeerState = "lost"
)

// PeerChange is what has become of a peer: one of the states live, silent and lost, or one of
// these two.
type PeerChange string

// Changes of a peer that are not another state.
const (
	PeerJoined PeerChange = "joined" // it was taken in
	PeerLeft   PeerChange = "left"   // it has said goodbye
)

// Peer is another node.
type Peer struct {
	Name     string
	ID       NodeID
	Epoch    seal.Epoch
	Version  string
	State    PeerState
	Problem  string        // why it is not taken in; empty: nothing is wrong
	Since    time.Time     // of the state
	Heard    time.Duration // since the last heartbeat
	Sessions int
	Revision uint64
	Key      seal.KeyID    // the one that it seals with
	Wait     time.Duration // how old its messages may be
}

// State is what this node is to the cluster.
type State string

// The states of this node.
const (
	StateJoining State = "joining"
	StateLive    State = "live"
	StateCutOff  State = "cut_off" // there is no connection to NATS
	StateRefused State = "refused" // by NATS, or by the others; Status says why
)

// Status is what there is to know of this node and its peers.
type Status struct {
	State      State
	Since      time.Time
	Problem    string // empty: none
	Epoch      seal.Epoch
	Servers    []string // as they were set, without what is secret
	Server     string   // that is connected to, likewise; empty: none
	Reconnects uint64
	Peers      []Peer // by name
}

// Status returns what is known at present.
func (n *Node) Status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := Status{State: StateJoining, Since: n.readyAt, Problem: n.problem(), Epoch: n.life.Load().epoch,
		Servers: n.options.NATS.serverNames(), Server: n.server, Reconnects: n.reconnects}
	switch {
	case !n.connected:
		st.State, st.Since, st.Server = StateCutOff, n.cutOffSince, ""
	case st.Problem != "":
		st.State = StateRefused
	case n.ready.Load():
		st.State = StateLive
	}
	now := n.now()
	listed := make(map[NodeID]bool)
	for _, p := range n.peers {
		_, absent := n.absent[p.told.id]
		if p.lost && (!absent || listed[p.told.id]) || !p.proven {
			continue
		}
		listed[p.told.id] = true
		st.Peers = append(st.Peers, Peer{Name: p.told.name, ID: p.told.id, Epoch: p.epoch, Version: p.told.program,
			State: p.stateNow(), Problem: p.problem, Since: p.since, Heard: now - p.heard, Sessions: p.told.sessions,
			Revision: p.told.revision, Key: p.key, Wait: p.told.wait})
	}
	for id, a := range n.absent { // those whose windows are forgotten by now
		if !listed[id] {
			st.Peers = append(st.Peers, Peer{Name: a.name, ID: id, State: PeerLost, Heard: now - a.since,
				Since: time.Now().Add(a.since - now)})
		}
	}
	slices.SortFunc(st.Peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.Epoch[:], b.Epoch[:]))
	})
	return st
}
