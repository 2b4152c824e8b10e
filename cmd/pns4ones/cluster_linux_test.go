package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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

// checkLife reports another node that has begun a new life, as this one knows it.
func (i *installation) checkLife(name, epoch string) {
	i.t.Helper()
	if again := i.epochOf(name); again != epoch {
		i.t.Errorf("it has begun another life: %s, and not %s", again, epoch)
	}
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

// What other nodes are sent while a node is upgraded or restarted reaches its sessions, once,
// and nobody is told that it may not.
func TestANodeGoesFromProcessToProcess(t *testing.T) {
	for place := range 2 {
		t.Run(fmt.Sprintf("senders at web%d", place+1), func(t *testing.T) { goFromProcessToProcess(t, place) })
	}
}

func goFromProcessToProcess(t *testing.T, senders int) {
	all := nodes(t, 2)
	here, there := all[0], all[1]
	here.start(exec.Command(here.program))
	systemd, _ := there.startUnderSystemd(t)
	knowEachOther(t, all...)
	l := ledgerOfTwo(t, all[senders], there)
	epoch := here.epochOf("web2")
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	for range *fireRounds {
		there.upgrade()
		knowEachOther(t, all...)
		there.end()
		there.start(systemd.next(there.program))
		knowEachOther(t, all...)
		if handover := there.status().LastHandover; handover == nil || !handover.Done || handover.Lost > 0 {
			t.Errorf("the last hand-over: %+v", handover)
		}
	}
	stop()
	l.checkConfirmed()
	here.checkLife("web2", epoch)
}

// An upgrade of a node that fails is taken back, and the others notice nothing but a pause.
func TestANodeIsTakenBack(t *testing.T) {
	all := nodes(t, 2)
	here, there := all[0], all[1]
	here.start(exec.Command(here.program))
	there.start(exec.Command(there.program))
	knowEachOther(t, all...)
	l := ledgerOfTwo(t, here, there)
	epoch, before := here.epochOf("web2"), there.status()
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	for _, fault := range [][2]string{{"N.open", faultError}, {"U.N.ready", faultKill}, {"U.O.turn", faultError}} {
		t.Log(fault)
		there.plan(fault[0], fault[1])
		if _, err := there.client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		await(t, "one process is left, and serves", func() bool {
			status, err := there.client.Status(context.Background())
			return err == nil && status.LastHandover != nil && len(there.processes()) == 1
		})
		if now := there.status(); now.PID != before.PID || now.LastHandover.Done {
			t.Fatalf("it was %+v and is %+v", before, now)
		}
		knowEachOther(t, all...)
	}
	stop()
	l.checkConfirmed()
	here.checkLife("web2", epoch)
}

// Whoever waits for a node that hangs is answered before the one that was asked is upgraded.
func TestAnUpgradeDoesNotWaitForNodesThatHang(t *testing.T) {
	all := nodes(t, 2)
	hangs, upgraded := all[0], all[1]
	hanging := hangs.start(exec.Command(hangs.program))
	upgraded.env = append(upgraded.env, "PNS4ONES_CLUSTER_WAIT=10s")
	upgraded.start(exec.Command(upgraded.program))
	knowEachOther(t, all...)
	l := openLedger(t, upgraded.client, 1)
	sender := l.newSender(0)
	l.senders = append(l.senders, sender)
	hanging.Process.Signal(syscall.SIGSTOP)
	defer hanging.Process.Signal(syscall.SIGCONT)
	told := make(chan answer, 1)
	go func() {
		answer, err := sender.try("all", 0)
		if err != nil {
			t.Error(err)
		}
		told <- answer
	}()
	await(t, "the message is on its way", func() bool { return upgraded.status().Messages == 1 })
	upgraded.upgrade()
	if got := <-told; got != (answer{status: 200, sessions: 1, unconfirmed: 1}) {
		t.Errorf("the sender was told %+v", got)
	}
}

// A successor that will be in another cluster does not go on as the node, which says goodbye.
func TestANodeGoesToAnotherCluster(t *testing.T) {
	all := nodes(t, 2)
	here, there := all[0], all[1]
	here.start(exec.Command(here.program))
	there.start(exec.Command(there.program))
	knowEachOther(t, all...)
	there.set(`cluster_name = "other"`)
	there.upgrade()
	await(t, "the other one is alone", func() bool { return len(here.status().Cluster.Nodes) == 1 })
}

// set makes a settings file of that text.
func (i *installation) set(text string) {
	i.t.Helper()
	folder := filepath.Join(i.folder, "settings")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "pns4ones.toml"), []byte(text+"\n"), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func knowEachOther(t *testing.T, all ...*installation) {
	t.Helper()
	for _, i := range all {
		await(t, "the nodes know each other", func() bool { return i.live(len(all)) })
	}
}

// ledgerOfTwo is one whose senders are at one node and whose sessions are at another.
func ledgerOfTwo(t *testing.T, senders, sessions *installation) *ledger {
	t.Helper()
	l := openLedger(t, sessions.client, *fireSessions)
	await(t, "the app is everywhere", func() bool {
		_, err := senders.client.App(context.Background(), l.app.ID)
		return err == nil
	})
	l.listen = senders.status().Listen
	return l
}

// checkConfirmed checks the ledger, and that no sender was told of a node that may lack a
// message.
func (l *ledger) checkConfirmed() {
	l.t.Helper()
	l.settle()
	if b := l.check(); b.accepted < 2**fireRounds {
		l.t.Errorf("only %d messages were sent", b.accepted)
	}
	for _, s := range l.senders {
		if s.unconfirmed > 0 {
			l.t.Errorf("sender %d was told %d times that a node may lack a message", s.id, s.unconfirmed)
		}
	}
}
