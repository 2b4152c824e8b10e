package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// comesIn has a node hear a peer that tells of others, until the two are live to each other.
func comesIn(n *Node, name string, nodes ...toldOf) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	head := seal.Head{Number: 1}
	copy(head.Epoch[:], name)
	h := heartbeat{least: 1, most: 1, name: name, nodes: nodes}
	copy(h.id[:], name)
	n.hear(head, &h)
	p := n.peers[head.Epoch]
	head.Number, h.heard = 2, []heardOf{{n.life.Load().epoch, 1, p.challenge, true}}
	n.hear(head, &h)
	return p
}

func told(name string, lost time.Duration) toldOf {
	one := toldOf{name: name, lost: lost}
	copy(one.id[:], name)
	return one
}

func (n *Node) names() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, unconfirmed := n.companions(true)
	return fmt.Sprint(unconfirmed)
}

func TestWhoComesInTakesOthersForLost(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	n.mu.Lock()
	n.hear(seal.Head{Number: 1}, &heartbeat{least: 1, most: 1, name: "web8", nodes: []toldOf{told("web9", 1)}})
	n.mu.Unlock()
	if got := n.names(); got != "[]" {
		t.Errorf("told by one that may be a recording: %s", got)
	}
	comesIn(n, "web2", told("web1", 1), told("web2", 0), told("web3", 40*time.Minute), told("web4", 2*time.Hour))
	if got := n.names(); got != "[web3]" { // neither itself, nor who is there, nor one that is forgotten by now
		t.Errorf("named is %s", got)
	}
	id := told("web3", 0).id
	if left := n.timing.absent - (n.now() - n.absent[id].since); left > 20*time.Minute || left < 19*time.Minute {
		t.Errorf("it is named for %v more", left)
	}
	comesIn(n, "web3")
	if got := n.names(); got != "[]" {
		t.Errorf("when it is met, named is %s", got)
	}
}

func TestNobodyBringsBackWhoIsForgottenOrHasLeft(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	lost, leaves := comesIn(n, "web2"), comesIn(n, "web3")
	n.mu.Lock()
	n.lose(lost, "a test")
	n.leave(leaves)
	n.mu.Unlock()
	if !n.Forget("web2") {
		t.Fatal("it cannot be forgotten")
	}
	comesIn(n, "web4", told("web2", time.Minute), told("web3", time.Minute))
	if got := n.names(); got != "[]" {
		t.Errorf("named is %s", got)
	}
	next := startUnconnected(t)
	if err := next.Adopt(n.handedOver()); err != nil {
		t.Fatal(err)
	}
	comesIn(next, "web5", told("web2", time.Minute), told("web3", time.Minute))
	if got := next.names(); got != "[]" {
		t.Errorf("in the next process, named is %s", got)
	}
	back := comesIn(n, "web3")
	n.mu.Lock()
	n.lose(back, "a test")
	n.mu.Unlock()
	if got := n.names(); got != "[web3]" {
		t.Errorf("when one came back and was lost, named is %s", got)
	}
}

// Who was there all the time is told by those that come in only, and once.
func TestWhoIsThereIsToldOnce(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	n.ready.Store(true)
	p := comesIn(n, "web2", told("web3", time.Minute))
	if got := n.names(); got != "[web3]" {
		t.Errorf("of who is met for the first time, named is %s", got)
	}
	n.mu.Lock()
	h := p.told
	h.nodes, h.heard = []toldOf{told("web4", 1)}, []heardOf{{n.life.Load().epoch, 1, p.challenge, true}}
	n.hear(seal.Head{Epoch: p.epoch, Number: 3}, &h)
	n.mu.Unlock()
	if got := n.names(); got != "[web3]" {
		t.Errorf("later, named is %s", got)
	}
}

func TestTellingsAreBounded(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	for sender := range 2 * maxPeers / maxTold {
		var nodes []toldOf
		for i := range maxTold {
			nodes = append(nodes, told(fmt.Sprintf("%d-%d", sender, i), time.Minute))
		}
		comesIn(n, fmt.Sprint("web", sender+2), nodes...)
	}
	if len(n.absent) != maxPeers {
		t.Errorf("%d lost nodes are known, want %d", len(n.absent), maxPeers)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	nodes := n.tellings()
	h := someHeartbeat()
	h.nodes = nodes
	if _, err := parseHeartbeat(h.append(nil)); err != nil || len(nodes) != maxTold {
		t.Errorf("%d nodes are told of, want %d (%v)", len(nodes), maxTold, err)
	}
}
