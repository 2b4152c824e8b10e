package bucket_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
)

// patience is for what must happen, on a machine that is busy.
const patience = 30 * time.Second

const stream = "KV_pns4ones_main"

func subject(key string) string { return "$KV.pns4ones_main." + key }

// natsServer is an embedded server with JetStream.
type natsServer struct {
	*natstest.Server
	t *testing.T
}

// startNATS starts one; configure may change its options, or be nil.
func startNATS(t *testing.T, configure func(*server.Options)) *natsServer {
	t.Helper()
	changes := []func(*server.Options){natstest.JetStream(t)}
	if configure != nil {
		changes = append(changes, configure)
	}
	return &natsServer{natstest.Start(t, changes...), t}
}

// connect is a plain connection, for what strangers do.
func (s *natsServer) connect(o ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	s.t.Helper()
	conn, err := nats.Connect(s.URL(), o...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn, js
}

// mesh is nodes that hear one another.
type mesh struct {
	t      *testing.T
	server *natsServer
	keys   *seal.Keys // of nodes that are started without others

	mu    sync.Mutex
	nodes map[string]*node
	deaf  map[string]bool // nodes that no notice reaches
}

func newMesh(t *testing.T, s *natsServer) *mesh {
	return &mesh{t: t, server: s, keys: sealtest.Keys(t), nodes: make(map[string]*node), deaf: make(map[string]bool)}
}

func (m *mesh) others(name string) (others []*node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		if n.name != name && !m.deaf[n.name] {
			others = append(others, n)
		}
	}
	return others
}

// keysBut is with which keys the others seal.
func (m *mesh) keysBut(name string) map[string]seal.KeyID {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make(map[string]seal.KeyID)
	for _, n := range m.nodes {
		if n.name != name {
			keys[n.name] = n.keys.Load().ID()
		}
	}
	return keys
}

// node is a registry with its bucket.
type node struct {
	t      *testing.T
	mesh   *mesh
	name   string
	path   string
	apps   *app.Registry
	bucket *bucket.Bucket
	conn   *nats.Conn
	leave  func() // ends the bucket, and nothing else
	stop   func()
	keys   atomic.Pointer[seal.Keys]

	mu      sync.Mutex
	backups int
	fails   error         // of the database, when others' changes are applied
	stalls  chan struct{} // closed when the disk answers again; nil: it does
}

// options of a node that tests change.
type options struct {
	path     string // of the database; empty: a new one
	keys     *seal.Keys
	replicas int
	clock    *clock
	nats     []nats.Option
	fill     func(*app.Registry) // before the node knows of a cluster
	live     func() []string
	// requestTime is that of bucket.Options; where a test answers in place of JetStream, it is
	// patience.
	requestTime time.Duration
}

// start starts a node, which runs until stop or the end of the test.
func (m *mesh) start(name string, o options) *node {
	m.t.Helper()
	n := &node{t: m.t, mesh: m, name: name, path: o.path}
	n.keys.Store(cmp.Or(o.keys, m.keys))
	if n.path == "" {
		n.path = filepath.Join(m.t.TempDir(), "pns4ones.db")
	}
	if o.fill != nil {
		apps, err := app.Open(n.path, app.Options{})
		if err != nil {
			m.t.Fatal(err)
		}
		o.fill(apps)
		if err := apps.Close(); err != nil {
			m.t.Fatal(err)
		}
	}
	var err error
	n.apps, err = app.Open(n.path, app.Options{Agree: func(ctx context.Context, c app.Change) error {
		return n.bucket.Agree(ctx, c)
	}})
	if err != nil {
		m.t.Fatal(err)
	}
	n.connect(o.nats)
	bo := bucket.Options{
		Cluster:  "main",
		Node:     name,
		Keys:     n.keys.Load,
		PeerKeys: func() map[string]seal.KeyID { return m.keysBut(name) },
		Replicas: o.replicas,
		Conn:     n.conn,
		Apps:     n.apps,
		Apply:    n.apply,
		Live:     o.live,
		Notify: func(key string, revision uint64) {
			for _, other := range m.others(name) {
				other.bucket.Told(name, seal.KindChanged, bucket.Notice(key, revision))
			}
		},
		Applied: func(peer, key string, revision uint64, closed int) {
			m.mu.Lock()
			to := m.nodes[peer]
			m.mu.Unlock()
			if to != nil {
				to.bucket.Told(name, seal.KindApplied, bucket.Confirmation(key, revision, closed))
			}
		},
		Backup: func() error {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.backups++
			return nil
		},
		Logger:      slog.New(slog.DiscardHandler),
		RequestTime: o.requestTime,
	}
	if o.clock != nil {
		bo.Clock = bucket.Clock{Now: o.clock.Now, After: o.clock.After}
	}
	if bo.Live == nil {
		bo.Live = func() (names []string) {
			for _, other := range m.others(name) {
				names = append(names, other.name)
			}
			return names
		}
	}
	if n.bucket, err = bucket.New(bo); err != nil {
		m.t.Fatal(err)
	}
	n.handlers()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.bucket.Run(ctx)
	}()
	m.mu.Lock()
	m.nodes[name] = n
	m.mu.Unlock()
	n.leave = func() {
		cancel()
		<-done
	}
	n.stop = sync.OnceFunc(func() {
		m.mu.Lock()
		delete(m.nodes, name)
		m.mu.Unlock()
		n.leave()
		n.conn.Close()
		n.apps.Close()
	})
	m.t.Cleanup(n.stop)
	return n
}

// useKeys is a reload of the key file.
func (n *node) useKeys(keys *seal.Keys) {
	n.keys.Store(keys)
	n.bucket.KeysChanged()
}

func (n *node) connect(more []nats.Option) {
	n.t.Helper()
	conn, err := nats.Connect(n.mesh.server.URL(), append([]nats.Option{
		nats.NoEcho(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(0, 0), nats.Name(n.name), nats.CustomInboxPrefix("pns4ones.main.i"),
	}, more...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.conn = conn
}

// handlers tells the bucket of the connection, as its owner does.
func (n *node) handlers() {
	n.conn.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { n.bucket.AsyncError(err) })
	n.conn.SetDisconnectErrHandler(func(*nats.Conn, error) { n.bucket.Disconnected() })
	n.conn.SetReconnectHandler(func(*nats.Conn) { n.bucket.Connected() })
	n.bucket.Connected()
}

// apply closes one session for each change.
func (n *node) apply(changes []app.Change) (closed []int, err error) {
	n.mu.Lock()
	fails, stalls := n.fails, n.stalls
	n.mu.Unlock()
	if stalls != nil {
		<-stalls
	}
	if fails != nil {
		return nil, fails
	}
	for range changes {
		closed = append(closed, 1)
	}
	return closed, n.apps.Apply(changes...)
}

// until waits until something is so; bucket.Moved says when to look again.
func (n *node) until(what string, is func() bool) {
	n.t.Helper()
	over := time.After(patience)
	for {
		moved := n.bucket.Moved()
		if is() {
			return
		}
		select {
		case <-moved:
		case <-over:
			n.t.Fatalf("%s: in vain waited until %s; it is %+v", n.name, what, n.bucket.Status())
		}
	}
}

// when is for advancing.
func (n *node) when(is func() bool) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !is() {
			runtime.Gosched()
		}
	}()
	return done
}

func (n *node) untilState(s bucket.State) {
	n.t.Helper()
	n.until("it is "+string(s), func() bool { return n.bucket.Status().State == s })
}

func (n *node) untilProblem(code bucket.Code) *bucket.ProblemError {
	n.t.Helper()
	var problem *bucket.ProblemError
	n.until("there is "+string(code), func() bool {
		problem = n.bucket.Status().Problem
		return problem != nil && problem.Code == code
	})
	return problem
}

// untilTitled waits until an app has that title; an empty one: until it is gone.
func (n *node) untilTitled(id, title string) {
	n.t.Helper()
	n.until(fmt.Sprintf("app %s is %q", id, title), func() bool {
		a, ok := n.apps.Get(id)
		return ok == (title != "") && (!ok || a.Title == title)
	})
}

func (n *node) untilVersion(id string, version uint64) {
	n.t.Helper()
	n.until(fmt.Sprintf("app %s has version %d", id, version), func() bool { return n.apps.Version(id) == version })
}

// untilAnswered waits until so many peers have answered to the last change of an app.
func (n *node) untilAnswered(a *app.App, peers int) {
	n.t.Helper()
	n.until(fmt.Sprintf("%d peers have answered", peers), func() bool { return n.bucket.Answered(a.ID) == peers })
}

// settle waits, by its clock, for the peers that have not answered to the last change of an app.
func (n *node) settle(c *clock, a *app.App) bucket.Settled {
	settled := make(chan bucket.Settled)
	go func() { settled <- n.bucket.Settle(context.Background(), a.ID) }()
	return advancing(c, 2*time.Second, settled)
}

func (n *node) create(title string) *app.App {
	n.t.Helper()
	a, err := n.apps.Create(title)
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	return a
}

func (n *node) rename(a *app.App, title string) {
	n.t.Helper()
	if _, err := n.apps.Rename(a.ID, title); err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

func (n *node) titles() (titles []string) {
	for _, a := range n.apps.List() {
		titles = append(titles, a.Title)
	}
	slices.Sort(titles)
	return titles
}

// creating fills a database with apps of those titles.
func creating(titles ...string) func(*app.Registry) {
	return func(r *app.Registry) {
		for _, title := range titles {
			if _, err := r.Create(title); err != nil {
				panic(err)
			}
		}
	}
}

// clock is one that is moved by hand.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	timers  []timer
	asked   chan struct{} // closed and made anew when somebody waits
	history []time.Duration
}

type timer struct {
	at    time.Time
	after time.Duration
	fires chan time.Time
}

func newClock() *clock { return &clock{now: time.Now(), asked: make(chan struct{})} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := timer{c.now.Add(d), d, make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	c.history = append(c.history, d)
	close(c.asked)
	c.asked = make(chan struct{})
	return t.fires
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.timers = slices.DeleteFunc(c.timers, func(t timer) bool {
		if t.at.After(c.now) {
			return false
		}
		t.fires <- c.now
		return true
	})
}

// waits reports whether somebody waits for that time.
func (c *clock) waits(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.timers, func(t timer) bool { return t.after == d })
}

// nextAsked is closed when somebody else waits.
func (c *clock) nextAsked() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// awaited waits until somebody waits for that time.
func (c *clock) awaited(t *testing.T, d time.Duration) {
	t.Helper()
	over := time.After(patience)
	for {
		asked := c.nextAsked()
		if c.waits(d) {
			return
		}
		select {
		case <-asked:
		case <-over:
			t.Fatalf("nobody waits for %v", d)
		}
	}
}

// advancing moves the clock on until there is an answer.
func advancing[T any](c *clock, d time.Duration, answers <-chan T) T {
	for {
		select {
		case answer := <-answers:
			return answer
		default:
			c.advance(d)
			runtime.Gosched()
		}
	}
}

// untilLater is until while the clock goes on, not so fast that NATS cannot answer in time.
func (n *node) untilLater(c *clock, what string, is func() bool) {
	n.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for over := time.After(patience); !is(); {
		select {
		case <-tick.C:
			c.advance(50 * time.Millisecond)
		case <-over:
			n.t.Fatalf("%s: in vain waited until %s; it is %+v", n.name, what, n.bucket.Status())
		}
	}
}

// nothingLeft is to be called first: at the end of the test it looks for goroutines that were
// not there before.
func nothingLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		over := time.Now().Add(patience)
		for runtime.NumGoroutine() > before {
			if time.Now().After(over) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
			runtime.Gosched()
		}
	})
}
