// Package hub knows who is connected and delivers messages to them.
//
// It accepts the connections of 1C sessions (protocol.md section 4), holds
// them by app, infobase, user and group, and sends each message to the
// sessions it is meant for. A session that does not read is dropped, never
// waited for; senders and other sessions do not notice it.
//
// netsvc gives the hub the apps that exist and which client keys are in force;
// httpapi and control publish and look. The hub knows nothing of HTTP, tokens
// or the database.
//
// A message takes this way: Publish collects the registrations that match
// under a shard's read lock, serialises and encrypts once for each client key
// among them, and puts the frame into each session's queue. A flusher then
// writes the queues with calls that never block; only a session whose socket
// buffer is full gets a goroutine that waits for it.
//
// A session that says nothing costs no goroutine either: one epoll instance waits
// for all of them (watch), and a session has a goroutine from its first byte
// until it has been heard. Where there is no epoll, each has one.
package hub

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/internal/failurelog"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Options are what a Hub needs. All of it may be left out.
type Options struct {
	Limits Limits
	Logger *slog.Logger // slog.Default()
	// Observe is told of every event, Latency of how long a message took from
	// Publish to the last write. They are called from many goroutines, must
	// return soon, and must not call the hub.
	Observe func(Event)
	Latency func(time.Duration)
	// Unmet is told of every message that reached no session, under the same rules. It
	// must copy what it keeps of the recipient.
	Unmet func(appID string, to wire.Recipient)
}

// Limits are those of protocol.md section 5. A zero field sets no bound. What they are
// when nobody says anything is said in package config.
type Limits struct {
	QueueBytes          int           // queued bytes a session may have beyond its first message
	QueueMemory         int64         // bytes that all queues, and what is kept for remembered sessions, take together
	WriteTimeout        time.Duration // how long a peer that acknowledges may read nothing that waits for it
	PeerTimeout         time.Duration // after what silence a peer is gone, whether it is sent anything or not; zero: as the system has it
	RegistrationTimeout time.Duration // from connecting to being registered
	KeepAlive           time.Duration // after what silence a peer is probed; zero: only as PeerTimeout wants it
	MaxUnregistered     int           // connections not yet registered
	ResumeWindow        time.Duration // how long a session that asks for it is remembered without a connection; zero: never
	ResumeBytes         int           // of frames that are kept for one
	MaxSessionsPerUser  int           // of one user of one infobase, unless its id is empty
}

// forever is longer than any process runs.
const forever = 100 * 365 * 24 * time.Hour

// Hub holds the sessions. All methods may be called concurrently. A Hub owns
// goroutines from New on: end them with Shutdown.
type Hub struct {
	options  Options
	started  time.Time
	limits   atomic.Pointer[Limits]
	logger   *slog.Logger
	refusals *failurelog.Log
	seed     maphash.Seed
	shards   [shardCount]shard
	pending  pendingList
	flushers []*flusher
	watch    *watch
	tidy     chan struct{} // closed by stop
	counters counters
	memories *memories
	budget   *budget
	lastID   atomic.Uint64
	// elsewhere are the other nodes; nil: there are none.
	elsewhere atomic.Pointer[Elsewhere]
	movedTo   sync.Map // of *session to the name of the node where it goes on, until that is told
	// mostKeys is the greatest number of keys an app has had. A refused
	// registration costs that many HMACs, whether its app exists or not.
	mostKeys atomic.Int64

	goroutines sync.WaitGroup // connections, flushers, the watch and blocked writers
	writing    atomic.Int64   // sessions with something to write
	waiting    atomic.Int64   // of these, the ones whose peer does not take it at present
	drained    chan struct{}  // told when writing falls to zero

	// frozen: nothing is read, written, registered or closed; see HandOver. It is set
	// while changing is held, which everybody holds for reading who registers or ends
	// a session: so none is half-way.
	frozen   atomic.Bool
	frozenAt time.Time // when it was, since the last time
	changing sync.RWMutex
	left     atomic.Bool // Shutdown was called while it was frozen

	publishing sync.RWMutex // is held while somebody publishes, and while the hub is frozen
	silent     bool         // guarded by it: nobody may any more

	traffic infobaseTraffics

	appsMu sync.RWMutex
	apps   map[string]*tenant

	closings closings

	mu        sync.Mutex
	closing   bool
	stopped   bool // no goroutine may begin any more, but from one that goes on
	listeners map[net.Listener]struct{}
	sessions  map[uint64]*session
	early     map[*session][]byte // read of registrations when the hub froze
}

// tenant is an app as the hub sees it: the keys in force. Its keys are
// replaced as a whole; a key that stays keeps its pointer.
type tenant struct {
	id       string
	keys     atomic.Pointer[[]*key]
	counters appCounters
	budget   *budget       // the hub's
	removed  atomic.Bool   // the app
	refused  atomic.Uint64 // registrations with a wrong HMAC, and of a user with too many sessions
}

// Key is a client key in force. Generation counts an app's client keys from 1.
type Key struct {
	Generation int
	Secret     *wire.ClientKey
}

// key is a Key with what the hub knows of it.
type key struct {
	Key
	tenant   *tenant
	sessions atomic.Int64 // registered under it
	revoked  atomic.Bool  // no longer in force: nobody may register under it
	gone     string       // fingerprint of one that was no longer in force when its frames came (goneKey); it has no secret
}

// New returns a running hub without apps.
func New(o Options) *Hub {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &Hub{
		options:   o,
		started:   time.Now(),
		logger:    o.Logger,
		memories:  newMemories(),
		budget:    new(budget),
		refusals:  failurelog.New(o.Logger, "registration refused"),
		seed:      maphash.MakeSeed(),
		drained:   make(chan struct{}, 1),
		apps:      make(map[string]*tenant),
		closings:  newClosings(),
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[uint64]*session),
		early:     make(map[*session][]byte),
	}
	h.storeLimits(o.Limits)
	h.counters.init()
	h.mostKeys.Store(1)
	for i := range h.shards {
		h.shards[i].infobases = make(map[infobaseKey]*infobase)
	}
	for range runtime.GOMAXPROCS(0) {
		h.flushers = append(h.flushers, newFlusher(h))
	}
	h.watch = newWatch(h)
	h.start()
	return h
}

// start starts what every hub has: the flushers and the watch.
func (h *Hub) start() {
	for _, f := range h.flushers {
		h.goroutines.Go(f.run)
	}
	h.watch.start()
	h.tidy = make(chan struct{})
	h.goroutines.Go(h.tidyMemories)
}

// SetLimits replaces the limits. They hold at once, for the sessions there are
// too; a time-out that is running ends as it was begun.
func (h *Hub) SetLimits(l Limits) {
	before := h.limits.Load()
	h.storeLimits(l)
	h.relieve()
	if now := h.limits.Load(); now.KeepAlive == before.KeepAlive && now.PeerTimeout == before.PeerTimeout {
		return
	}
	for _, s := range h.snapshot() {
		h.watchSilence(s.conn, s.raw)
	}
}

func (h *Hub) storeLimits(l Limits) {
	l.QueueBytes = cmp.Or(l.QueueBytes, math.MaxInt)
	l.QueueMemory = cmp.Or(l.QueueMemory, math.MaxInt64)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, forever)
	l.KeepAlive = cmp.Or(l.KeepAlive, forever)
	l.RegistrationTimeout = cmp.Or(l.RegistrationTimeout, forever)
	l.MaxUnregistered = cmp.Or(l.MaxUnregistered, math.MaxInt)
	l.MaxSessionsPerUser = cmp.Or(l.MaxSessionsPerUser, math.MaxInt)
	h.limits.Store(&l)
}

// SetApp makes an app known, or replaces its keys; keys[0] is the current one.
// Sessions registered under a key that is no longer listed are closed, and
// counted in the result; see ClosedBy, too. id is the app's id in lower case.
func (h *Hub) SetApp(id string, keys []Key) (closed int) {
	h.appsMu.Lock()
	t := h.apps[id]
	if t == nil {
		t = &tenant{id: id, budget: h.budget}
		h.apps[id] = t
	}
	old := t.inForce()
	current := make([]*key, len(keys))
	for i, k := range keys {
		current[i] = t.reuse(old, k)
	}
	t.keys.Store(&current)
	h.appsMu.Unlock()

	for n := int64(len(keys)); ; {
		most := h.mostKeys.Load()
		if n <= most || h.mostKeys.CompareAndSwap(most, n) {
			break
		}
	}
	return h.closings.note(id, generation(old), generation(current), h.revoke(old, current))
}

// RemoveApp forgets an app and closes its sessions, whose number it returns.
func (h *Hub) RemoveApp(id string) (closed int) {
	h.appsMu.Lock()
	t := h.apps[id]
	delete(h.apps, id)
	h.appsMu.Unlock()
	if t == nil {
		return 0
	}
	h.traffic.forget(id)
	t.removed.Store(true)
	return h.closings.note(id, generation(t.inForce()), 0, h.revoke(t.inForce(), nil))
}

// inForce returns the app's keys, the current one first.
func (t *tenant) inForce() []*key {
	if keys := t.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// reuse returns the key of old that equals k, or a new one.
func (t *tenant) reuse(old []*key, k Key) *key {
	for _, have := range old {
		if have.Generation == k.Generation && have.Secret.Equal(k.Secret) {
			return have
		}
	}
	return &key{Key: k, tenant: t}
}

// revoke closes the sessions under the keys of old that are not in current.
func (h *Hub) revoke(old, current []*key) (closed int) {
	gone := make(map[*key]bool)
	for _, k := range old {
		gone[k] = true
	}
	for _, k := range current {
		delete(gone, k)
	}
	for k := range gone {
		// Before the sessions are looked at: a registration that is under way
		// looks at this mark after it has entered the index, so one of the two
		// sees the other.
		k.revoked.Store(true)
	}
	any := false
	for k := range gone {
		// Those that are away do not count, and end only with their app.
		any = any || k.sessions.Load() > 0 || k.tenant.removed.Load()
	}
	if !any {
		return 0
	}
	return h.closeRevoked()
}

// closeRevoked closes the sessions whose key is no longer in force, and counts them.
// While the hub is frozen it closes none: TakeBack or another hub's TakeOver does.
func (h *Hub) closeRevoked() (closed int) {
	for _, s := range h.snapshot() {
		if h.closeIfRevoked(s) {
			closed++
		}
	}
	return closed
}

// app returns the app with that id, in any letter case, or nil.
func (h *Hub) app(id string) *tenant {
	h.appsMu.RLock()
	defer h.appsMu.RUnlock()
	if t := h.apps[id]; t != nil {
		return t
	}
	return h.apps[strings.ToLower(id)]
}

// Frozen reports whether the sessions are being handed over: nothing can be done with them.
func (h *Hub) Frozen() bool { return h.frozen.Load() }

// snapshot returns the connections there are, registered or not.
func (h *Hub) snapshot() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		all = append(all, s)
	}
	return all
}

// Shutdown stops accepting, lets the queues drain until ctx ends, closes every
// session and waits for all goroutines. It returns ctx's error if frames were
// left undelivered. Calling it again does nothing more. After HandOver it leaves the
// sessions alone, and what waits to be published reaches nobody.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	for ln := range h.listeners {
		ln.Close()
	}
	h.mu.Unlock()
	if h.frozen.Load() {
		// The sessions are another hub's.
		if h.left.CompareAndSwap(false, true) {
			h.silent = true
			h.publishing.Unlock()
			h.refusals.Close()
			h.watch.close()
		}
		return nil
	}
	h.endPublishing()

	err := h.Drain(ctx)
	for _, s := range h.snapshot() {
		h.closeSession(s, closedShutdown)
	}
	h.stop()
	h.watch.close()
	h.refusals.Close()
	return err
}

// Drain waits until there is nothing left to write, or ctx ends, whose error it
// returns then.
func (h *Hub) Drain(ctx context.Context) error {
	for h.writing.Load() > 0 {
		select {
		case <-h.drained:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Settle waits until there is nothing left to write that a peer takes at once, or ctx ends.
// Peers that do not read are not waited for.
func (h *Hub) Settle(ctx context.Context) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for h.writing.Load() > h.waiting.Load() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the goroutines of a hub whose sessions are closed or frozen.
func (h *Hub) stop() {
	h.mu.Lock()
	first := !h.stopped
	h.stopped = true
	h.mu.Unlock()
	if first {
		for _, f := range h.flushers {
			f.stop()
		}
		h.watch.stop()
		close(h.tidy)
		h.stopAsking()
	}
	h.goroutines.Wait()
}
