package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

var fireBreaking = flag.Duration("fire.breaking", 0,
	"how long TestSessionsThatBreakLoseNothing goes on; 0: each thing happens once")

// crowdThatBreaks are sessions that are remembered (protocol.md section 4.4), break at random, and come back.
//
// A process that is killed forgets them, and whoever comes back to the next one begins anew there: what was accepted
// for a session before it has, and had not been received, may be lost. That is all that may: no other message, none
// twice, none out of order.
type crowdThatBreaks struct {
	*ledger
	i       *installation
	network *network // nil: none can be made here
	broken  atomic.Int64
	members []*member

	mu      sync.Mutex
	service string
	key     *wire.ClientKey
}

// member is one of them.
type member struct {
	*listener
	crowd   *crowdThatBreaks
	remote  bool // it is in the other network
	session string

	turn, received, from uint64 // its goroutine's

	connMu sync.Mutex
	conn   net.Conn
	left   net.Conn        // that it gave up without a word
	tries  bool            // it has a connection, or is about to
	under  *wire.ClientKey // then
	pause  time.Duration   // before it comes back
	quit   bool
}

func newCrowd(t *testing.T, i *installation, n int) *crowdThatBreaks {
	t.Helper()
	c := &crowdThatBreaks{ledger: newLedger(t, i.client), i: i}
	var err error
	if c.key, err = wire.ParseClientKey(c.app.ClientKey); err != nil {
		t.Fatal(err)
	}
	c.ledger.service = loopback(c.ledger.service)
	c.service = c.ledger.service
	if c.network, err = makeNetwork(t); err != nil {
		t.Logf("no link goes down: %v", err)
	}
	for k := range n {
		m := &member{
			crowd: c, session: wire.NewSessionID(), remote: c.network != nil && k%20 == 0,
			listener: &listener{user: fmt.Sprint("user", k), group: fmt.Sprint("group", k/groupSize),
				next: make(map[stream]int), missing: make(map[stream][]int)},
		}
		c.members = append(c.members, m)
		c.sessions = append(c.sessions, m.listener)
		c.reading.Go(m.live)
	}
	c.awaitRegistered()
	t.Cleanup(c.quit)
	return c
}

// quit ends all of them, before the ledger waits for that.
func (c *crowdThatBreaks) quit() {
	for _, m := range c.members {
		m.connMu.Lock()
		m.quit = true
		for _, conn := range []net.Conn{m.conn, m.left} {
			if conn != nil {
				conn.Close()
			}
		}
		m.connMu.Unlock()
	}
	c.reading.Wait()
}

// place is where the service is at present, and the key there.
func (c *crowdThatBreaks) place() (service string, key *wire.ClientKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.service, c.key
}

// live is a member's life.
func (m *member) live() {
	for m.comesBack() {
		service, key := m.begins()
		m.turn++
		said := wire.Attributes{Session: m.session, Turn: m.turn, Received: m.received, From: m.from}
		packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: m.crowd.app.ID, IbID: infobase,
			UserID: m.user, UserGroup: m.group},
			key, said.List()...)
		if err != nil {
			panic(err)
		}
		conn, err := m.dial(service)
		if err != nil {
			m.connMu.Lock()
			m.tries = false
			m.connMu.Unlock()
			continue
		}
		conn.Write(packet) // an error shows when it is read
		if !m.has(conn) {
			conn.Close()
			return
		}
		m.receive(conn, key)
	}
}

// comesBack waits as long as the member is to be away. It reports false if it has quit.
func (m *member) comesBack() bool {
	m.connMu.Lock()
	pause, quit := m.pause, m.quit
	m.pause = rand.N(100 * time.Millisecond)
	m.connMu.Unlock()
	time.Sleep(pause)
	return !quit
}

func (m *member) dial(service string) (net.Conn, error) {
	if !m.remote {
		return net.DialTimeout("tcp", service, time.Second)
	}
	_, port, _ := net.SplitHostPort(service)
	return m.crowd.network.connect(net.JoinHostPort(m.crowd.network.ours, port), time.Second)
}

// begins is where the member is about to connect to, and the key there.
func (m *member) begins() (service string, key *wire.ClientKey) {
	m.connMu.Lock()
	defer m.connMu.Unlock()
	service, key = m.crowd.place()
	m.tries, m.under = true, key
	return service, key
}

// has has the member go on with a connection, unless it has quit.
func (m *member) has(conn net.Conn) bool {
	m.connMu.Lock()
	defer m.connMu.Unlock()
	m.conn = conn
	return !m.quit
}

// receive reads until the connection ends or is given up.
func (m *member) receive(conn net.Conn, key *wire.ClientKey) {
	in := bufio.NewReaderSize(conn, 512)
	for {
		text, err := wire.ReadFrame(in, key, 1<<20)
		if err != nil {
			break
		}
		m.mu.Lock()
		if err := m.enter(string(text)); err != nil && m.problem == nil {
			m.problem = err
		}
		m.mu.Unlock()
		m.received++
		m.from = m.turn
	}
	m.connMu.Lock()
	defer m.connMu.Unlock()
	if m.left != conn {
		conn.Close()
	}
	m.conn, m.tries = nil, false
}

// breaks ends the member's connection, in one of the ways there are.
func (m *member) breaks() {
	m.connMu.Lock()
	defer m.connMu.Unlock()
	conn := m.conn
	if conn == nil {
		return
	}
	m.crowd.broken.Add(1)
	m.pause = rand.N(2 * time.Second)
	switch rand.N(4) {
	case 0:
		conn.Close()
	case 1:
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	case 2: // the service hears nothing, and its connection is replaced
		m.pause = 0
		m.leaves(conn)
	case 3: // the same, later
		m.leaves(conn)
	}
}

func (m *member) leaves(conn net.Conn) {
	if m.left != nil {
		m.left.Close()
	}
	m.left = conn
	conn.SetReadDeadline(time.Unix(1, 0))
}

// breakAll has members break, each about so often, until the function is called.
func (c *crowdThatBreaks) breakAll(often time.Duration) (stop func()) {
	end := make(chan struct{})
	var breaking sync.WaitGroup
	breaking.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(often / time.Duration(len(c.members))):
				c.members[rand.N(len(c.members))].breaks()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		breaking.Wait()
	})
}

// upgrades has another process go on. On a busy machine it may not come to that in time: then the one that runs does,
// with all sessions, and says so.
func (c *crowdThatBreaks) upgrades() {
	const failed = "the upgrade failed, this version goes on"
	before, said := c.i.status(), strings.Count(c.i.said(), failed)
	if _, err := c.i.client.Upgrade(context.Background()); err != nil {
		c.t.Fatal(err)
	}
	await(c.t, "another process answers, or the one before goes on", func() bool {
		now, err := c.i.client.Status(context.Background())
		if err == nil && now.PID != before.PID {
			return true
		}
		time.Sleep(50 * time.Millisecond)
		return strings.Count(c.i.said(), failed) > said
	})
}

// rotates gives the app another client key. When nobody is connected under the former one any more, but some may be
// away who were, that one ends.
func (c *crowdThatBreaks) rotates(meanwhile func()) {
	changed, err := c.i.client.RotateClientKey(context.Background(), c.app.ID, time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	key, err := wire.ParseClientKey(changed.App.ClientKey)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.key = key
	c.mu.Unlock()
	meanwhile()
	await(c.t, "nobody uses the former key", func() bool {
		old := 0
		for _, m := range c.members {
			m.connMu.Lock()
			uses := m.tries && m.under != key
			m.connMu.Unlock()
			if uses {
				m.breaks()
				old++
			}
		}
		return old == 0
	})
	// Some may be away, whom the service takes for connected.
	await(c.t, "nobody is connected under the former key", func() bool {
		status, err := c.i.client.StatusByApp(context.Background())
		return err == nil && len(status.ByApp) == 1 && status.ByApp[0].SessionsOnOldKey == 0
	})
	if _, err := c.i.client.RevokeOld(context.Background(), c.app.ID, false, true); err != nil {
		c.t.Fatal(err)
	}
}

// linkGoesDown takes the network away from some, for so long.
func (c *crowdThatBreaks) linkGoesDown(d time.Duration) {
	if c.network == nil {
		return
	}
	c.network.down()
	time.Sleep(d)
	for _, m := range c.members {
		if m.remote && rand.N(2) == 0 {
			m.breaks()
		}
	}
	c.network.up()
}

// kill kills the process that serves and starts another, and returns when all have come back. stop ends the sending.
func (c *crowdThatBreaks) kill(systemd *serviceManager, stop func()) {
	syscall.Kill(c.i.status().PID, syscall.SIGKILL)
	stop()
	c.i.awaitGone()
	c.i.start(systemd.next(c.i.program))
	c.refind()
	c.ledger.listen, c.ledger.service = loopback(c.ledger.listen), loopback(c.ledger.service)
	c.mu.Lock()
	c.service = c.ledger.service
	c.mu.Unlock()
	c.awaitRegistered()
	c.forgive()
}

// awaitGone waits until the processes that were killed have let go of everything. One with thousands of sessions loses
// its name first, and its sockets some time later.
func (i *installation) awaitGone() {
	i.t.Helper()
	i.awaitNone()
	await(i.t, "the control channel is nobody's", func() bool {
		conn, err := net.Dial("unix", filepath.Join(i.folder, "control.sock"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// loopback is where a service on all addresses is reached.
func loopback(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort("127.0.0.1", port)
}

// lasting are settings under which no bound of what is remembered is reached.
var lasting = []string{
	"PNS4ONES_SERVICE=*:0", "PNS4ONES_RESUME_WINDOW=10m", "PNS4ONES_SESSION_QUEUE_SIZE=16MiB",
	"PNS4ONES_RESUME_BYTES=1MiB",
}

// checkMissed checks that nothing was missed, and that there are as many sessions as clients.
func (c *crowdThatBreaks) checkMissed() {
	c.t.Helper()
	if missed := c.i.status().Missed; missed > 0 || strings.Contains(c.i.said(), "messages were kept no longer") {
		c.t.Errorf("%d messages were missed", missed)
	}
	page, err := c.client.Sessions(context.Background(), control.SessionQuery{AppID: c.app.ID, Limit: 1})
	if err != nil || page.Total != len(c.members) {
		c.t.Errorf("%d sessions are left of %d: %v", page.Total, len(c.members), err)
	}
}

// TestSessionsThatBreakLoseNothing has sessions break and come back, in every way there is, while messages are sent,
// keys are rotated, and the daemon is upgraded, restarted and killed.
func TestSessionsThatBreakLoseNothing(t *testing.T) {
	t.Parallel()
	i := install(t)
	systemd := newServiceManager(t, i)
	i.env = append(i.env, lasting...)
	i.start(systemd.next(i.program))
	c := newCrowd(t, i, *fireSessions)
	senders, pause := 2, time.Millisecond
	if *fireBreaking > 0 {
		pause = 20 * time.Millisecond
	}
	stop := c.sendAllAround(senders, pause)
	defer func() { stop() }()
	stopBreaking := c.breakAll(max(time.Second, time.Duration(*fireSessions)*4*time.Millisecond))
	defer stopBreaking()
	restart := func() {
		i.end()
		i.start(systemd.next(i.program))
	}
	happens := []struct {
		name string
		do   func()
	}{
		{"upgrades", c.upgrades},
		{"restarts", restart},
		{"keys rotated at an upgrade", func() { c.rotates(c.upgrades) }},
		{"links down", func() { c.linkGoesDown(rand.N(3 * time.Second)) }},
		{"kills", func() {
			c.kill(systemd, stop)
			stop = c.sendAllAround(senders, pause)
		}},
		{"keys rotated at a restart", func() { c.rotates(restart) }},
	}
	count := make(map[string]int)
	end := time.Now().Add(*fireBreaking)
	for round := 0; round < len(happens) || time.Now().Before(end); round++ {
		what := happens[round%len(happens)]
		if round >= len(happens) {
			time.Sleep(rand.N(4 * time.Second))
			what = happens[rand.N(len(happens))]
		}
		what.do()
		count[what.name]++
	}
	stop()
	stopBreaking()
	c.settle()
	b := c.balance(func(*listener) bool { return false })
	c.report(b)
	t.Logf("%d connections broke; %v; %d messages went with processes that were killed; load %s", c.broken.Load(),
		count, c.gone(), loadOfMachine())
	if b.doubtful > c.doubted {
		t.Errorf("%d messages were not answered when nobody was killed, among them: %s", b.doubtful-c.doubted,
			c.aDoubt())
	}
	c.checkMissed()
}

func loadOfMachine() string {
	text, _ := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	return strings.Join(words[:min(3, len(words))], " ")
}
