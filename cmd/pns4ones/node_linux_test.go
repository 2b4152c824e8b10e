package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// startNATS runs a NATS server in this process until the end of the test.
func startNATS(t *testing.T) (url string) {
	t.Helper()
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return "nats://" + server.Addr().String()
}

// installNode installs a node of a cluster.
func installNode(t *testing.T, nats, key, name string) *installation {
	t.Helper()
	i := install(t)
	i.env = append(i.env, "PNS4ONES_CLUSTER_NATS="+nats, "PNS4ONES_CLUSTER_KEY="+key, "PNS4ONES_CLUSTER_NODE="+name)
	i.start(exec.Command(i.program))
	return i
}

// isLive reports whether a node is live, and how many nodes it says are.
func (i *installation) isLive() (live bool, nodes int) {
	status, err := i.client.Status(context.Background())
	if err != nil || status.Cluster == nil {
		return false, 0
	}
	for _, n := range status.Cluster.Nodes {
		if n.State == control.NodeLive {
			nodes++
		}
	}
	return status.Cluster.State == control.NodeLive, nodes
}

// TestANodeIsUpgraded has the sessions of one node get all that is sent to it through
// upgrades, and the node in the cluster again after each.
func TestANodeIsUpgraded(t *testing.T) {
	nats, key := startNATS(t), filepath.Join(t.TempDir(), "cluster.key")
	if _, err := seal.WriteNewKey(key); err != nil {
		t.Fatal(err)
	}
	one, two := installNode(t, nats, key, "web1"), installNode(t, nats, key, "web2")
	together := func() {
		t.Helper()
		for _, i := range []*installation{one, two} {
			await(t, "both nodes are live", func() bool {
				live, nodes := i.isLive()
				return live && nodes == 2
			})
		}
	}
	together()
	l := openLedger(t, one.client, *fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()
	for range 2 {
		one.upgrade()
		together()
	}
	stop()
	l.settle()
	l.check()
	if said := one.said(); strings.Contains(said, "is refused by this one") {
		t.Errorf("the node was taken for another one")
	}
}
