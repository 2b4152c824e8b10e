package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

var (
	fireCluster = flag.String("fire.cluster", "",
		"short or all: what goes wrong in TestWhatFailuresLookLike, with real NATS servers; empty: it is skipped")
	fireOther = flag.String("fire.other", "",
		"the daemon of web2 where there are real NATS servers, if it is of another version than the others")
)

// trial is a site in which something goes wrong under traffic.
type trial struct {
	*traffic
	t     *testing.T
	nodes []*node
	nats  []*natsServer
	began time.Time
}

// failures are the rows of the table «What failures look like» in cluster.md, and some between them.
var failures = []struct {
	name  string
	short bool // it belongs to the short set
	do    func(*trial)
}{
	{"a node is killed", true, aNodeIsKilled},
	{"a node hangs", true, aNodeHangs},
	{"a node is cut off", false, aNodeIsCutOff},
	{"a machine is cut off with its NATS server", false, aMachineIsCutOff},
	{"the NATS server of a node is killed", true, aServerIsKilled},
	{"a NATS server hangs", false, aServerHangs},
	{"NATS as a whole is down", true, natsIsDown},
	{"the NATS server that leads the apps is killed", false, theLeaderIsKilled},
	{"two of three NATS servers are down", false, twoServersAreDown},
	{"the rights in NATS are wrong", false, rightsAreWrong},
	{"the key is another one", false, theKeyIsAnotherOne},
	{"a message is larger than NATS takes", true, aMessageIsLarge},
	{"a node is too slow", false, aNodeIsTooSlow},
	{"versions are too far apart", false, versionsAreTooFarApart},
}

// TestWhatFailuresLookLike has everything of the table in cluster.md go wrong with real processes, and checks what
// senders and administrators are told, and that no message is lost that somebody was told is delivered.
func TestWhatFailuresLookLike(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("-short")
	case *fireCluster == "":
		t.Skip("-fire.cluster short or all runs it")
	}
	s := newSite(t)
	before := s.size()
	for _, f := range failures {
		if f.short || *fireCluster == "all" {
			t.Run(f.name, func(t *testing.T) { goWrong(t, s, f.do) })
		}
	}
	s.checkSize(before)
	s.end()
}

func goWrong(t *testing.T, s *site, do func(*trial)) {
	r := &trial{traffic: newTraffic(t, s), t: t, nodes: s.nodes, nats: s.nats}
	stop := r.begin(5 * time.Millisecond)
	defer stop()
	r.awaitSure()
	r.began = time.Now()
	do(r)
	r.check(stop)
	r.quit()
}

// reports tells how long a sender waited since the failure.
func (r *trial) reports(sender int, what string) {
	p := r.posters[sender]
	r.t.Logf("%s: the sender at %s waited %v at most", what, p.name, p.longest(r.began).Round(100*time.Microsecond))
}

// changes makes an app at a node, and reports how long that took.
func (r *trial) changes(n *node, why string) {
	r.t.Helper()
	began := time.Now()
	var err error
	await(r.t, "an app can be made "+why, func() bool {
		_, err = n.client.CreateApp(context.Background(), why)
		if err != nil {
			wantCode(r.t, why, err, control.CodeClusterUnavailable)
		}
		return err == nil
	})
	r.t.Logf("%s: a change took %v", why, time.Since(began).Round(time.Millisecond))
}

// refusesChanges checks that apps cannot be changed at a node.
func (r *trial) refusesChanges(n *node) {
	r.t.Helper()
	_, err := n.client.CreateApp(context.Background(), "refused")
	wantCode(r.t, n.name, err, control.CodeClusterUnavailable)
	out, err := n.tryAdmin("create", "refused")
	if err == nil || !strings.Contains(out, "NATS") && !strings.Contains(out, "JetStream") {
		r.t.Errorf("the administrator of %s is told %q", n.name, out)
	}
}

// doesNotChange checks that nobody is told that apps have been changed at a node.
func (r *trial) doesNotChange(n *node) {
	r.t.Helper()
	var refusal *control.Error
	_, err := n.client.CreateApp(context.Background(), "not there")
	if !errors.As(err, &refusal) ||
		refusal.Code != control.CodeClusterUnavailable && refusal.Code != control.CodeOutcomeUnknown {
		r.t.Errorf("%s is told %v", n.name, err)
	}
}

// measures waits until a node measures so much, or more.
func (n *node) measures(name string, least float64) {
	n.t.Helper()
	await(n.t, n.name+" measures "+name, func() bool { return n.metric(name) >= least })
}

// health is what a balancer is told.
func (n *node) health(query string) int {
	n.t.Helper()
	response, err := http.Get("http://" + n.listens() + "/healthz" + query)
	if err != nil {
		n.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func aNodeIsKilled(r *trial) {
	here, there := r.nodes[0], r.nodes[1]
	had := len(here.said())
	there.kill()
	r.awaitUnconfirmed(0, 1)
	r.awaitUnconfirmed(2, 1)
	here.sees("web1=live web2=lost web3=live")
	here.says(had, `level=Warning msg="node lost".* node=web2`)
	here.measures(`pns4ones_cluster_peers{state="lost"}`, 1)
	r.reports(0, "a node is killed")
	here.admin("cluster", "forget", "web2")
	here.sees("web1=live web3=live")
	r.awaitUnconfirmed(0, 0)
	there.run()
}

func aNodeHangs(r *trial) {
	here, there := r.nodes[0], r.nodes[1]
	had, dropped := len(here.said()), there.dropped()
	there.halt()
	defer there.goOn()
	r.awaitUnconfirmed(0, 1)
	here.says(had, `level=Warning msg="node silent".* node=web2`)
	r.reports(0, "a node hangs")
	here.sees("web1=live web2=lost web3=live")
	here.says(had, `level=Warning msg="node lost".* node=web2`)
	there.goOn()
	await(r.t, "what came meanwhile is dropped", func() bool { return there.dropped() > dropped })
	here.sees("web1=live web2=live web3=live")
}

func aNodeIsCutOff(r *trial) {
	here, there := r.nodes[0], r.nodes[1]
	had := len(there.said())
	there.machine.cut()
	defer there.machine.mend()
	r.awaitUnconfirmed(0, 1)
	r.reports(0, "a node is cut off")
	here.sees("web1=live web2=lost web3=live")
	r.awaitUnconfirmed(1, 2)
	r.reports(1, "it is itself cut off")
	there.sees("web1=lost web2=cut_off web3=lost")
	there.says(had, `level=Error msg="no connection to NATS: only this node's own sessions are served"`)
	there.measures(`pns4ones_cluster_state{state="cut_off"}`, 1)
	if alone, part := there.health(""), there.health("?cluster"); alone != 200 || part != 503 {
		r.t.Errorf("a balancer is told %d, and %d of the cluster", alone, part)
	}
	r.awaitTold(1, "how many sessions are its own", func(one *told) bool {
		return one.to == "all" && one.sessions == seats && one.unconfirmed == 2
	})
	r.refusesChanges(there)
	there.machine.mend()
	there.says(had, `level=Warning msg="connected to NATS"`)
}

// What a node and its NATS server have left is each other.
func aMachineIsCutOff(r *trial) {
	here, there := r.nodes[0], r.nodes[1]
	server := r.site.serverOf(there)
	apart := []*machine{there.machine, server.machine}
	for _, m := range apart {
		m.part()
		defer m.join()
	}
	r.awaitUnconfirmed(1, 2)
	there.sees("web1=lost web2=live web3=lost")
	r.reports(1, "a node and its NATS server are cut off")
	here.sees("web1=live web2=lost web3=live")
	r.awaitUnconfirmed(0, 1)
	r.doesNotChange(there)
	for _, m := range apart {
		m.join()
	}
}

func aServerIsKilled(r *trial) {
	here := r.nodes[0]
	server, had, before := r.site.serverOf(here), len(here.said()), here.status().Cluster.NATS.Reconnects
	server.kill()
	await(r.t, "it is connected to another", func() bool {
		now := here.status().Cluster
		return now.NATS.Reconnects > before && now.State == control.NodeLive
	})
	here.says(had, `msg="disconnected from NATS"`)
	here.says(had, `msg="connected to NATS".* server=`)
	r.awaitSure()
	r.reports(0, "its NATS server is killed")
	here.sees("web1=live web2=live web3=live")
	server.run()
	r.site.awaitJetStream()
}

// The messages that a server has when it goes on are old: some have been sent again meanwhile, others are too late.
func aServerHangs(r *trial) {
	here := r.nodes[0]
	server, before := r.site.serverOf(here), here.status().Cluster.NATS.Reconnects
	dropped := make(map[string]float64)
	for _, n := range r.nodes {
		dropped[n.name] = n.dropped()
	}
	server.halt()
	defer server.goOn()
	await(r.t, "it is connected to another", func() bool { return here.status().Cluster.NATS.Reconnects > before })
	r.reports(0, "its NATS server hangs")
	r.site.awaitLive()
	r.awaitSure()
	server.goOn()
	await(r.t, "what the server had is dropped", func() bool {
		return slices.ContainsFunc(r.nodes, func(n *node) bool { return n.dropped() > dropped[n.name] })
	})
}

// dropped is how many messages of other nodes it has dropped, because they are too old: in time, by their number, or
// by what is known of their sender.
func (n *node) dropped() (sum float64) {
	n.t.Helper()
	for _, reason := range []string{"late", "seen", "own", "unknown"} {
		sum += n.metric(`pns4ones_cluster_dropped_total{reason="` + reason + `"}`)
	}
	return sum
}

func natsIsDown(r *trial) {
	here, had := r.nodes[0], len(r.nodes[0].said())
	for _, server := range r.nats {
		server.kill()
	}
	for sender := range r.nodes {
		r.awaitUnconfirmed(sender, 2)
	}
	r.reports(0, "NATS is down")
	await(r.t, "it is cut off", func() bool { return here.status().Cluster.State == control.NodeCutOff })
	here.says(had, `level=Error msg="no connection to NATS: only this node's own sessions are served"`)
	r.refusesChanges(here)
	began := time.Now()
	for _, server := range r.nats {
		server.run()
	}
	r.awaitSure()
	r.t.Logf("all nodes have messages again %v after NATS is started", time.Since(began).Round(time.Millisecond))
	r.site.awaitJetStream()
	r.changes(here, "after NATS was down")
}

func theLeaderIsKilled(r *trial) {
	leader := r.site.leader()
	leader.kill()
	r.changes(r.nodes[0], "when the server that leads is killed")
	r.awaitSure()
	r.reports(0, "the server that leads is killed")
	leader.run()
	r.site.awaitJetStream()
}

func twoServersAreDown(r *trial) {
	here := r.nodes[0]
	down := r.nats[:2]
	for _, server := range down {
		server.kill()
	}
	r.awaitSure()
	r.reports(0, "two NATS servers are down")
	r.refusesChanges(here)
	if here.status().Cluster.NATS.JetStream {
		r.t.Errorf("%s took no change, and says that JetStream answers", here.name)
	}
	here.sees("web1=live web2=live web3=live")
	r.awaitSure()
	for _, server := range down {
		server.run()
	}
	r.site.awaitJetStream()
	r.changes(here, "after two NATS servers were down")
	await(r.t, "JetStream answers", func() bool { return here.status().Cluster.NATS.JetStream })
}

func rightsAreWrong(r *trial) {
	here, there := r.nodes[0], r.nodes[1]
	had, right := len(there.said()), there.env
	there.end()
	there.env = append(right[:len(right):len(right)],
		"PNS4ONES_CLUSTER_NATS="+strings.ReplaceAll(r.site.servers(), natsUser, natsStranger))
	there.run()
	await(r.t, "it is refused", func() bool { return there.status().Cluster.State == control.NodeRefused })
	if problem := there.status().Cluster.Problem; !strings.Contains(problem, "pns4ones.main.") {
		r.t.Errorf("the subject is not named: %q", problem)
	}
	there.says(had, `level=Warning msg="NATS reports an error".*pns4ones\.main\.`)
	if part := there.health("?cluster"); part != 503 {
		r.t.Errorf("a balancer is told %d of the cluster", part)
	}
	here.sees("web1=live web2=lost web3=live")
	r.awaitUnconfirmed(0, 1)
	there.end()
	there.env = right
	there.run()
}

func theKeyIsAnotherOne(r *trial) {
	here, there := r.nodes[0], r.nodes[1]
	right, err := os.ReadFile(there.key)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Remove(there.key); err != nil {
		r.t.Fatal(err)
	}
	if _, err := seal.WriteNewKey(there.key); err != nil {
		r.t.Fatal(err)
	}
	hadHere, hadThere := len(here.said()), len(there.said())
	there.admin("reload")
	await(r.t, "it is refused", func() bool { return there.status().Cluster.State == control.NodeRefused })
	await(r.t, "the other key is named", func() bool {
		return strings.Contains(there.status().Cluster.Problem, "another cluster key: ")
	})
	const dropped = `level=Warning msg="something in the cluster's subjects was not sealed with its key: it is dropped"`
	there.says(hadThere, dropped)
	here.says(hadHere, dropped)
	here.sees("web1=live web2=lost web3=live")
	r.awaitUnconfirmed(0, 1)
	r.awaitUnconfirmed(1, 2)
	if err := os.WriteFile(there.key, right, 0o600); err != nil {
		r.t.Fatal(err)
	}
	there.admin("reload")
}

// NATS takes 1 MiB at once.
func aMessageIsLarge(r *trial) {
	large := r.newPoster(r.nodes[0])
	large.padding = 3 << 20
	for range 3 * 2 {
		if err := large.next(len(r.nodes) * seats); err != nil {
			r.t.Fatal(err)
		}
	}
	for number, one := range large.told {
		if want := matching(one.to); !one.sure() || one.sessions != want && one.sessions != want*len(r.nodes) {
			r.t.Errorf("message %d to %s: %+v", number, one.to, one)
		}
	}
	r.reports(len(r.posters)-1, "a message of 3 MiB")
}

// NATS keeps 64 MiB for a node that hangs, and then ends its connection.
func aNodeIsTooSlow(r *trial) {
	there := r.nodes[1]
	had := len(there.said())
	there.halt()
	defer there.goOn()
	r.awaitUnconfirmed(0, 1)
	large := r.newPoster(r.nodes[0])
	large.padding = 3 << 20
	for range 40 {
		if err := large.next(len(r.nodes) * seats); err != nil {
			r.t.Fatal(err)
		}
	}
	r.reports(len(r.posters)-1, "a node does not take 120 MiB")
	there.goOn()
	there.says(had, `msg="disconnected from NATS"`)
	there.says(had, `msg="connected to NATS"`)
}

// The daemon of a version that speaks none of what is spoken here is made of this one.
func versionsAreTooFarApart(r *trial) {
	const spoken = "leastVersion = 1\n\tmostVersion  = 1\n"
	path, err := filepath.Abs("../../netsvc/cluster/body.go")
	if err != nil {
		r.t.Fatal(err)
	}
	code, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(code, []byte(spoken)) {
		r.t.Fatalf("the versions are not where they were: %v", err)
	}
	folder := r.t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	later := bytes.Replace(code, []byte(spoken), []byte("leastVersion = 3\n\tmostVersion  = 4\n"), 1)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: in("body.go")}})
	err = errors.Join(err, os.WriteFile(in("body.go"), later, 0o600), os.WriteFile(in("overlay"), overlay, 0o600))
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := exec.Command("go", "build", "-overlay", in("overlay"), "-o", in("pns4ones"), ".").CombinedOutput()
	if err != nil {
		r.t.Fatalf("building the later version: %v\n%s", err, out)
	}
	here, there := r.nodes[0], r.nodes[1]
	before, hadHere, hadThere := in("before"), len(here.said()), len(there.said())
	if err := os.Link(there.program, before); err != nil {
		r.t.Fatal(err)
	}
	there.putProgram(in("pns4ones"))
	there.kill()
	there.run()
	const refused = `level=Warning msg="a node is refused by this one" node=%s ` +
		`problem="it speaks other versions of the protocol than this node" version=`
	here.says(hadHere, fmt.Sprintf(refused, "web2"))
	there.says(hadThere, fmt.Sprintf(refused, "web1"))
	there.says(hadThere, fmt.Sprintf(refused, "web3"))
	r.awaitUnconfirmed(0, 1)
	r.awaitUnconfirmed(1, 1) // it has met nobody
	there.putProgram(before)
	there.kill()
	there.run()
}
