package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// network is another network namespace, with a link to ours.
type network struct {
	t            *testing.T
	name, link   string
	ours, theirs string
}

// networks is how many this process has made.
var networks atomic.Int32

func newNetwork(t *testing.T) *network {
	t.Helper()
	n, err := makeNetwork(t)
	if err != nil {
		t.Skip(err)
	}
	return n
}

// makeNetwork makes a network, which ends with the test. It fails where that cannot be.
func makeNetwork(t *testing.T) (*network, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("it needs root for a network of its own")
	}
	number := int(networks.Add(1)) % 64
	id := fmt.Sprintf("%d-%d", os.Getpid()%10000, number)
	subnet := "198.18." + strconv.Itoa(os.Getpid()%256) // tests of several processes run side by side
	n := &network{t: t, name: "pns" + id, link: "pnsv" + id,
		ours: fmt.Sprintf("%s.%d", subnet, 4*number+1), theirs: fmt.Sprintf("%s.%d", subnet, 4*number+2)}
	t.Cleanup(func() {
		ip("link del " + n.link) // an error: it was not made
		ip("netns del " + n.name)
	})
	for _, command := range []string{
		"netns add " + n.name,
		"link add " + n.link + " type veth peer name peer netns " + n.name,
		"addr add " + n.ours + "/30 dev " + n.link,
		"link set " + n.link + " up",
		"-n " + n.name + " addr add " + n.theirs + "/30 dev peer",
		"-n " + n.name + " link set peer up",
	} {
		if err := ip(command); err != nil {
			return nil, fmt.Errorf("no network of its own can be made here: %w", err)
		}
	}
	return n, nil
}

// ip runs the command ip(8).
func ip(arguments string) error {
	if out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %s%w", arguments, out, err)
	}
	return nil
}

// dial connects from the other network.
func (n *network) dial(address string) net.Conn {
	n.t.Helper()
	conn, err := n.connect(address, patience)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	return conn
}

// connect is dial for any goroutine.
func (n *network) connect(address string, within time.Duration) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	dialled := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/run/netns/" + n.name)
		if err != nil {
			dialled <- result{nil, err}
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			dialled <- result{nil, err}
			return
		}
		conn, err := net.DialTimeout("tcp", address, within)
		dialled <- result{conn, err}
	}()
	got := <-dialled
	return got.conn, got.err
}

// down cuts the link, up mends it.
func (n *network) down() { n.set("down") }
func (n *network) up()   { n.set("up") }

func (n *network) set(state string) {
	n.t.Helper()
	if err := ip("link set " + n.link + " " + state); err != nil {
		n.t.Fatal(err)
	}
}

// command is a command that runs in the network, in place of one that would run here.
func (n *network) command(cmd *exec.Cmd) *exec.Cmd {
	within := exec.Command("ip", append([]string{"netns", "exec", n.name}, cmd.Args...)...)
	within.Env, within.ExtraFiles = cmd.Env, cmd.ExtraFiles
	return within
}
