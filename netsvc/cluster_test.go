package netsvc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// clusterKey makes a key file.
func clusterKey(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "cluster.key")
	if _, err := seal.WriteNewKey(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// nodeSettings are those of a node on free ports.
func nodeSettings(t *testing.T, nats *natstest.Server, key, name string) config.Config {
	t.Helper()
	c := settings(t.TempDir())
	c.ClusterNATS, c.ClusterName, c.ClusterNode, c.ClusterKey = []string{nats.URL()}, "main", name, key
	c.ClusterWait = 10 * time.Second // so that a machine that is busy makes no node silent
	c.MetricsListen = &config.Address{Host: "127.0.0.1"}
	return c
}

// startNodes runs daemons, web1 and so on, that are one cluster, and waits until they are.
func startNodes(t *testing.T, nats *natstest.Server, key string, count int) (nodes []*daemon) {
	t.Helper()
	for i := range count {
		name := fmt.Sprintf("web%d", i+1)
		nodes = append(nodes, start(t, netsvc.Options{Config: nodeSettings(t, nats, key, name), Version: "1.2.3"}))
	}
	for _, d := range nodes {
		eventually(t, "the nodes to know each other", func() bool {
			c := d.cluster()
			live := 0
			for _, n := range c.Nodes {
				if n.State == control.NodeLive {
					live++
				}
			}
			return live == count
		})
	}
	return nodes
}

// cluster is what the daemon says of its cluster.
func (d *daemon) cluster() *control.Cluster {
	d.t.Helper()
	status, err := d.Status(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	if status.Cluster == nil {
		d.t.Fatal("the daemon says that it is alone")
	}
	return status.Cluster
}

// isState reports whether the daemon is that to its cluster.
func (d *daemon) isState(state string) func() bool {
	return func() bool { return d.cluster().State == state }
}

// knows reports whether the daemon has an app.
func (d *daemon) knows(a control.App) func() bool {
	return func() bool {
		_, err := d.App(context.Background(), a.ID)
		return err == nil
	}
}

// post sends a message to all of the infobase and returns the headers of the answer.
func (d *daemon) post(token, topic string) http.Header {
	d.t.Helper()
	body := fmt.Sprintf(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":%q}}`, topic)
	request, err := http.NewRequest("POST", d.url("/sendmessage"), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body.Close()
	return response.Header
}

// health asks one of the doors how the daemon is, and returns code and body.
func health(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body := make([]byte, 200)
	n, _ := response.Body.Read(body)
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body[:n])))
}

func TestThreeDaemonsAreOneService(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, natstest.Start(t, natstest.JetStream(t)), clusterKey(t), 3)
	a := nodes[0].create("Склад")
	tokens := make([]string, len(nodes))
	for i, d := range nodes {
		eventually(t, "the app to be everywhere", d.knows(a))
		tokens[i], _ = d.authorise(a.ServerKey)
	}
	first, second := nodes[0].session(a, "ann"), nodes[2].session(a, "bob")
	for i, d := range nodes {
		topic := fmt.Sprintf("from %d", i)
		if h := d.post(tokens[i], topic); h.Get("X-Delivered-Sessions") != "2" || h.Get("X-Unconfirmed-Nodes") != "" {
			t.Errorf("%s: %v", topic, h)
		}
	}
	for _, c := range []*wire.Client{first, second} {
		for i := range nodes {
			if got, want := receive(t, c), fmt.Sprintf(`{"topic":"from %d"}`, i); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	// A key that is renewed at one node is gone at all.
	if changed, err := nodes[1].RotateClientKey(t.Context(), a.ID, 0); err != nil || changed.ClosedSessions+len(changed.PendingNodes) < 2 {
		t.Fatalf("%+v, %v", changed, err)
	}
	ends(t, first)
	ends(t, second)
	// One that is stopped in order is not missed.
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return len(nodes[1].cluster().Nodes) == 2 })
	if h := nodes[1].post(tokens[1], "left"); h.Get("X-Unconfirmed-Nodes") != "" {
		t.Errorf("after it: %v", h)
	}
}

func TestANodeThatIsCutOffServesItsOwn(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t))
	nodes := startNodes(t, nats, clusterKey(t), 2)
	a := nodes[0].create("Склад")
	eventually(t, "the app to be everywhere", nodes[1].knows(a))
	session := nodes[1].session(a, "bob")
	token, _ := nodes[1].authorise(a.ServerKey)
	doors := func() string {
		senders, metrics := nodes[1].url("/healthz"), fmt.Sprintf("http://127.0.0.1:%d/healthz", nodes[1].MetricsPort())
		return strings.Join([]string{health(t, senders), health(t, senders+"?cluster"), health(t, metrics),
			health(t, metrics+"?cluster")}, "\n")
	}
	if got, want := doors(), strings.Repeat("\n"+`200 {"status":"ok"}`, 4)[1:]; got != want {
		t.Errorf("live:\n%s", got)
	}

	nats.Stop()
	eventually(t, "the node to be cut off", nodes[1].isState(control.NodeCutOff))
	const cutOff = `{"status":"cut_off"}`
	if got, want := doors(), "200 "+cutOff+"\n503 "+cutOff+"\n200 "+cutOff+"\n503 "+cutOff; got != want {
		t.Errorf("cut off:\n%s", got)
	}
	if h := nodes[1].post(token, "alone"); h.Get("X-Delivered-Sessions") != "1" || h.Get("X-Unconfirmed-Nodes") != "1" {
		t.Errorf("cut off: %v", h)
	}
	if got := receive(t, session); got != `{"topic":"alone"}` {
		t.Errorf("got %s", got)
	}
	_, err := nodes[1].CreateApp(t.Context(), "Не выйдет")
	if refused, ok := errors.AsType[*control.Error](err); !ok || refused.Code != control.CodeClusterUnavailable ||
		!strings.Contains(refused.Message, "no connection to NATS") {
		t.Errorf("a change while cut off: %v", err)
	}

	nats.Start()
	for _, d := range nodes {
		eventually(t, "the node to be live again", d.isState(control.NodeLive))
	}
	again := nodes[1].create("Выйдет")
	eventually(t, "the app to be everywhere", nodes[0].knows(again))
}

func TestANodeWithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t))
	startNodes(t, nats, clusterKey(t), 1)
	stranger := start(t, netsvc.Options{Config: nodeSettings(t, nats, clusterKey(t), "web2")})
	eventually(t, "the node to be refused", func() bool {
		c := stranger.cluster()
		return c.State == control.NodeRefused && strings.Contains(c.Problem, "another cluster key: ")
	})
	eventually(t, "its apps to be those of another key", func() bool {
		return stranger.cluster().AppsProblemCode == "other_key"
	})
}

// A node that was started may not know yet which others there are, and does not claim that they
// have a message.
func TestANodeThatHasNotMetTheOthersSaysSo(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t))
	c := nodeSettings(t, nats, clusterKey(t), "web1")
	d := start(t, netsvc.Options{Config: c})
	eventually(t, "the node to be live", d.isState(control.NodeLive))
	a := d.create("app")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	nats.Stop()
	d = start(t, netsvc.Options{Config: c})
	token, _ := d.authorise(a.ServerKey)
	if got := d.post(token, "alone").Get("X-Unconfirmed-Nodes"); got != "1" {
		t.Errorf("without NATS the header is %q", got)
	}
	nats.Start()
	eventually(t, "the node to be live", d.isState(control.NodeLive))
	if got := d.post(token, "the only one").Get("X-Unconfirmed-Nodes"); got != "" {
		t.Errorf("as the only node it has the header %q", got)
	}
}

// TestANodeLeavesNothingBehind runs alone, for it counts goroutines.
func TestANodeLeavesNothingBehind(t *testing.T) {
	nats := natstest.Start(t, natstest.JetStream(t))
	key := clusterKey(t)
	before := runtime.NumGoroutine()
	nodes := startNodes(t, nats, key, 2)
	a := nodes[0].create("app")
	eventually(t, "the app to be everywhere", nodes[1].knows(a))
	nats.Stop()
	eventually(t, "the node to be cut off", nodes[1].isState(control.NodeCutOff))
	for _, d := range nodes {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
		d.Client.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "goroutines are back to what they were", func() bool { return runtime.NumGoroutine() <= before })
}

func TestASingleNodeSaysNothingOfClusters(t *testing.T) {
	t.Parallel()
	c := settings(t.TempDir())
	c.MetricsListen = &config.Address{Host: "127.0.0.1"}
	d := start(t, netsvc.Options{Config: c})
	status, err := d.Status(t.Context())
	if err != nil || status.Cluster != nil {
		t.Errorf("%+v, %v", status.Cluster, err)
	}
	if text := get(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", d.MetricsPort())); strings.Contains(text, "cluster") {
		t.Errorf("metrics:\n%s", text)
	}
	if got := health(t, d.url("/healthz?cluster")); got != `200 {"status":"ok"}` {
		t.Errorf("health: %s", got)
	}
}

// TestTheKeyOfTheClusterIsReadAgain goes the way of a change of keys, up to where the node
// seals with the new one, and back to a file that cannot be used.
func TestTheKeyOfTheClusterIsReadAgain(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t))
	key := clusterKey(t)
	startNodes(t, nats, key, 1)
	const common = onLoopback + "cluster_node = \"web2\"\ncluster_key = \"new.key\"\n"
	r := startReloadableWith(t, common+fmt.Sprintf("cluster_nats = [%q]\n", nats.URL()), func(folder string) {
		if _, err := seal.WriteNewKey(filepath.Join(folder, "new.key")); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, "the node to be refused", r.isState(control.NodeRefused))
	other, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.folder, "new.key")
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := r.Client.Reload(t.Context())
	if err != nil || fmt.Sprint(report.Applied) != "[cluster_key]" {
		t.Fatalf("%+v, %v", report, err)
	}
	eventually(t, "the node to be live", r.isState(control.NodeLive))

	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "new.key") {
		t.Errorf("a file without keys: %v", err)
	}
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	r.write(t, common+fmt.Sprintf("cluster_nats = [%q]\ncluster_wait = \"2s\"\ncluster_name = \"other\"\n", nats.URL()))
	report, err = r.Client.Reload(t.Context())
	if err != nil || fmt.Sprint(report.Applied, report.RestartNeeded) != "[cluster_wait] [cluster_name]" {
		t.Errorf("%+v, %v", report, err)
	}
	if c := r.cluster(); c.State != control.NodeLive || c.Name != "main" {
		t.Errorf("%+v", c)
	}
}

// TestTheKeyOfTheClusterIsChangedWithoutAWord goes the whole way of a change of keys: nobody
// has to do anything about the apps in NATS.
func TestTheKeyOfTheClusterIsChangedWithoutAWord(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t))
	old, new := sealtest.Text(t), sealtest.Text(t)
	var nodes []*reloadable
	write := func(r *reloadable, texts ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(r.folder, "own.key"), []byte(strings.Join(texts, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Client.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"web1", "web2"} {
		settings := onLoopback + fmt.Sprintf("cluster_node = %q\ncluster_key = \"own.key\"\ncluster_nats = [%q]\n", name, nats.URL())
		r := startReloadableWith(t, settings, func(folder string) {
			if err := os.WriteFile(filepath.Join(folder, "own.key"), []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		eventually(t, "the node to be live", r.isState(control.NodeLive))
		nodes = append(nodes, r)
	}
	one, two := nodes[0], nodes[1]
	a := one.create("Склад")
	eventually(t, "the app to be everywhere", two.knows(a))
	for _, r := range nodes {
		write(r, old, new)
	}
	write(one, new, old)
	eventually(t, "it to wait for the other one", func() bool {
		s := one.cluster().Sealing
		return !s.Done && slices.Equal(s.OtherNodes, []string{"web2"}) && s.OtherRecords == 2
	})
	write(two, new, old)
	for _, r := range nodes {
		eventually(t, "only one key to be needed", func() bool { return r.cluster().Sealing.Done })
	}
	for _, r := range nodes {
		write(r, new)
	}
	for _, r := range nodes {
		eventually(t, "the apps to be read with the new key", func() bool {
			c := r.cluster()
			return c.State == control.NodeLive && c.AppsProblem == "" && c.Sealing.Done
		})
	}
	again := two.create("Магазин")
	eventually(t, "the app to be everywhere", one.knows(again))
}

func TestWhatKeepsADaemonFromItsClusterKeepsItFromStarting(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t)
	folder := t.TempDir()
	nonsense, other := filepath.Join(folder, "nonsense"), filepath.Join(folder, "other")
	for _, path := range []string{nonsense, other} {
		if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for setting, change := range map[string]func(*config.Config){
		"cluster_key":             func(c *config.Config) { c.ClusterKey = nonsense },
		"cluster_credentials":     func(c *config.Config) { c.ClusterCredentials = nonsense },
		"cluster_ca":              func(c *config.Config) { c.ClusterCA = nonsense },
		"cluster_certificate":     func(c *config.Config) { c.ClusterCertificate, c.ClusterCertificateKey = nonsense, other },
		"cluster_certificate_key": func(c *config.Config) { c.ClusterCertificate, c.ClusterCertificateKey = nonsense, "no" },
	} {
		c := nodeSettings(t, nats, clusterKey(t), "web1")
		change(&c)
		var refused *netsvc.ClusterError
		if err := netsvc.LookAtCluster(&c); !errors.As(err, &refused) || refused.Setting != setting {
			t.Errorf("%s: looked at: %v", setting, err)
		}
		if _, err := netsvc.Open(t.Context(), netsvc.Options{Config: c}); !errors.As(err, &refused) || refused.Setting != setting {
			t.Errorf("%s: %v", setting, err)
		}
		if _, err := os.Lstat(c.DataDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a database was made", setting)
		}
	}
}

// TestAChangeWaitsForTheDaemonToEnterItsCluster: a script creates an app as soon as it can.
func TestAChangeWaitsForTheDaemonToEnterItsCluster(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t))
	d := start(t, netsvc.Options{Config: nodeSettings(t, nats, clusterKey(t), "web1")})
	a := d.create("Склад")
	if c := d.cluster(); c.AppsRevision == 0 || c.AppsProblem != "" || !d.knows(a)() {
		t.Errorf("%+v", c)
	}
}

// TestANodeWithoutARightIsRefused: NATS says so in no answer, only beside them.
func TestANodeWithoutARightIsRefused(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, natstest.JetStream(t), func(o *server.Options) {
		o.Users = []*server.User{{Username: "pns", Password: "hush", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"pns4ones.main.>", "$JS.API.STREAM.INFO.KV_pns4ones_main"}},
		}}}
	})
	c := nodeSettings(t, nats, clusterKey(t), "web1")
	c.ClusterNATS = []string{strings.Replace(nats.URL(), "//", "//pns:hush@", 1)}
	d := start(t, netsvc.Options{Config: c})
	eventually(t, "the node to be refused", d.isState(control.NodeRefused))
	status := d.cluster()
	if !strings.Contains(status.Problem, `"$JS.API.`) {
		t.Errorf("refused for %q", status.Problem)
	}
	if got := fmt.Sprint(status.NATS.Servers, status.NATS.Server); strings.Contains(got, "hush") {
		t.Errorf("the servers are %s", got)
	}
}
