package netsvc_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
)

// called reports whether the daemon has exactly this file of names of an app.
func (d *daemon) called(a control.App, file string) func() bool {
	return func() bool {
		var got bytes.Buffer
		return d.ExportNames(d.t.Context(), a.ID, &got) == nil && got.String() == file
	}
}

// Names go to the nodes that are there; one that was not finds the newest when it is back,
// whoever has them, and does not bring back what it had.
func TestANodeThatComesBackTakesTheNewestNames(t *testing.T) {
	t.Parallel()
	nats, key := natstest.Start(t, natstest.JetStream(t)), clusterKey(t)
	nodes := startNodes(t, nats, key, 2)
	settings := nodeSettings(t, nats, key, "web3")
	third := start(t, netsvc.Options{Config: settings})
	one, two := nodes[0], nodes[1]
	knowThree := func() {
		t.Helper()
		for _, d := range []*daemon{one, two, third} {
			eventually(t, "the nodes to know each other", func() bool {
				live := slices.DeleteFunc(d.cluster().Nodes, func(n control.Node) bool { return n.State != control.NodeLive })
				return len(live) == 3
			})
		}
	}
	knowThree()
	a, b := one.create("Склад"), two.create("Магазин")
	for _, d := range []*daemon{one, two, third} {
		eventually(t, "the apps to be everywhere", func() bool { return d.knows(a)() && d.knows(b)() })
	}
	put := func(d *daemon, a control.App, file string) {
		t.Helper()
		report, err := d.ImportNames(t.Context(), a.ID, strings.NewReader(file), false)
		if err != nil || len(report.PendingNodes) > 0 {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	const first, second = "user;1;Анна\n", "user;1;Анна\nuser;2;Борис\n"
	put(one, a, first)
	put(third, b, first)
	for _, d := range []*daemon{one, two, third} {
		if !d.called(a, first)() || !d.called(b, first)() {
			t.Error("a node that was there has not the names")
		}
	}

	if err := third.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return len(one.cluster().Nodes) == 2 && len(two.cluster().Nodes) == 2 })
	put(two, a, second)
	if _, err := one.ClearNames(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	third = start(t, netsvc.Options{Config: settings})
	eventually(t, "it to take the newest names", third.called(a, second))
	eventually(t, "it to take away what was taken away", third.called(b, ""))
	knowThree()
	for _, d := range nodes {
		if !d.called(a, second)() || !d.called(b, "")() {
			t.Error("old names are back")
		}
	}
	// What is changed on it as soon as it has met the others is changed in what they have.
	if err := third.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return len(one.cluster().Nodes) == 2 && len(two.cluster().Nodes) == 2 })
	put(one, a, first)
	put(two, b, second)
	third = start(t, netsvc.Options{Config: settings})
	knowThree()
	eventually(t, "it to take a change of one app", func() bool {
		_, err := third.SetName(t.Context(), a.ID, control.Name{Kind: "user", ID: "3", Name: "Вера"})
		return err == nil
	})
	eventually(t, "it to take a change of the other", func() bool {
		_, err := third.ImportNames(t.Context(), b.ID, strings.NewReader("user;3;Вера\n"), true)
		return err == nil
	})
	for _, d := range []*daemon{one, two, third} {
		eventually(t, "all changes of one app", d.called(a, first+"user;3;Вера\n"))
		eventually(t, "all changes of the other", d.called(b, second+"user;3;Вера\n"))
	}
	// And a node that is new.
	fourth := start(t, netsvc.Options{Config: nodeSettings(t, nats, key, "web4")})
	eventually(t, "it to take the names", fourth.called(a, first+"user;3;Вера\n"))
}
