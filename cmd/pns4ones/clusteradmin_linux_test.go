package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// The administrator speaks with one node; each answers for itself, and each is upgraded, one
// after the other, with the one that is spoken with among them.
func TestEveryNodeIsUpgradedThroughOne(t *testing.T) {
	admin := filepath.Join(t.TempDir(), "pns4onesadmin")
	if out, err := exec.Command("go", "build", "-o", admin, "../pns4onesadmin").CombinedOutput(); err != nil {
		t.Fatalf("building pns4onesadmin: %v\n%s", err, out)
	}
	all := nodes(t, 3)
	var before []control.Status
	for _, node := range all {
		node.start(exec.Command(node.program))
	}
	knowEachOther(t, all...)
	const sessions = 5
	openLedger(t, all[2].client, sessions)
	for _, node := range all {
		before = append(before, node.status())
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(admin, args...)
		cmd.Env = all[1].env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("loglevel", "Debug", "--node", "web3")
	if got, want := run("loglevel", "--node", "all"), "web1: Information\nweb2: Information\nweb3: Debug\n"; got != want {
		t.Errorf("the levels are %q, want %q", got, want)
	}
	said := run("upgrade", "--node", "all")
	if !strings.Contains(said, "All nodes are upgraded: web1, web2, web3.") {
		t.Errorf("the upgrade says %s", said)
	}
	if now := all[2].status().Sessions; now != sessions {
		t.Errorf("web3 had %d sessions and has %d", sessions, now)
	}
	for i, node := range all {
		now := node.status()
		if now.PID == before[i].PID || now.LastHandover == nil || !now.LastHandover.Done {
			t.Errorf("web%d was process %d and is %d after %+v", i+1, before[i].PID, now.PID, now.LastHandover)
		}
		if !node.live(3) {
			t.Errorf("web%d does not see all nodes live: %+v", i+1, now.Cluster.Nodes)
		}
	}
}
