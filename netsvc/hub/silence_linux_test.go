package hub_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// away is for how long TestAPeerThatComesBackGetsAll has the link down, with the usual
// limits; without it for a moment, with shorter ones.
var away = flag.Duration("hub.away", 0, "how long the link to a peer is down; 60s and 150s are what is promised")

// place is a network namespace: a goroutine in it does what it is told.
type place struct {
	thread int
	do     chan func()
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{do: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		p.thread = unix.Gettid()
		ready <- err
		for f := range p.do {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("no network of its own: %v", err)
	}
	t.Cleanup(func() { close(p.do) })
	return p
}

// ip runs ip(8) there.
func (p *place) ip(t *testing.T, arguments string) {
	t.Helper()
	var out []byte
	var err error
	p.here(func() { out, err = exec.Command("ip", strings.Fields(arguments)...).CombinedOutput() })
	if err != nil {
		t.Fatalf("ip %s: %v: %s", arguments, err, out)
	}
}

func (p *place) here(f func()) {
	done := make(chan struct{})
	p.do <- func() { defer close(done); f() }
	<-done
}

// link is a service at one end of a cable, and at the other whoever calls connect.
type link struct {
	*service
	far *place
}

func linked(t *testing.T, o hub.Options) *link {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip(8)")
	}
	near, far := newPlace(t), newPlace(t)
	near.ip(t, fmt.Sprintf("link add near type veth peer name far netns %d", far.thread))
	near.ip(t, "addr add 10.9.9.1/24 dev near")
	far.ip(t, "addr add 10.9.9.2/24 dev far")
	near.ip(t, "link set near up")
	far.ip(t, "link set far up")
	o.Logger = slog.New(slog.DiscardHandler)
	s := &service{Hub: hub.New(o), t: t, key: clientKey(t, 1)}
	s.SetApp(appID, []hub.Key{{Generation: 1, Secret: s.key}})
	near.here(func() { s.ln, _ = net.Listen("tcp", "10.9.9.1:0") })
	if s.ln == nil {
		t.Fatal("nothing listens")
	}
	s.addr = s.ln.Addr().String()
	go s.Serve(s.ln)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
	})
	return &link{s, far}
}

// connect opens a session that, like the released add-ins, has no keep-alive of its own.
func (l *link) connect(user string) (conn net.Conn) {
	l.t.Helper()
	before := l.Stats().Sessions
	dialer := net.Dialer{KeepAlive: -1}
	var err error
	l.far.here(func() { conn, err = dialer.Dial("tcp", l.addr) })
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(packet(32, fields(appID, "ib", user, ""))); err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, "the session is registered", func() bool { return l.Stats().Sessions > before })
	return conn
}

func (l *link) down(t *testing.T) { l.far.ip(t, "link set far down") }
func (l *link) up(t *testing.T)   { l.far.ip(t, "link set far up") }

// A peer that is gone is found out by the one setting, whatever is being sent to it. The
// time after which something that waits is given up is much shorter, and not what ends it.
func TestAPeerThatIsGoneIsFoundOut(t *testing.T) {
	t.Parallel()
	l := linked(t, hub.Options{Limits: hub.Limits{
		PeerTimeout: 2 * time.Second, KeepAlive: time.Hour, WriteTimeout: 50 * time.Millisecond, QueueBytes: 1 << 30,
	}})
	for _, user := range []string{"idle", "busy", "full"} {
		l.connect(user)
	}
	l.down(t)
	for range 16 {
		l.Publish(appID, toUser("full"), topic(strings.Repeat("x", 1<<20)))
	}
	eventually(t, "all are found out", func() bool {
		l.Publish(appID, toUser("busy"), topic("x"))
		return l.Stats().Sessions == 0
	})
	if closed := l.Stats().Closed; closed["peer_timeout"] != 3 {
		t.Errorf("the sessions ended as %v", closed)
	}
}

// A released add-in never comes back: the service waits for its network.
func TestAPeerThatComesBackGetsAll(t *testing.T) {
	t.Parallel()
	limits := hub.Limits{QueueBytes: 64 << 20, PeerTimeout: 5 * time.Minute, KeepAlive: 30 * time.Second,
		WriteTimeout: 30 * time.Second}
	wait := *away
	if wait == 0 {
		limits.WriteTimeout, wait = 50*time.Millisecond, time.Second
	}
	l := linked(t, hub.Options{Limits: limits})
	idle, busy, full := l.connect("idle"), l.connect("busy"), l.connect("full")
	l.down(t)
	large := strings.Repeat("x", 1<<20)
	for range 16 {
		l.Publish(appID, toUser("full"), topic(large))
	}
	sent := 0
	pause := time.NewTicker(max(time.Millisecond, wait/150))
	defer pause.Stop()
	for began := time.Now(); l.Silence("busy") < wait; sent++ {
		if time.Since(began) > wait+patience {
			t.Fatal("the peer is not silent")
		}
		l.Publish(appID, toUser("busy"), topic(fmt.Sprint(sent)))
		<-pause.C
	}
	limits.WriteTimeout = 0
	l.SetLimits(limits) // its messages are read one after the other here
	l.up(t)
	l.Publish(appID, toAll("ib"), topic("after"))
	get := func(c net.Conn) string {
		c.SetReadDeadline(time.Now().Add(2*wait + patience)) // what was sent is sent again ever more seldom
		text, err := wire.ReadFrame(c, l.key, 2<<20)
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		return string(text)
	}
	for n := range sent {
		if got, want := get(busy), fmt.Sprintf(`{"topic":"%d"}`, n); got != want {
			t.Fatalf("busy got %s, want %s", got, want)
		}
	}
	for range 16 {
		if got := get(full); len(got) != len(large)+len(`{"topic":""}`) {
			t.Fatalf("full got %d bytes", len(got))
		}
	}
	for _, c := range []net.Conn{idle, busy, full} {
		if got := get(c); got != `{"topic":"after"}` {
			t.Errorf("got %.80s", got)
		}
	}
	if n := l.Stats().Sessions; n != 3 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestThePeerTimeoutHoldsAtOnce(t *testing.T) {
	t.Parallel()
	l := linked(t, hub.Options{})
	l.connect("idle")
	l.down(t)
	l.SetLimits(hub.Limits{PeerTimeout: 2 * time.Second})
	eventually(t, "it is found out", func() bool { return l.Stats().Closed["peer_timeout"] == 1 })
}
