package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// machine is a network with a second link, to a switch that joins it to other machines. What
// is sent by the first one, to and from this process, goes on while the second one is cut.
type machine struct {
	*network
	address string // among the machines
	site    *network
	port    string // its link, at the switch
}

// The switch, and another one, are bridges in a network of their own.
const bridge, elsewhere = "switch", "elsewhere"

func newSwitch(t *testing.T) *network {
	t.Helper()
	n := newNetwork(t)
	for _, name := range []string{bridge, elsewhere} {
		for _, command := range []string{"link add " + name + " type bridge", "link set " + name + " up"} {
			if err := ip("-n " + n.name + " " + command); err != nil {
				t.Skipf("no bridge can be made here: %v", err)
			}
		}
	}
	return n
}

// newMachine makes one with a number of 1 to 254 at a switch.
func newMachine(t *testing.T, site *network, number int) *machine {
	t.Helper()
	m := &machine{network: newNetwork(t), site: site, address: fmt.Sprint("198.19.0.", number),
		port: fmt.Sprint("port", number)}
	for _, command := range []string{
		"-n " + site.name + " link add " + m.port + " type veth peer name inner netns " + m.name,
		"-n " + site.name + " link set " + m.port + " master " + bridge + " up",
		"-n " + m.name + " addr add " + m.address + "/24 dev inner",
		"-n " + m.name + " link set inner up",
		"-n " + m.name + " link set lo up",
	} {
		if err := ip(command); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// part takes it from the switch to another one, join brings it back.
func (m *machine) part() { m.set("master " + elsewhere) }
func (m *machine) join() { m.set("master " + bridge) }

// cut takes the other machines away from it, mend brings them back.
func (m *machine) cut()  { m.set("down") }
func (m *machine) mend() { m.set("up") }

func (m *machine) set(what string) {
	m.t.Helper()
	if err := ip("-n " + m.site.name + " link set " + m.port + " " + what); err != nil {
		m.t.Fatal(err)
	}
}

// natsServer is a NATS server on a machine of its own.
type natsServer struct {
	*machine
	name    string
	program string
	folder  string
	process *exec.Cmd // nil: none runs
}

const (
	natsPort, natsRoutes, natsMonitor = "4222", "6222", "8222"
	// natsUser may do all that nodes do, natsStranger may not hear them.
	natsUser, natsStranger = "pns4ones:nats-secret", "stranger:nats-secret"
)

// natsConfig is that of cluster.md, with a user who has too few rights.
const natsConfig = `
server_name: %q
listen: "%s:4222"
http: "%s:8222"
jetstream { store_dir: %q, sync_interval: always }
cluster { name: "pns4ones", listen: "%s:6222", routes: [ %s ], ping_interval: "1s", ping_max: 2 }
accounts { PNS4ONES { jetstream: enabled, users: [
	{ user: "pns4ones", password: "nats-secret" }
	{ user: "stranger", password: "nats-secret", permissions: { subscribe: { deny: "pns4ones.main.>" } } }
] } }
`

// configure writes the settings of a server that knows the others.
func (s *natsServer) configure(all []*natsServer) {
	s.t.Helper()
	var routes []string
	for _, other := range all {
		routes = append(routes, fmt.Sprintf(`"nats://%s:6222"`, other.address))
	}
	text := fmt.Sprintf(natsConfig, s.name, s.address, s.theirs, filepath.Join(s.folder, "store"), s.address,
		strings.Join(routes, ", "))
	path := filepath.Join(s.folder, "conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if out, err := exec.Command(s.program, "-t", "-c", path).CombinedOutput(); err != nil {
		s.t.Fatalf("the settings of %s: %v\n%s", s.name, err, out)
	}
}

func (s *natsServer) run() {
	s.t.Helper()
	cmd := s.command(exec.Command(s.program, "-c", filepath.Join(s.folder, "conf"), "-l", filepath.Join(s.folder, "log")))
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.process = cmd
}

// kill ends the server as a machine that loses power does, but for what is on its disk.
func (s *natsServer) kill() {
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

// halt stops the server, goOn has it go on.
func (s *natsServer) halt() { s.process.Process.Signal(syscall.SIGSTOP) }
func (s *natsServer) goOn() { s.process.Process.Signal(syscall.SIGCONT) }

// tells asks the server's monitor.
func (s *natsServer) tells(what string, into any) error {
	response, err := http.Get("http://" + net.JoinHostPort(s.theirs, natsMonitor) + what)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

// jetStream is what a server tells of it.
type jetStream struct {
	Meta struct {
		Leader string `json:"leader"`
		Size   int    `json:"cluster_size"`
	} `json:"meta_cluster"`
	Accounts []struct {
		Streams []struct {
			Name    string `json:"name"`
			Cluster struct {
				Leader string `json:"leader"`
			} `json:"cluster"`
		} `json:"stream_detail"`
	} `json:"account_details"`
}

func (s *natsServer) jetStream() (told jetStream) {
	if s.tells("/jsz?accounts=true&streams=true", &told) != nil {
		return jetStream{}
	}
	return told
}

// node is a daemon on a machine of its own, under a service manager.
type node struct {
	*installation
	machine *machine
	name    string
	systemd *serviceManager
	admins  string // the program of administrators
	key     string // its key file
}

// listens and service are where senders and sessions connect to.
func (n *node) listens() string { return net.JoinHostPort(n.machine.theirs, nodeListen) }
func (n *node) service() string { return net.JoinHostPort(n.machine.theirs, nodeService) }

const nodeListen, nodeService, nodeMetrics = "36696", "36695", "36697"

func (n *node) run() { n.t.Helper(); n.start(n.machine.command(n.systemd.next(n.program))) }

// kill ends it without a word.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	n.awaitGone()
}

// halt stops it, goOn has it go on.
func (n *node) halt() { n.signal(syscall.SIGSTOP) }
func (n *node) goOn() { n.signal(syscall.SIGCONT) }

func (n *node) signal(signal syscall.Signal) {
	for _, pid := range n.processes() {
		syscall.Kill(pid, signal)
	}
}

// tryAdmin is what pns4onesadmin says there.
func (n *node) tryAdmin(args ...string) (string, error) {
	cmd := exec.Command(n.admins, args...)
	cmd.Env = n.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// admin is what it says where that must succeed.
func (n *node) admin(args ...string) string {
	n.t.Helper()
	out, err := n.tryAdmin(args...)
	if err != nil {
		n.t.Fatalf("%v at %s: %v\n%s", args, n.name, err, out)
	}
	return out
}

// sees waits until an administrator is told there that the other nodes are so: web1=live …
func (n *node) sees(want string) {
	n.t.Helper()
	var states []string
	await(n.t, n.name+" sees "+want, func() bool {
		out, err := n.tryAdmin("nodes", "--json")
		var nodes []control.Node
		if err != nil || json.Unmarshal([]byte(out), &nodes) != nil {
			return false
		}
		states = nil
		for _, one := range nodes {
			states = append(states, one.Name+"="+one.State)
		}
		return strings.Join(states, " ") == want
	})
}

// says waits until the log has what a regular expression describes, beyond what it had.
func (n *node) says(had int, want string) {
	n.t.Helper()
	expression := regexp.MustCompile(want)
	await(n.t, n.name+" logs "+want, func() bool { return expression.MatchString(n.said()[had:]) })
}

// site is a cluster of three nodes and three NATS servers.
type site struct {
	t     *testing.T
	nats  []*natsServer
	nodes []*node
}

// newSite starts it, and returns when all know each other. It skips the test where no networks can be made.
func newSite(t *testing.T) *site {
	t.Helper()
	join := newSwitch(t)
	programs := t.TempDir()
	out, err := exec.Command("go", "build", "-o", programs, "github.com/nats-io/nats-server/v2",
		"../pns4onesadmin").CombinedOutput()
	if err != nil {
		t.Fatalf("building nats-server and pns4onesadmin: %v\n%s", err, out)
	}
	s := &site{t: t}
	keys := t.TempDir()
	key := filepath.Join(keys, "web1")
	if _, err := seal.WriteNewKey(key); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		server := &natsServer{machine: newMachine(t, join, 11+n), name: fmt.Sprint("nats", n+1), folder: t.TempDir(),
			program: filepath.Join(programs, "nats-server")}
		t.Cleanup(server.kill)
		s.nats = append(s.nats, server)
	}
	for _, server := range s.nats {
		server.configure(s.nats)
		server.run()
	}
	s.awaitJetStream()
	for n := range 3 {
		one := &node{installation: install(t), machine: newMachine(t, join, 21+n), name: fmt.Sprint("web", n+1),
			admins: filepath.Join(programs, "pns4onesadmin")}
		one.key = filepath.Join(keys, one.name)
		if n > 0 {
			if err := os.Link(key, one.key); err != nil {
				t.Fatal(err)
			}
		}
		one.env = append(one.env, "PNS4ONES_LISTEN="+one.listens(), "PNS4ONES_SERVICE="+one.service(),
			"PNS4ONES_METRICS_LISTEN="+net.JoinHostPort(one.machine.theirs, nodeMetrics),
			"PNS4ONES_CLUSTER_NATS="+s.servers(), "PNS4ONES_CLUSTER_KEY="+one.key, "PNS4ONES_CLUSTER_NODE="+one.name,
			"PNS4ONES_MAX_MESSAGE_SIZE=16MiB", "PNS4ONES_SESSION_QUEUE_SIZE=256MiB", patientVariable+"=1")
		if n == 1 && *fireOther != "" {
			one.putProgram(*fireOther)
		}
		one.systemd = newServiceManager(t, one.installation)
		s.nodes = append(s.nodes, one)
		one.run()
	}
	s.awaitLive()
	return s
}

// awaitJetStream waits until all servers are one JetStream.
func (s *site) awaitJetStream() {
	s.t.Helper()
	for _, server := range s.nats {
		await(s.t, server.name+" knows who leads JetStream", func() bool {
			told := server.jetStream()
			return told.Meta.Leader != "" && told.Meta.Size == len(s.nats)
		})
	}
}

// awaitLive waits until all nodes are live to each other.
func (s *site) awaitLive() {
	s.t.Helper()
	for _, n := range s.nodes {
		await(s.t, n.name+" sees all nodes live", func() bool { return n.live(len(s.nodes)) })
	}
}

// leader is the server that leads what the apps are in.
func (s *site) leader() (leader *natsServer) {
	s.t.Helper()
	await(s.t, "the bucket has a leader", func() bool {
		for _, server := range s.nats {
			for _, account := range server.jetStream().Accounts {
				for _, stream := range account.Streams {
					if stream.Name == "KV_pns4ones_main" && stream.Cluster.Leader == server.name {
						leader = server
						return true
					}
				}
			}
		}
		return false
	})
	return leader
}

// serverOf is the NATS server that a node is connected to.
func (s *site) serverOf(n *node) *natsServer {
	s.t.Helper()
	at := n.status().Cluster.NATS.Server
	for _, server := range s.nats {
		if strings.Contains(at, server.address+":") {
			return server
		}
	}
	s.t.Fatalf("%s is connected to %q", n.name, at)
	return nil
}

// servers are the NATS servers as the settings name them.
func (s *site) servers() string {
	var all []string
	for _, server := range s.nats {
		all = append(all, "nats://"+natsUser+"@"+net.JoinHostPort(server.address, natsPort))
	}
	return strings.Join(all, ",")
}

// footprint is what the nodes take when nothing is going on.
type footprint struct {
	goroutines    map[string]int
	subscriptions map[string]int // in NATS
}

func (s *site) size() footprint {
	s.t.Helper()
	now := footprint{make(map[string]int), make(map[string]int)}
	for _, n := range s.nodes {
		now.goroutines[n.name] = n.installation.size().goroutines
	}
	for _, server := range s.nats {
		var told struct {
			Connections []struct {
				Name          string `json:"name"`
				Subscriptions int    `json:"subscriptions"`
			} `json:"connections"`
		}
		if err := server.tells("/connz", &told); err != nil {
			s.t.Fatal(err)
		}
		for _, c := range told.Connections {
			now.subscriptions[c.Name] += c.Subscriptions
		}
	}
	return now
}

// checkSize waits until the nodes take no more than before.
func (s *site) checkSize(before footprint) {
	s.t.Helper()
	var now footprint
	await(s.t, "the nodes have let go of all that the failures took", func() bool {
		now = s.size()
		for name, count := range before.goroutines {
			if now.goroutines[name] > count+5 {
				return false
			}
		}
		return maps.Equal(now.subscriptions, before.subscriptions)
	})
	s.t.Logf("%+v before, %+v after", before, now)
}

// end stops the nodes in order, and then the servers, and checks that nothing is left of them.
func (s *site) end() {
	s.t.Helper()
	for _, n := range s.nodes {
		n.end()
	}
	for _, server := range s.nats {
		server.kill()
	}
}
