package cluster_test

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// patience bounds every wait for something that must happen; long enough for a machine
// that has other things to do.
const patience = 2 * time.Minute

const appID = "0f8fad5b-d9cb-469f-a165-70867728950e"

var toAll = wire.Recipient{Type: wire.ToAll, IbID: "ib"}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// node is a node with so many sessions, all of one infobase, and what they got.
type node struct {
	*cluster.Node
	name     string
	sessions int
	log      *testlog.Buffer
	first    *node                         // the process that its sessions began in; nil: this one
	stalled  atomic.Pointer[chan struct{}] // closed: deliveries go on; nil: they do

	mu      sync.Mutex
	got     []string
	origins []moving.Origin // of these
}

// service is what the nodes of a test have in common.
type service struct {
	t    testing.TB
	nats *natstest.Server
	keys *seal.Keys
	wait time.Duration
	time cluster.Timing
}

// newService is one in which nobody gets impatient.
func newService(t testing.TB) *service {
	t.Helper()
	return &service{t: t, nats: natstest.Start(t), keys: sealtest.Keys(t), wait: patience,
		time: cluster.Timing{Lost: patience, HandOver: patience}}
}

func (s *service) options(n *node) cluster.Options {
	var logger *slog.Logger
	logger, n.log = testlog.New()
	id := cluster.NodeID{}
	copy(id[:], n.name)
	return cluster.Options{
		NATS: cluster.NATS{Servers: []string{s.nats.URL()}}, Cluster: "main", Name: n.name, ID: id,
		Version: "1.2.3", Keys: s.keys, Wait: s.wait, Deliver: n.deliver, Logger: logger,
		Sessions: func() int { return n.sessions },
	}
}

func (s *service) start(name string, sessions int, change ...func(*cluster.Options)) *node {
	s.t.Helper()
	n := &node{name: name, sessions: sessions}
	o := s.options(n)
	for _, c := range change {
		c(&o)
	}
	var err error
	if n.Node, err = cluster.StartTimed(o, s.time); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(n.Close)
	return n
}

// deliver keeps what arrives. A message to a user is for one session, one to all for all;
// one of them is away.
func (n *node) deliver(origin moving.Origin, _ string, to wire.Recipient, plaintext []byte,
	_ func(cluster.Reach)) (reach cluster.Reach, held bool) {
	if stalled := n.stalled.Load(); stalled != nil {
		<-*stalled
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, string(plaintext))
	n.origins = append(n.origins, origin)
	if n.sessions == 0 {
		return cluster.Reach{}, false
	}
	if to.Type == wire.ToUser {
		return cluster.Reach{Sessions: 1}, false
	}
	return cluster.Reach{Sessions: n.sessions, Waiting: 1}, false
}

// stall has deliveries wait until the function that it returns is called.
func (n *node) stall() (goOn func()) {
	stalled := make(chan struct{})
	n.stalled.Store(&stalled)
	return sync.OnceFunc(func() {
		n.stalled.Store(nil)
		close(stalled)
	})
}

func (n *node) received() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

// meet returns when all of them are live to each other.
func meet(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, n.name+" to know the others", func() bool { return n.count(cluster.PeerLive) == len(nodes)-1 })
	}
}

func (n *node) count(state cluster.PeerState) int {
	count := 0
	for _, p := range n.Status().Peers {
		if p.State == state {
			count++
		}
	}
	return count
}

func (n *node) states() string {
	var all []string
	for _, p := range n.Status().Peers {
		all = append(all, p.Name+" "+string(p.State))
	}
	return strings.Join(all, ", ")
}

func TestAMessageReachesTheSessionsOfAllNodesOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	nodes := []*node{s.start("web1", 3), s.start("web2", 0), s.start("web3", 4)}
	meet(t, nodes...)
	const senders, each = 4, 200
	var group sync.WaitGroup
	for sender := range senders {
		group.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d %d", sender, i)
				d := nodes[(sender+i)%3].Publish(appID, toAll, []byte(text))
				if d.Sessions != 7 || d.Waiting != 2 || d.Unconfirmed != nil {
					t.Errorf("%s: %+v, want 7 sessions, 2 of them away", text, d)
				}
			}
		})
	}
	group.Wait()
	for _, n := range nodes {
		got := n.received()
		if len(got) != senders*each {
			t.Errorf("%s got %d messages, want %d", n.name, len(got), senders*each)
		}
		var next [senders]int
		for _, text := range got {
			var sender, i int
			fmt.Sscan(text, &sender, &i)
			if i != next[sender] {
				t.Fatalf("%s got %s after %d", n.name, text, next[sender]-1)
			}
			next[sender]++
		}
		if st := n.Stats(); st.NotSent != 0 {
			t.Errorf("%s: %+v", n.name, st)
		}
	}
}

func TestALargeMessageArrivesInParts(t *testing.T) {
	t.Parallel()
	for _, most := range []int32{0, 64 << 10} { // what NATS takes; 0: 1 MiB
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.nats = natstest.Start(t, func(o *server.Options) { o.MaxPayload = most })
			a, b := s.start("web1", 1), s.start("web2", 1)
			meet(t, a, b)
			var sent []string
			for _, size := range []int{1, 32 << 10, 512<<10 - 40, 512 << 10, 3<<20 + 7} {
				text := make([]byte, size)
				for i := range text {
					text[i] = byte(i * 7919 >> 8)
				}
				sent = append(sent, string(text))
				if d := a.Publish(appID, toAll, text); d.Sessions != 2 || d.Unconfirmed != nil {
					t.Errorf("%d bytes: %+v", size, d)
				}
			}
			if !slices.Equal(b.received(), sent) {
				t.Error("they arrived changed")
			}
		})
	}
}

// What is larger than a node keeps of a peer arrives nevertheless, and no part of it twice.
func TestALargeMessageIsSentOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Ask = 2 * time.Second // what waits here waits for the processor
	for _, size := range []int{21 << 20, 66 << 20} {
		text := make([]byte, size)
		for at := range text {
			text[at] = byte(at * 7919 >> 8)
		}
		for !s.sendsOnce(text) {
			t.Log("the connection to NATS broke meanwhile: once more")
		}
	}
}

// sendsOnce reports false if that cannot be told, for the connection broke: a machine that
// is busy answers NATS too late.
func (s *service) sendsOnce(text []byte) bool {
	s.t.Helper()
	a, b, c := s.start("web1", 1), s.start("web2", 1), s.start("web3", 1)
	defer c.Close()
	defer b.Close()
	defer a.Close()
	meet(s.t, a, b, c)
	var got cluster.Delivery
	var group sync.WaitGroup
	group.Go(func() { got = a.Publish(appID, toAll, text) })
	var small []cluster.Delivery
	for range 50 { // others need not wait for it
		small = append(small, a.Publish(appID, toAll, []byte("small")))
	}
	group.Wait()
	for _, n := range []*node{a, b, c} {
		if n.Status().Reconnects > 0 || n.Status().State == cluster.StateCutOff {
			return false
		}
	}
	for _, d := range append(small, got) {
		if d.Sessions != 3 || d.Unconfirmed != nil {
			s.t.Errorf("of %d bytes, or meanwhile: %+v", len(text), d)
		}
	}
	for _, n := range []*node{b, c} {
		if !slices.Contains(n.received(), string(text)) {
			s.t.Errorf("%d bytes did not reach %s as they are", len(text), n.name)
		}
	}
	if st := a.Stats(); st.NotSent != 0 || st.SentAgain != 0 {
		s.t.Errorf("%+v", st)
	}
	return true
}

func TestAMessageThatWasLostIsSentAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	if err := b.Deafen(); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{10, 2 << 20} {
		d := a.Publish(appID, toAll, make([]byte, size))
		if d.Sessions != 3 || d.Unconfirmed != nil {
			t.Errorf("%d bytes: %+v, want 3 sessions", size, d)
		}
		if got := b.received(); len(got) != i+1 || len(got[i]) != size {
			t.Errorf("%d messages arrived", len(got))
		}
	}
	if a.Stats().SentAgain == 0 {
		t.Error("nothing was sent again")
	}
}

func TestANodeThatLeavesIsNotMissed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	if st := a.Status(); st.Peers[0].Name != "web2" || st.Peers[0].Sessions != 2 || st.Peers[0].Version != "1.2.3" {
		t.Errorf("known of the other: %+v", st.Peers[0])
	}
	b.Close()
	eventually(t, "the goodbye", a.Alone)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 1 || d.Unconfirmed != nil {
		t.Errorf("afterwards %+v", d)
	}
	// It comes back under the same id in a new epoch.
	b = s.start("web2", 2)
	meet(t, a, b)
	if d := b.Publish(appID, toAll, []byte("{}")); d.Sessions != 3 || d.Own != 2 || d.Unconfirmed != nil {
		t.Errorf("back again: %+v", d)
	}
}

func TestTheOwnerIsToldOfPeers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var mu sync.Mutex
	var changes []string
	told := func(peer string, change cluster.PeerChange) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, peer+" "+string(change))
	}
	await := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprint(want), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(changes, want)
		})
	}
	first := s.start("web1", 1, func(o *cluster.Options) { o.PeerChanged = told })
	second := s.start("web2", 1)
	await("web2 joined", "web2 live")
	second.Close()
	await("web2 joined", "web2 live", "web2 left")
	third := s.start("web3", 1)
	await("web2 joined", "web2 live", "web2 left", "web3 joined", "web3 live")
	third.Kill()
	first.Publish(appID, toAll, []byte("{}")) // NATS tells it that nobody is there
	await("web2 joined", "web2 live", "web2 left", "web3 joined", "web3 live", "web3 lost")
}

func TestAKilledNodeIsNamedUntilItsSuccessorIsThere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b, c := s.start("web1", 1), s.start("web2", 2), s.start("web3", 4)
	meet(t, a, b, c)
	b.Kill()
	for range 3 {
		d := a.Publish(appID, toAll, []byte("{}")) // only NATS knows by now; nobody waits for long
		if d.Sessions != 5 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
			t.Errorf("after the kill: %+v, want 5 sessions without web2", d)
		}
	}
	if got := a.states(); got != "web2 lost, web3 live" {
		t.Errorf("known: %s", got)
	}
	b = s.start("web2", 2)
	meet(t, a, b, c)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 7 || d.Unconfirmed != nil {
		t.Errorf("with its successor: %+v", d)
	}
	if c.Forget("web2") {
		t.Error("one that is there can be forgotten")
	}
}

// The next process does not meet a node that is gone at that moment: others tell of that one,
// whether they have noticed by then or not.
func TestAKilledNodesSuccessorNamesWhomItDoesNotMeet(t *testing.T) {
	t.Parallel()
	for _, noticed := range []bool{true, false} {
		t.Run(fmt.Sprint("noticed ", noticed), func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			a, b, c := s.start("web1", 1), s.start("web2", 2), s.start("web3", 4)
			meet(t, a, b, c)
			c.Kill()
			if noticed {
				a.Publish(appID, toAll, []byte("{}")) // only NATS knows by now
			}
			b.Kill()
			b = s.start("web2", 2)
			eventually(t, "the two to have each other", func() bool { return b.live("web1") })
			if d := b.Publish(appID, toAll, []byte("{}")); d.Sessions != 3 || !slices.Equal(d.Unconfirmed, []string{"web3"}) {
				t.Errorf("from the successor: %+v, want 3 sessions without web3", d)
			}
			c = s.start("web3", 4)
			meet(t, a, b, c)
			if d := b.Publish(appID, toAll, []byte("{}")); d.Sessions != 7 || d.Unconfirmed != nil {
				t.Errorf("when it is back: %+v", d)
			}
		})
	}
}

// live reports whether a node of that name is live to this one.
func (n *node) live(name string) bool {
	return slices.ContainsFunc(n.Status().Peers, func(p cluster.Peer) bool {
		return p.Name == name && p.State == cluster.PeerLive
	})
}

func TestALostNodeCanBeForgotten(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	b.Kill()
	if d := a.Publish(appID, toAll, []byte("{}")); len(d.Unconfirmed) != 1 {
		t.Errorf("after the kill: %+v", d)
	}
	if a.Forget("web9") || !a.Forget("web2") || a.Forget("web2") {
		t.Error("not that which was lost is forgotten, once")
	}
	if d := a.Publish(appID, toAll, []byte("{}")); d.Unconfirmed != nil {
		t.Errorf("forgotten, and yet %+v", d)
	}
}

// A peer that hangs costs one message its wait, and then none; what it works off late it
// drops.
func TestAPeerThatHangsIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	const wait = 200 * time.Millisecond
	a.SetWait(wait)
	eventually(t, "the other to be told of the wait", func() bool { return b.Status().Peers[0].Wait == wait })
	goOn := b.stall()
	defer goOn()
	if d := a.Publish(appID, toAll, []byte("first")); !slices.Equal(d.Unconfirmed, []string{"web2"}) || d.Sessions != 1 {
		t.Errorf("while it hangs: %+v", d)
	}
	goOn()
	eventually(t, "it to be live again", func() bool { return a.count(cluster.PeerLive) == 1 })
	a.SetWait(patience)
	eventually(t, "a message to be confirmed", func() bool {
		return a.Publish(appID, toAll, []byte("later")).Unconfirmed == nil
	})
	seen := map[string]int{}
	for _, text := range b.received() {
		seen[text]++
	}
	if seen["first"] > 1 {
		t.Errorf("the first arrived %d times", seen["first"])
	}
}

func TestNATSMayRestart(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	s.nats.Stop()
	for _, n := range []*node{a, b} {
		eventually(t, n.name+" to notice", func() bool { return n.Status().State == cluster.StateCutOff })
		d := n.Publish(appID, toAll, []byte("while cut off by "+n.name)) // nobody waits
		if d.Sessions != n.sessions || len(d.Unconfirmed) != 1 {
			t.Errorf("%s, cut off: %+v", n.name, d)
		}
	}
	s.nats.Start()
	for _, n := range []*node{a, b} {
		eventually(t, n.name+" to be back", func() bool { return n.Status().State == cluster.StateLive })
	}
	for _, n := range []*node{a, b} {
		eventually(t, "the way to be open", func() bool {
			return n.Publish(appID, toAll, []byte("afterwards")).Unconfirmed == nil
		})
	}
	for _, n := range []*node{a, b} {
		for _, text := range n.received() {
			if strings.HasPrefix(text, "while") && !strings.HasSuffix(text, n.name) {
				t.Errorf("%s got %q from the past", n.name, text)
			}
		}
		if n.Status().Reconnects == 0 {
			t.Errorf("%s counts no reconnection", n.name)
		}
	}
}

// A message that is sent just after the connection was lost waits for another one, and reaches all.
func TestAMessageWaitsForAnotherConnection(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Gap = patience
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	s.nats.Stop()
	eventually(t, "web1 to notice", func() bool { return a.Status().State == cluster.StateCutOff })
	told := make(chan cluster.Delivery)
	go func() { told <- a.Publish(appID, toAll, []byte("in the gap")) }()
	s.nats.Start()
	if d := <-told; d.Sessions != 3 || d.Unconfirmed != nil {
		t.Errorf("its sender was told %+v", d)
	}
}

// The owner is told of the connection as it comes and goes, and of nothing after Close.
func TestTheOwnerIsToldOfTheConnection(t *testing.T) {
	t.Parallel()
	s := newService(t)
	told := make(chan string, 100)
	a := s.start("web1", 1, func(o *cluster.Options) {
		o.Connected = func(conn *nats.Conn) { told <- "connected " + conn.ConnectedUrl() }
		o.Disconnected = func(err error) { told <- "disconnected" }
	})
	for round := range 3 {
		if got := <-told; got != "connected "+s.nats.URL() {
			t.Fatalf("told %q in round %d", got, round)
		}
		if round == 2 {
			break
		}
		s.nats.Stop()
		if got := <-told; got != "disconnected" {
			t.Fatalf("told %q in round %d", got, round)
		}
		s.nats.Start()
	}
	a.Close()
	s.nats.Stop()
	if len(told) > 0 {
		t.Errorf("after the end told %q", <-told)
	}
}

func TestWithoutNATSANodeServesItsOwn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.nats.Stop()
	a := s.start("web1", 3)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 3 || d.Unconfirmed != nil || !a.Alone() {
		t.Errorf("cut off from the beginning: %+v", d)
	}
	if st := a.Status(); st.State != cluster.StateCutOff {
		t.Errorf("it is %s", st.State)
	}
	s.nats.Start()
	b := s.start("web2", 4)
	meet(t, a, b)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 7 {
		t.Errorf("connected: %+v", d)
	}
}

// proxy is a way to NATS that can be cut, or swallow what comes.
type proxy struct {
	listener net.Listener
	swallows atomic.Bool
	to       string
	hold     chan struct{} // connections wait until it is closed; nil: they do not
	accepted atomic.Int64
	mu       sync.Mutex
	cut      bool
	conns    []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	return newHeldProxy(t, to, nil)
}

func newHeldProxy(t testing.TB, to string, hold chan struct{}) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: ln, to: strings.TrimPrefix(to, "nats://"), hold: hold}
	go p.accept()
	t.Cleanup(func() { ln.Close(); p.setCut(true) })
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		if p.hold != nil {
			<-p.hold
		}
		to, err := net.Dial("tcp", p.to)
		p.mu.Lock()
		if err != nil || p.cut {
			from.Close()
		} else {
			p.conns = append(p.conns, from, to)
			go p.copyAndClose(to, from)
			go p.copyAndClose(from, to)
		}
		p.mu.Unlock()
	}
}

func (p *proxy) copyAndClose(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if !p.swallows.Load() {
			to.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

// setCut cuts all connections and lets no other be made, or lets them be made again.
func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

func TestANodeThatIsCutOffComesBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time = cluster.Impatient
	way := newProxy(t, s.nats.URL())
	a := s.start("web1", 1)
	b := s.start("web2", 2, func(o *cluster.Options) { o.NATS.Servers = []string{way.url()} })
	meet(t, a, b)
	way.setCut(true)
	eventually(t, "the other to be lost", func() bool { return a.states() == "web2 lost" })
	eventually(t, "it to notice", func() bool { return b.Status().State == cluster.StateCutOff })
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 1 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
		t.Errorf("to one that is cut off: %+v", d)
	}
	if d := b.Publish(appID, toAll, []byte("{}")); d.Sessions != 2 || !slices.Equal(d.Unconfirmed, []string{"web1"}) {
		t.Errorf("from one that is cut off: %+v", d)
	}
	way.setCut(false)
	meet(t, a, b)
	eventually(t, "a message to be confirmed", func() bool {
		return a.Publish(appID, toAll, []byte("again")).Sessions == 3
	})
}

// recording is all that goes through NATS in a cluster's subjects, for a stranger.
type recording struct {
	conn *nats.Conn
	mu   sync.Mutex
	all  []*nats.Msg
}

// stranger is somebody with access to NATS; record is one who listens to everything.
func (s *service) stranger() *recording {
	s.t.Helper()
	conn, err := nats.Connect(s.nats.URL(), nats.Timeout(patience))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	return &recording{conn: conn}
}

func (s *service) record() *recording {
	s.t.Helper()
	r := s.stranger()
	if _, err := r.conn.Subscribe("pns4ones.>", func(m *nats.Msg) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, m)
	}); err != nil {
		s.t.Fatal(err)
	}
	if err := r.conn.FlushTimeout(patience); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (r *recording) taken() []*nats.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *recording) flush(t testing.TB) {
	t.Helper()
	if err := r.conn.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

func (r *recording) send(t testing.TB, subject string, data []byte) {
	t.Helper()
	if err := r.conn.Publish(subject, data); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAStrangerSendsIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	s := newService(t)
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	const messages = 20
	for i := range messages {
		a.Publish(appID, toAll, fmt.Append(nil, i))
	}
	eventually(t, "the stranger to have heard all", func() bool {
		count := 0
		for _, m := range stranger.taken() {
			if strings.HasSuffix(m.Subject, ".main.m") {
				count++
			}
		}
		return count == messages
	})
	recorded := stranger.taken()
	dropped := func(n *node, reason string) uint64 { return n.Stats().Dropped[reason] }

	// Replayed, to all and to each.
	epochA, epochB := a.Status().Epoch.String(), b.Status().Epoch.String()
	for _, m := range recorded {
		stranger.send(t, m.Subject, m.Data)
		stranger.send(t, "pns4ones.main.n."+epochA+".m", m.Data)
		stranger.send(t, "pns4ones.main.n."+epochB+".m", m.Data)
		stranger.send(t, "pns4ones.main.n."+epochA+".a", m.Data)
		stranger.send(t, "pns4ones.main.n."+epochB+".q", m.Data)
		stranger.send(t, "pns4ones.main.h", m.Data)
	}
	// Forged: each byte changed, cut, made up, of another version.
	for _, m := range recorded {
		if !strings.HasSuffix(m.Subject, ".main.m") {
			continue
		}
		for i := range m.Data {
			changed := slices.Clone(m.Data)
			changed[i]++
			stranger.send(t, m.Subject, changed)
			stranger.send(t, m.Subject, m.Data[:i])
		}
		break
	}
	stranger.send(t, "pns4ones.main.h", []byte("pns4ones"))
	stranger.send(t, "pns4ones.main.h", nil)
	// A word of an epoch that nobody knows, from somebody with another key.
	other, _ := seal.NewSealer(sealtest.Keys(t), "main", seal.NewEpoch(), 0).Seal(nil, seal.KindMessage, []byte("other"))
	stranger.send(t, "pns4ones.main.m", other)
	stranger.flush(t)
	d := a.Publish(appID, toAll, []byte("end"))
	if d.Sessions != 3 || d.Unconfirmed != nil {
		t.Errorf("after all that %+v", d)
	}
	for _, n := range []*node{a, b} {
		if got := n.received(); len(got) != messages+1 {
			t.Errorf("%s got %d messages, want %d", n.name, len(got), messages+1)
		}
		if n.count(cluster.PeerLive) != 1 || len(n.Status().Peers) != 1 {
			t.Errorf("%s knows %s", n.name, n.states())
		}
	}
	eventually(t, "all to be counted", func() bool {
		return dropped(a, "own") >= messages && dropped(b, "seen") >= messages && dropped(b, "forged") > 0 &&
			dropped(b, "unknown") > 0
	})
}

// The heartbeats of a node that is no more make no ghost of it.
func TestReplayedHeartbeatsMakeNoGhost(t *testing.T) {
	t.Parallel()
	s := newService(t)
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	b.Close()
	eventually(t, "the goodbye", a.Alone)
	c := s.start("web3", 4) // never knew it
	meet(t, a, c)
	for _, m := range stranger.taken() {
		stranger.send(t, m.Subject, m.Data)
	}
	stranger.flush(t)
	for _, n := range []*node{a, c} {
		d := n.Publish(appID, toAll, []byte("{}"))
		if d.Sessions != 5 || d.Unconfirmed != nil {
			t.Errorf("%s: %+v", n.name, d)
		}
		if got := n.Status().Peers; len(got) != 1 {
			t.Errorf("%s knows %s", n.name, n.states())
		}
	}
}

func TestAFloodIsDropped(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	stranger := s.record()
	garbage := make([]byte, 200)
	garbage[0] = seal.Version
	const flood = 15_000 // half of it to h, where no more than 8192 may wait
	for i := range flood {
		binary.BigEndian.PutUint64(garbage[6:], uint64(i)) // the epoch
		stranger.send(t, [...]string{"pns4ones.main.m", "pns4ones.main.h"}[i%2], garbage)
	}
	stranger.flush(t)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 3 {
		t.Errorf("meanwhile %+v", d)
	}
	eventually(t, "all to be dropped", func() bool {
		dropped := b.Stats().Dropped
		return dropped["unknown"]+dropped["forged"] == flood
	})
	if lines := strings.Count(b.log.String(), "sealed"); lines > 2 {
		t.Errorf("it was logged %d times", lines)
	}
}

func TestNodesWithOtherKeysDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a := s.start("web1", 1)
	s.keys = sealtest.Keys(t)
	b := s.start("web2", 2)
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		n := pair[0]
		eventually(t, n.name+" to be refused", func() bool { return n.Status().State == cluster.StateRefused })
		if st := n.Status(); !strings.Contains(st.Problem, "another cluster key: ") || len(st.Peers) != 0 {
			t.Errorf("%s: %+v", n.name, st)
		}
		if d := n.Publish(appID, toAll, []byte("{}")); d.Sessions != n.sessions {
			t.Errorf("%s: %+v", n.name, d)
		}
	}
	a.UseKeys(s.keys)
	meet(t, a, b)
}

func TestTwoClustersOnOneNATS(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	c := s.start("web1", 4, func(o *cluster.Options) { o.Cluster = "other" })
	meet(t, a, b)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 3 {
		t.Errorf("%+v", d)
	}
	if !c.Alone() || len(c.received()) != 0 {
		t.Errorf("the other one knows %s, got %v", c.states(), c.received())
	}
}

func TestASecondNodeOfTheSameNameOrIDIsRefused(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*cluster.Options){
		"web2 has the same id":    func(o *cluster.Options) { o.Name = "web9" },
		"has the same name, web2": func(o *cluster.Options) { o.ID[15] = 1 },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			a, b := s.start("web1", 1), s.start("web2", 2)
			meet(t, a, b)
			for _, n := range []*node{a, b} {
				eventually(t, n.name+" to be live", func() bool { return n.Status().State == cluster.StateLive })
			}
			clone := s.start("web2", 4, change)
			eventually(t, "it to be refused", func() bool { return clone.Status().State == cluster.StateRefused })
			if problem := clone.Status().Problem; !strings.Contains(problem, what) {
				t.Errorf("it says %q", problem)
			}
			if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 3 {
				t.Errorf("the others: %+v", d)
			}
			eventually(t, "it to name the others", func() bool {
				d := clone.Publish(appID, toAll, []byte("{}"))
				return d.Sessions == 4 && len(d.Unconfirmed) == 2
			})
			for _, n := range []*node{a, b} {
				if st := n.Status(); st.State != cluster.StateLive || len(n.received()) != 1 {
					t.Errorf("%s is %s and got %d messages", n.name, st.State, len(n.received()))
				}
			}
			eventually(t, "the others to say so", func() bool {
				return strings.Contains(a.log.String(), "another node has its id or name")
			})
			// Once the first one is gone, the second is no double any more.
			b.Close()
			eventually(t, "it to be taken in", func() bool { return clone.Status().Problem == "" })
			meet(t, a, clone)
		})
	}
}

// As after a snapshot of its memory was restored: it goes on as another.
func TestANodeThatBeginsAnewIsTakenInAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	before := b.Status().Epoch
	b.BeginAnew()
	if b.Status().Epoch == before {
		t.Fatal("it has the same epoch")
	}
	eventually(t, "it to be taken in", func() bool {
		return a.Publish(appID, toAll, []byte("to it")).Sessions == 3 &&
			b.Publish(appID, toAll, []byte("from it")).Sessions == 3
	})
}

func TestNothingIsLeftOfANode(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	subscriptions := s.nats.Running().NumSubscriptions()
	connections := s.nats.Running().NumClients()
	for range 3 {
		c := s.start("web3", 1)
		meet(t, a, b, c)
		a.Publish(appID, toAll, make([]byte, 1<<20))
		c.Close()
		c.Close() // does no harm
		eventually(t, "it to be gone", func() bool { return len(a.Status().Peers) == 1 && len(b.Status().Peers) == 1 })
	}
	eventually(t, "the subscriptions to end", func() bool {
		return s.nats.Running().NumSubscriptions() == subscriptions && s.nats.Running().NumClients() == connections
	})
}

func TestSecretsOfTheAddressAreNotShown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.nats = natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "pns", "Top-Secret" })
	with := func(password string) func(*cluster.Options) {
		return func(o *cluster.Options) {
			o.NATS.Servers = []string{strings.Replace(s.nats.URL(), "//", "//pns:"+password+"@", 1)}
		}
	}
	a, b := s.start("web1", 1, with("Top-Secret")), s.start("web2", 2, with("Top-Secret"))
	meet(t, a, b)
	wrong := s.start("web3", 1, with("Wrong-Secret"))
	eventually(t, "NATS to refuse it", func() bool { return strings.Contains(wrong.log.String(), "uthorization") })
	if st := wrong.Status(); st.State != cluster.StateCutOff {
		t.Errorf("with a wrong password it is %s", st.State)
	}
	for _, n := range []*node{a, b, wrong} {
		st := n.Status()
		for _, text := range append(st.Servers, st.Server, st.Problem, n.log.String()) {
			if strings.Contains(text, "Secret") {
				t.Errorf("%s shows the password: %s", n.name, text)
			}
		}
		if len(st.Servers) != 1 || st.Servers[0] != s.nats.URL() {
			t.Errorf("%s: servers %v", n.name, st.Servers)
		}
	}
	for _, server := range []string{"pns:Top-Secret@host", "nats://pns:Top-Secret@h:x", "http://pns:Top-Secret@h:1", ""} {
		_, err := cluster.Start(cluster.Options{NATS: cluster.NATS{Servers: []string{server}}, Cluster: "main",
			Keys: s.keys})
		if err == nil || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%q: %v", server, err)
		}
	}
}

func TestWhatNATSForbidsIsNamed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	deny := &server.SubjectPermission{Deny: []string{"pns4ones.main.h"}}
	s.nats = natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "pns", Password: "p", Permissions: &server.Permissions{Publish: deny}}}
	})
	denied := make(chan error, 1)
	a := s.start("web1", 1, func(o *cluster.Options) {
		o.NATS.Servers = []string{strings.Replace(s.nats.URL(), "//", "//pns:p@", 1)}
		o.AsyncError = func(err error) {
			select {
			case denied <- err:
			default:
			}
		}
	})
	eventually(t, "it to be refused", func() bool { return a.Status().State == cluster.StateRefused })
	if problem := a.Status().Problem; !strings.Contains(problem, `"pns4ones.main.h"`) {
		t.Errorf("the problem is %q", problem)
	}
	if err := <-denied; !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "pns4ones.main.h") {
		t.Errorf("told %v", err)
	}
	if !strings.Contains(a.log.String(), "pns4ones.main.h") {
		t.Error("the log does not name the subject")
	}
}

// A right that is given while NATS runs is found without a restart of anything: NATS tells nobody of
// it, and has forgotten a subscription that it refused.
func TestARightThatIsGivenLaterIsFound(t *testing.T) {
	t.Parallel()
	deny := &server.SubjectPermission{Deny: []string{"pns4ones.main.h"}}
	for name, lacks := range map[string]*server.Permissions{
		"to publish": {Publish: deny}, "to subscribe": {Subscribe: deny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.time.Rights = 100 * time.Millisecond
			with := func(rights *server.Permissions) func(o *server.Options) {
				return func(o *server.Options) {
					o.Users = []*server.User{{Username: "pns", Password: "p"}, {Username: "few", Password: "p", Permissions: rights}}
				}
			}
			s.nats = natstest.Start(t, with(lacks))
			as := func(user string) func(o *cluster.Options) {
				return func(o *cluster.Options) {
					o.NATS.Servers = []string{strings.Replace(s.nats.URL(), "//", "//"+user+":p@", 1)}
				}
			}
			a, b := s.start("web1", 1, as("few")), s.start("web2", 1, as("pns"))
			eventually(t, "it to be refused", func() bool { return a.Status().State == cluster.StateRefused })
			s.nats.Reload(with(nil))
			meet(t, a, b)
			eventually(t, "it to be live", func() bool { return a.Status().State == cluster.StateLive })
		})
	}
}

// What the bucket of the apps is not allowed keeps no message from the sessions, and is said there.
func TestWhatTheBucketMayNotDoesNotConcernMessages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	deny := &server.SubjectPermission{Deny: []string{"$JS.API.>"}}
	s.nats = natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "pns", Password: "p", Permissions: &server.Permissions{Publish: deny}}}
	})
	told := make(chan struct{})
	once := sync.OnceFunc(func() { close(told) })
	a := s.start("web1", 1, func(o *cluster.Options) {
		o.NATS.Servers = []string{strings.Replace(s.nats.URL(), "//", "//pns:p@", 1)}
		o.AsyncError = func(error) { once() }
	})
	eventually(t, "it to be live", func() bool { return a.Status().State == cluster.StateLive })
	if err := a.Conn().Publish("$JS.API.INFO", nil); err != nil {
		t.Fatal(err)
	}
	<-told
	if st := a.Status(); st.State != cluster.StateLive {
		t.Errorf("it is %s: %s", st.State, st.Problem)
	}
}

func TestPeersTellEachOtherMore(t *testing.T) {
	t.Parallel()
	s := newService(t)
	type word struct {
		from, kind, body string
	}
	told := make(chan word, 10)
	listen := func(o *cluster.Options) {
		o.Told = func(from cluster.Peer, kind seal.Kind, body []byte) {
			told <- word{from.Name, string(kind), string(body)}
		}
		o.Revision = func() uint64 { return 42 }
	}
	a, b, c := s.start("web1", 1), s.start("web2", 2, listen), s.start("web3", 2, listen)
	meet(t, a, b, c)
	if !a.Tell(seal.Epoch{}, seal.KindChanged, []byte("all")) ||
		!b.Tell(c.Status().Epoch, seal.KindApplied, []byte("one")) {
		t.Fatal("not told")
	}
	var got []word
	for range 3 {
		got = append(got, <-told)
	}
	slices.SortFunc(got, func(a, b word) int { return cmp.Compare(a.from, b.from) })
	want := []word{{"web1", "c", "all"}, {"web1", "c", "all"}, {"web2", "d", "one"}}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	eventually(t, "the revisions to be known", func() bool {
		for _, p := range a.Status().Peers {
			if p.Revision != 42 {
				return false
			}
		}
		return true
	})
}

func BenchmarkPublish(b *testing.B) {
	for _, count := range []int{1, 2, 3} {
		b.Run(fmt.Sprintf("nodes=%d", count), func(b *testing.B) {
			s := newService(b)
			var nodes []*node
			for i := range count {
				n := s.start(fmt.Sprintf("web%d", i), 1, func(o *cluster.Options) {
					o.Deliver = func(moving.Origin, string, wire.Recipient, []byte, func(cluster.Reach)) (cluster.Reach, bool) {
						return cluster.Reach{Sessions: 1}, false
					}
				})
				nodes = append(nodes, n)
			}
			meet(b, nodes...)
			text := make([]byte, 408)
			b.ReportAllocs()
			for b.Loop() {
				if d := nodes[0].Publish(appID, toAll, text); d.Sessions != count {
					b.Fatalf("%+v", d)
				}
			}
		})
	}
}

// Not parallel: it counts the goroutines of the process.
func TestNoGoroutineIsLeftOfANode(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("nodes", func(t *testing.T) {
		s := newService(t)
		a, b := s.start("web1", 1), s.start("web2", 2)
		meet(t, a, b)
		a.Publish(appID, toAll, make([]byte, 1<<20))
	})
	eventually(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
