package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// cluster is several daemons that are one service, and the NATS servers between them. It is
// the target that sends to the sessions of all nodes; the first one is posted to.
type cluster struct {
	bench    *bench
	folder   string
	nats     []*natsServer
	nodes    []*daemon
	at       []int // sessions of each
	sessions *loop
}

// startCluster starts as many nodes and NATS servers as the flags say, with one app, and
// returns when all nodes know each other.
func (b *bench) startCluster(ctx context.Context) (_ *cluster, err error) {
	c := &cluster{bench: b, at: make([]int, b.nodes)}
	if c.folder, err = os.MkdirTemp("", "pns4onesbench"); err != nil {
		return nil, fmt.Errorf("making a folder for the cluster: %w", err)
	}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	key := filepath.Join(c.folder, "cluster.key")
	if _, err := seal.WriteNewKey(key); err != nil {
		return nil, err
	}
	if err := os.Chmod(key, 0o600); err != nil {
		return nil, fmt.Errorf("making a cluster key file: %w", err)
	}
	password := rand.Text()
	if c.nats, err = b.startNATSServers(ctx, b.servers, c.folder, password); err != nil {
		return nil, err
	}
	var servers []string
	for _, n := range c.nats {
		servers = append(servers, strconv.Quote(n.withPassword(password)))
	}
	if c.sessions, err = newLoop(); err != nil {
		return nil, err
	}
	settings := []string{
		"cluster_nats = [" + strings.Join(servers, ", ") + "]",
		fmt.Sprintf("cluster_key = %q", key),
	}
	for i := range b.nodes {
		name := fmt.Sprintf("cluster_node = \"bench%d\"", i+1)
		d, err := b.newDaemon(b.daemonPath, append(settings, name)...)
		if err != nil {
			return nil, err
		}
		d.sessions, d.oneOfMany = c.sessions, true
		c.nodes = append(c.nodes, d)
		if err := d.launch(ctx); err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		// The others take its apps.
		if err := c.await(ctx, "a node by itself", c.whole); err != nil {
			return nil, err
		}
		if err := d.createApp(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.await(ctx, "all nodes", c.whole)
}

// await asks the nodes until they are as they are to be.
func (c *cluster) await(ctx context.Context, what string, are func(ctx context.Context) (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		is, err := are(ctx)
		if err != nil || is {
			return err
		}
		if time.Now().After(end) {
			return c.nodes[0].failed(fmt.Errorf("%s: not there within %v", what, patience))
		}
	}
}

// whole reports whether each node says that all of them are live, and has the app if that was
// created.
func (c *cluster) whole(ctx context.Context) (bool, error) {
	apps := 0
	if c.nodes[0].app.ID != "" {
		apps = 1
	}
	for _, d := range c.nodes {
		status, err := d.control.Status(ctx)
		if err != nil {
			return false, d.failed(err)
		}
		if status.Cluster == nil {
			return false, d.failed(errors.New("it is no node of a cluster"))
		}
		live := 0
		for _, n := range status.Cluster.Nodes {
			if n.State == control.NodeLive {
				live++
			}
		}
		if status.Cluster.State != control.NodeLive || live != len(c.nodes) || status.Apps != apps {
			return false, nil
		}
	}
	return true, nil
}

// connected reports whether each node says of itself that it is live: that it has NATS.
func (c *cluster) connected(ctx context.Context) (bool, error) {
	for _, d := range c.nodes {
		status, err := d.control.Status(ctx)
		if err != nil {
			return false, d.failed(err)
		}
		if status.Cluster.State != control.NodeLive {
			return false, nil
		}
	}
	return true, nil
}

// natsOf is the server that a node is connected to.
func (c *cluster) natsOf(ctx context.Context, d *daemon) (*natsServer, error) {
	status, err := d.control.Status(ctx)
	if err != nil {
		return nil, d.failed(err)
	}
	for _, n := range c.nats {
		if n.url == status.Cluster.NATS.Server {
			return n, nil
		}
	}
	return nil, fmt.Errorf("a node is connected to no NATS server of the cluster: %q", status.Cluster.NATS.Server)
}

// restart starts a NATS server that has ended, and returns when it is ready, and the apps can
// be changed again: if it was their leader, the others have had to choose a new one.
func (c *cluster) restart(ctx context.Context, n *natsServer) error {
	if err := n.launch(c.bench); err != nil {
		return err
	}
	if err := n.awaitReady(ctx); err != nil {
		return err
	}
	return c.await(ctx, "a leader among the NATS servers", c.led)
}

// led reports whether all NATS servers that keep the apps agree on who is first among them.
func (c *cluster) led(ctx context.Context) (bool, error) {
	if len(c.nats) == 1 {
		return true, nil
	}
	var all []string
	for _, n := range c.nats {
		leaders, err := n.leaders(ctx)
		if err != nil {
			return false, err
		}
		all = append(all, leaders...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return len(all) == 1 && all[0] != "", nil
}

func (c *cluster) server() *process  { return c.nodes[0].process }
func (c *cluster) clients() *loop    { return c.sessions }
func (c *cluster) messageBytes() int { return c.nodes[0].messageBytes() }

func (c *cluster) send() (bool, error) { return c.nodes[0].send() }
func (c *cluster) prepare(n int) error { return c.nodes[0].prepare(n) }

// processes are all servers, the node that is posted to first and NATS last.
func (c *cluster) processes() []*process {
	var all []*process
	for _, d := range c.nodes {
		all = append(all, d.process)
	}
	for _, n := range c.nats {
		all = append(all, n.process)
	}
	return all
}

func (c *cluster) settle(context.Context) error {
	for _, p := range c.processes() {
		if err := p.quiet(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) stop() {
	if c.sessions != nil {
		c.sessions.close()
	}
	for _, d := range c.nodes {
		d.stop()
	}
	stopAll(c.nats)
	os.RemoveAll(c.folder)
}

// open spreads the sessions over the nodes. The first one is at the second node.
func (c *cluster) open(ctx context.Context, n int) error {
	for i := range c.nodes {
		share := n / len(c.nodes)
		if i < n%len(c.nodes) {
			share++
		}
		if err := c.openAt(ctx, (i+1)%len(c.nodes), share); err != nil {
			return err
		}
	}
	return nil
}

// openAt opens sessions at a node until it has n.
func (c *cluster) openAt(ctx context.Context, node, n int) error {
	d, elsewhere := c.nodes[node], len(c.sessions.sessions)-c.at[node]
	if err := c.prepare(elsewhere + n); err != nil {
		return err
	}
	c.at[node] = n
	if err := c.sessions.open(ctx, d.service, elsewhere+n, func() (int, error) {
		status, err := d.control.Status(ctx)
		return elsewhere + status.Sessions, err
	}); err != nil {
		return d.failed(err)
	}
	return nil
}
