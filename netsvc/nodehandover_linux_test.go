package netsvc_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// However soon one hand-over that fails comes after the other, the node is a part of the cluster
// afterwards, with its apps, with the keys of now, and it ends.
func TestHandOversThatAreTakenBackAtOnce(t *testing.T) {
	t.Parallel()
	nats, key := natstest.Start(t, natstest.JetStream(t)), clusterKey(t)
	nodes := startNodes(t, nats, key, 2)
	one := nodes[0].create("Склад")
	eventually(t, "the app to be everywhere", nodes[1].knows(one))
	asking := make(chan struct{})
	done := make(chan struct{})
	go func() { // whoever looks at it, and decides about apps, meanwhile
		defer close(done)
		for {
			select {
			case <-asking:
				return
			default:
				nodes[1].cluster()
				nodes[1].JoinCluster(context.Background(), control.JoinMerging) // there is nothing to be decided
			}
		}
	}()
	for i := range 20 {
		if i%2 == 0 {
			eventually(t, "it to be live again", nodes[1].isState(control.NodeLive))
		}
		nodes[1].MoveAndTakeBack(func() {})
	}
	close(asking)
	<-done
	for _, d := range nodes {
		eventually(t, "it to be live again", d.isState(control.NodeLive))
	}
	two := nodes[1].create("Зарплата")
	eventually(t, "an app of the one to be on the other", nodes[0].knows(two))
	three := nodes[0].create("Торговля")
	eventually(t, "an app of the other to be on the one", nodes[1].knows(three))
}

// Keys that are changed during a hand-over hold after it was taken back.
func TestKeysThatChangeWhileANodeMoves(t *testing.T) {
	t.Parallel()
	nats, key := natstest.Start(t, natstest.JetStream(t)), clusterKey(t)
	nodes := startNodes(t, nats, key, 2)
	var both []byte // the new one first
	for _, path := range []string{clusterKey(t), key} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		both = append(append(both, text...), '\n')
	}
	path := filepath.Join(t.TempDir(), "both.key")
	if err := os.WriteFile(path, both, 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	nodes[1].MoveAndTakeBack(func() { nodes[1].UseClusterKeys(keys) })
	nodes[0].UseClusterKeys(keys)
	one := nodes[0].create("Склад")
	eventually(t, "each to be heard by the other", func() bool {
		for _, d := range nodes {
			sent, err := d.SendCounting(t.Context(), one.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"},
				wire.Message{Topic: "t"})
			if err != nil || sent.UnconfirmedNodes != nil {
				return false
			}
		}
		return true
	})
}
