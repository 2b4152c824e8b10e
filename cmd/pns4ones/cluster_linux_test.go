package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// nodes are daemons that are one cluster, with a NATS server in this process.
func nodes(t *testing.T, count int) (all []*installation) {
	t.Helper()
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() { nats.Shutdown(); nats.WaitForShutdown() })
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	key := filepath.Join(t.TempDir(), "cluster.key")
	if _, err := seal.WriteNewKey(key); err != nil {
		t.Fatal(err)
	}
	for n := range count {
		i := install(t)
		i.env = append(i.env, "PNS4ONES_CLUSTER_NATS="+nats.ClientURL(), "PNS4ONES_CLUSTER_KEY="+key,
			fmt.Sprintf("PNS4ONES_CLUSTER_NODE=web%d", n+1))
		all = append(all, i)
	}
	return all
}

// live reports whether the daemon is a live part of its cluster with so many nodes.
func (i *installation) live(count int) bool {
	status, err := i.client.Status(context.Background())
	if err != nil || status.Cluster == nil || status.Cluster.State != control.NodeLive {
		return false
	}
	live := 0
	for _, n := range status.Cluster.Nodes {
		if n.State == control.NodeLive {
			live++
		}
	}
	return live == count
}

// epochOf is the life of another node, as this one knows it.
func (i *installation) epochOf(name string) string {
	i.t.Helper()
	for _, n := range i.status().Cluster.Nodes {
		if n.Name == name {
			return n.Epoch
		}
	}
	i.t.Fatalf("node %s is not known", name)
	return ""
}

// What other nodes are sent while a node is upgraded reaches its sessions, once, and nobody is
// told that it may not.
func TestAnUpgradeOfANodeLosesNothing(t *testing.T) {
	all := nodes(t, 2)
	here, there := all[0], all[1]
	here.start(exec.Command(here.program))
	there.start(exec.Command(there.program))
	for _, i := range all {
		await(t, "the nodes know each other", func() bool { return i.live(2) })
	}
	l := openLedger(t, there.client, *fireSessions)
	await(t, "the app is everywhere", func() bool {
		_, err := here.client.App(context.Background(), l.app.ID)
		return err == nil
	})
	l.listen = here.status().Listen
	epoch := here.epochOf("web2")
	stop := l.sendAllAround(2, 0)
	defer stop()
	for range *fireRounds {
		there.upgrade()
		if handover := there.status().LastHandover; handover == nil || !handover.Done || handover.Lost > 0 {
			t.Errorf("the upgrade: %+v", handover)
		}
		await(t, "they know each other again", func() bool { return here.live(2) && there.live(2) })
	}
	stop()
	l.settle()
	if b := l.check(); b.accepted < 2**fireRounds {
		t.Errorf("only %d messages were sent", b.accepted)
	}
	for _, s := range l.senders {
		if s.unconfirmed > 0 {
			t.Errorf("sender %d was told %d times that a node may lack a message", s.id, s.unconfirmed)
		}
	}
	if again := here.epochOf("web2"); again != epoch {
		t.Errorf("it has begun another life: %s, and not %s", again, epoch)
	}
}
