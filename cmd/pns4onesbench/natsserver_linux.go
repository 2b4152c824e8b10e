package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// natsServer is one of those between the nodes of a cluster. It keeps its ports and what it
// has stored when it is started again.
type natsServer struct {
	*process
	url      string // as the nodes see it, without the password
	monitor  string // where it is asked how it is
	settings string
}

const natsPackage = "github.com/nats-io/nats-server/v2"

// findNATS finds the binary of nats-server: the one that was named, the version in the source
// of the checkout that this is run in, or the installed one.
func (b *bench) findNATS(ctx context.Context) error {
	if b.natsPath != "" {
		return nil
	}
	b.say("Building nats-server…")
	built, notBuilt := b.build(ctx, "nats-server", natsPackage)
	if notBuilt == nil {
		b.natsPath = built
		return nil
	}
	var err error
	if b.natsPath, err = exec.LookPath("nats-server"); err != nil {
		return fmt.Errorf("there is no nats-server: none is installed, and it could not be built:\n%w\n"+
			"name its binary: --nats PATH", notBuilt)
	}
	return nil
}

// natsUser is who the nodes are to NATS.
const natsUser = "pns4ones"

// startNATSServers starts so many, which are one cluster of NATS if there are several, and
// returns when they are ready. What they write is in a folder. After an error it returns those
// that were started.
func (b *bench) startNATSServers(ctx context.Context, count int, folder, password string) (
	servers []*natsServer, err error) {
	const portsEach = 3 // nodes, other servers, monitoring
	ports, err := freePorts(portsEach * count)
	if err != nil {
		return nil, err
	}
	routesPassword := rand.Text()
	var routes []string
	for i := range count {
		routes = append(routes, fmt.Sprintf("\"nats://route:%s@127.0.0.1:%d\"", routesPassword, ports[portsEach*i+1]))
	}
	for i := range count {
		own := ports[portsEach*i:]
		name := "nats" + strconv.Itoa(i+1)
		text := fmt.Sprintf("server_name: %q\nlisten: \"127.0.0.1:%d\"\nhttp: \"127.0.0.1:%d\"\n"+
			"jetstream { store_dir: %q, sync_interval: always }\nauthorization { user: %q, password: %q }\n",
			name, own[0], own[2], filepath.Join(folder, name), natsUser, password)
		if count > 1 {
			text += fmt.Sprintf("cluster { name: \"bench\", listen: \"127.0.0.1:%d\", "+
				"authorization { user: \"route\", password: %q }, routes: [%s] }\n",
				own[1], routesPassword, strings.Join(routes, ", "))
		}
		n := &natsServer{
			url: fmt.Sprintf("nats://127.0.0.1:%d", own[0]), monitor: fmt.Sprintf("http://127.0.0.1:%d", own[2]),
			settings: filepath.Join(folder, name+".conf"),
		}
		if err := os.WriteFile(n.settings, []byte(text), 0o600); err != nil {
			return servers, fmt.Errorf("writing the settings of nats-server: %w", err)
		}
		if err := n.launch(b); err != nil {
			return servers, err
		}
		servers = append(servers, n)
	}
	for _, n := range servers {
		if err := n.awaitReady(ctx); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

func stopAll(servers []*natsServer) {
	for _, n := range servers {
		if n.process != nil {
			n.stop()
		}
	}
}

// launch starts the server, also after its end.
func (n *natsServer) launch(b *bench) (err error) {
	n.process, err = b.startProcess("nats-server", exec.Command(b.natsPath, "-c", n.settings))
	return err
}

// withPassword is the address that a node needs.
func (n *natsServer) withPassword(password string) string {
	return strings.Replace(n.url, "://", "://"+natsUser+":"+password+"@", 1)
}

// awaitReady waits until the server serves, and has a place among the others.
func (n *natsServer) awaitReady(ctx context.Context) error {
	wait := startTime
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		status, _, err := n.ask(ctx, "/healthz")
		switch {
		case status == http.StatusOK:
			return nil
		case err == nil:
			wait = patience // it has others to come to terms with
			err = fmt.Errorf("it says %d", status)
		}
		if stopped := context.Cause(ctx); stopped != nil {
			return stopped
		}
		if time.Since(began) > wait {
			return n.failed(fmt.Errorf("it was not ready within %v: %w", wait, err))
		}
	}
}

// ask asks the server how it is.
func (n *natsServer) ask(ctx context.Context, path string) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.monitor+path, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// leaders are the servers that lead the streams of this one, as it knows them: "" if it does
// not know.
func (n *natsServer) leaders(ctx context.Context) (names []string, err error) {
	var told struct {
		Accounts []struct {
			Streams []struct {
				Cluster struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	_, answer, err := n.ask(ctx, "/jsz?streams=true")
	if err == nil {
		err = json.Unmarshal(answer, &told)
	}
	if err != nil {
		return nil, n.failed(fmt.Errorf("asking for the leader: %w", err))
	}
	for _, account := range told.Accounts {
		for _, stream := range account.Streams {
			names = append(names, stream.Cluster.Leader)
		}
	}
	return names, nil
}

// freePorts are so many of 127.0.0.1 that nothing listens on, below those that the system
// gives to outgoing connections. One of these could keep a server that is started again from
// its port, or connect to itself while the server is away.
func freePorts(count int) ([]int, error) {
	const from, tries = 10_000, 1000
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return nil, fmt.Errorf("looking for free ports: %w", err)
	}
	var to int
	if _, err := fmt.Sscan(string(text), &to); err != nil {
		return nil, fmt.Errorf("looking for free ports: %w", err)
	}
	var ports []int
	for range tries {
		if len(ports) == count || to <= from {
			break
		}
		port := from + mathrand.N(to-from)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // until all are found: none is found twice
		ports = append(ports, port)
	}
	if len(ports) < count {
		return nil, fmt.Errorf("there are no %d free ports between %d and %d", count, from, to)
	}
	return ports, nil
}
