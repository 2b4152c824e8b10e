package bucket

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Options are what a bucket needs. All of them are required, but for those that say otherwise.
type Options struct {
	Cluster string            // setting cluster_name
	Node    string            // setting cluster_node
	Keys    func() *seal.Keys // those in force
	// Replicas are of the bucket, if this node makes it; 0: three if there are enough
	// servers, else one.
	Replicas int
	Conn     *nats.Conn
	Apps     *app.Registry
	// Apply has the registry apply changes, and returns how many sessions each of them
	// closed; nil: none. It is called from one goroutine at a time; behind a disk that
	// stalls it may outlive Run.
	Apply func(changes []app.Change) (closed []int, err error)
	// Live is the names of the peers that are live. It, PeerKeys, Notify and Applied must not
	// block.
	Live func() []string
	// PeerKeys is with which key each peer that is live seals, by its name; nil: as this node.
	PeerKeys func() map[string]seal.KeyID
	// Notify tells all peers that a key has that revision, by a [Notice]; they call
	// [Bucket.Told].
	Notify func(key string, revision uint64)
	// Applied tells a peer, who put that revision, that it holds here, by a
	// [Confirmation]; it calls [Bucket.Told].
	Applied func(peer, key string, revision uint64, closed int)
	// Backup keeps a copy of the database before its apps are replaced.
	Backup func() error
	Logger *slog.Logger
	Clock  Clock // the system's if zero
	// RequestTime bounds one request to JetStream, by the system's clock; 0: 2 s.
	RequestTime time.Duration
}

// Clock is what time it is, for all but the requests to NATS.
type Clock struct {
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

const (
	requestTime    = 2 * time.Second       // for one request to JetStream, and the longest pause before it is made again
	changeTime     = 10 * time.Second      // for a change, in trouble
	noticeTime     = 50 * time.Millisecond // for the watch to bring what a peer has put
	lackTime       = 2 * time.Second       // for the watch to bring what is known to be there
	settleTime     = 2 * time.Second       // for peers to take over a change
	stallTime      = time.Second           // for the disk, when the node leaves the cluster
	firstPause     = 50 * time.Millisecond // before something is tried again, doubling
	lastPause      = 30 * time.Second      // when it doubles no more
	goodWatch      = 30 * time.Second      // a watch that lasts as long begins with the first pause again
	maxStrange     = 20                    // entries of which nothing concerns a node that are logged
	maxNotices     = 10_000                // that wait for the watch; a new watch brings what does not fit
	patiencePauses = 5                     // so many times the last pause is a request for a watch given
	maxBatch       = 1000                  // entries that are stored in one transaction
)

// State is how a node stands to the bucket.
type State string

// The states of a bucket.
const (
	Joining State = "joining" // not there yet, or nothing is known
	Live    State = "live"    // apps are the same as those of the other nodes
	Out     State = "refused" // somebody has to decide something first
)

// Status is what is known of a bucket.
type Status struct {
	State    State
	Problem  *ProblemError // nil: none. A live node may have one, which keeps it from changes
	Revision uint64        // the newest one that is known
	// RolledBack are the ids of apps of which the bucket has an older state than this
	// node, or none: NATS has lost what it had acknowledged.
	RolledBack []string
	Unapplied  int    // records that the database did not take yet
	Ignored    uint64 // markers of deletions and records that cannot be read
	Watches    uint64 // how often a watch was begun
	Replicas   int    // of the bucket; 0: it was not found yet
	// Few is why this node has made the bucket with one replica, when it was to be three if
	// possible; nil: it has not.
	Few     error
	Sealing Sealing
}

// record is the newest one under a key.
type record struct {
	agreedChange // of version 0: a marker, or it cannot be read
	revision     uint64
	applied      bool
	owed         []notice // of earlier revisions, which are in this one
}

// maxOwed bounds the peers that are answered about revisions that were overtaken.
const maxOwed = 100

// owe has a peer that put an earlier revision know when this one is applied.
func (r *record) owe(n notice) {
	if n.revision < r.revision && len(r.owed) < maxOwed {
		r.owed = append(r.owed, n)
	}
}

// Bucket keeps the apps of a registry the same as those of other nodes. Its methods may be
// called concurrently.
type Bucket struct {
	o  Options
	js jetstream.JetStream

	wake     chan struct{} // something was changed that Run looks at
	commands chan *command
	pending  *command       // that Run is to work off; used by it alone
	applying sync.Mutex     // held while records are applied
	deleting sync.WaitGroup // consumers of old watches
	ended    chan struct{}  // closed when Run has ended

	mu        sync.Mutex
	moved     chan struct{} // closed and made anew when something has changed that Agree waits for
	state     State
	problem   *ProblemError
	denied    string // subject that was refused last
	connected bool
	since     time.Time        // when connected became so
	renew     bool             // the connection was made anew
	giveUp    func()           // what is asked on the one before; nil: nothing is
	handle    jetstream.Stream // of the last watch; nil: there was none
	meta      *metaRecord
	metaAt    uint64                // revision of what is under keyMeta, readable or not
	metaWhy   error                 // why the newest of it cannot be read; nil: it can
	stale     map[string]seal.KeyID // what is sealed with another key than seals now, and with which
	readWith  *seal.Keys            // the keys that all records were read with
	phase     phase                 // of sealing it again
	few       error                 // why this node made the bucket with one replica; nil: it did not
	records   map[string]*record
	unapplied map[string]bool
	forked    map[string]bool // ids: the bucket has something else under the same version
	later     map[string]bool // ids: only a later version of the program can read what the bucket has
	highest   uint64          // revision that is known
	watched   uint64          // revision up to which the watch has brought everything
	told      map[string]uint64
	notices   map[string]notice
	doubted   bool // what is known of the bucket may not be what is there: a new watch tells
	attempts  map[seal.Epoch]*attempt
	changes   map[string][]*collection
	unsettled []*collection // that were put, in that order
	ignored   uint64
	logged    map[string]uint64 // revisions, by key
	strange   uint64            // entries under keys of which no node knows
	watches   uint64
	// strangeUpTo is the revision of the last of them that was counted.
	strangeUpTo uint64
}

// New returns a bucket that does nothing until [Bucket.Run].
func New(o Options) (*Bucket, error) {
	if o.Clock.Now == nil {
		o.Clock = Clock{time.Now, time.After}
	}
	o.RequestTime = cmp.Or(o.RequestTime, requestTime)
	js, err := jetstream.New(o.Conn)
	if err != nil {
		return nil, err
	}
	return &Bucket{
		o:         o,
		js:        js,
		wake:      make(chan struct{}, 1),
		commands:  make(chan *command),
		ended:     make(chan struct{}),
		moved:     make(chan struct{}),
		state:     Joining,
		since:     o.Clock.Now(),
		records:   make(map[string]*record),
		unapplied: make(map[string]bool),
		forked:    make(map[string]bool),
		later:     make(map[string]bool),
		told:      make(map[string]uint64),
		notices:   make(map[string]notice),
		attempts:  make(map[seal.Epoch]*attempt),
		stale:     make(map[string]seal.KeyID),
		changes:   make(map[string][]*collection),
		logged:    make(map[string]uint64),
	}, nil
}

func (b *Bucket) name() string              { return "pns4ones_" + b.o.Cluster }
func (b *Bucket) stream() string            { return "KV_" + b.name() }
func (b *Bucket) subject(key string) string { return "$KV." + b.name() + "." + key }

// Connected is to be called when there is a connection to NATS, and each time that it was
// made anew.
func (b *Bucket) Connected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connected, b.since = true, b.o.Clock.Now()
	b.beginAnew()
}

// Disconnected is to be called when there is no connection any more.
func (b *Bucket) Disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connected, b.since = false, b.o.Clock.Now()
	b.announce()
}

// KeysChanged is to be called when Options.Keys returns other ones: what could not be opened
// before is read again.
func (b *Bucket) KeysChanged() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beginAnew()
}

// beginAnew has another watch begin at once. The caller holds mu.
func (b *Bucket) beginAnew() {
	b.renew = true
	if b.giveUp != nil {
		b.giveUp()
	}
	b.announce()
}

// AsyncError is to be called with each asynchronous error of the connection: that is all
// that is told of a missing right.
func (b *Bucket) AsyncError(err error) {
	subject, ok := deniedSubject(err)
	if !ok || !strings.Contains(subject, b.name()) && subject != "$JS.API.INFO" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.denied = subject
}

// PeerRevision is to be called with the revision that a heartbeat of a peer tells.
func (b *Bucket) PeerRevision(peer string, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told[peer] == revision {
		return
	}
	b.told[peer] = revision
	if revision > b.watched {
		b.announce()
	}
}

// PeerLost is to be called when a peer is not heard any more.
func (b *Bucket) PeerLost(peer string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.told, peer)
}

// Revision is the newest one that is known here, for heartbeats.
func (b *Bucket) Revision() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.highest
}

// Standing is State and Problem of Status, which cost nothing.
func (b *Bucket) Standing() (State, *ProblemError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.standing()
}

// Status returns what is known.
func (b *Bucket) Status() Status {
	known, others := b.o.Apps.Known(), b.othersSeal()
	b.mu.Lock()
	defer b.mu.Unlock()
	replicas := 0
	if b.handle != nil {
		replicas = b.handle.CachedInfo().Config.Replicas
	}
	return Status{
		Replicas:   replicas,
		State:      b.state,
		Problem:    b.standing(),
		Revision:   b.highest,
		RolledBack: b.rolledBack(known),
		Unapplied:  len(b.unapplied),
		Ignored:    b.ignored,
		Watches:    b.watches,
		Few:        b.few,
		Sealing:    b.sealing(others),
	}
}

// rolledBack is the ids of known apps that the bucket has not, or an older one of. The caller
// holds mu.
func (b *Bucket) rolledBack(known []app.Change) (ids []string) {
	if b.state != Live {
		return nil
	}
	cluster := b.o.Apps.Membership().Cluster
	for _, c := range known {
		r := b.records[keyOf(c.ID)]
		isBehind := r == nil || r.Version < c.Version || r.cluster != cluster
		if c.Version > 0 && isBehind && !b.later[c.ID] || b.forked[c.ID] {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// standing is what is the matter now; nil: nothing. The caller holds mu.
func (b *Bucket) standing() *ProblemError {
	switch {
	case !b.connected:
		return &ProblemError{Code: NotConnected}
	case b.problem == nil && len(b.later) > 0:
		return &ProblemError{Code: Later, Apps: slices.Sorted(maps.Keys(b.later))}
	}
	return b.problem
}

var errNoBucket = errors.New("the bucket was not found yet")

// announce wakes whoever waits for something to change. The caller holds mu.
func (b *Bucket) announce() {
	close(b.moved)
	b.moved = make(chan struct{})
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// setState notes how the node stands. The caller holds mu.
func (b *Bucket) setState(s State, problem *ProblemError) {
	if s == b.state && problem == b.problem {
		return
	}
	told := b.problem != nil && problem != nil && b.problem.Error() == problem.Error()
	b.state, b.problem = s, problem
	b.announce()
	switch {
	case problem != nil && !told:
		b.o.Logger.Warn("the apps are not in agreement with the other nodes", slog.Any("error", problem))
	case problem == nil && s == Live:
		b.o.Logger.Info("the apps are in agreement with the other nodes", slog.Int("apps", len(b.o.Apps.List())))
	}
}

// stand notes the problem that an error is, if it is one. The state stays: who was live goes
// on.
func (b *Bucket) stand(err error) {
	var p *ProblemError
	if !errors.As(err, &p) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setState(b.state, p)
}

// why is what is the matter if JetStream fails with err.
func (b *Bucket) why(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.explain(err)
}

// explain finds out what an error of JetStream means. The caller holds mu.
func (b *Bucket) explain(err error) *ProblemError {
	var problem *ProblemError
	var refusal *jetstream.APIError
	switch {
	case errors.As(err, &problem):
		return problem
	case !b.connected:
		return &ProblemError{Code: NotConnected}
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return &ProblemError{Code: NoJetStream}
	case b.denied != "":
		return &ProblemError{Code: NoRight, Subject: b.denied}
	case errors.As(err, &refusal) && refusal.Code != http.StatusServiceUnavailable: // else too few of its servers are there
		return &ProblemError{Code: Refused, Err: err}
	}
	return &ProblemError{Code: NoAnswer, Err: err}
}

// ask is the context of one request to JetStream.
func (b *Bucket) ask(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.o.RequestTime)
}

// fetch reads the newest message under a key, and notes it. Its revision is 0 if there is none.
func (b *Bucket) fetch(ctx context.Context, key string) (entry, error) {
	ctx, cancel := b.ask(ctx)
	defer cancel()
	b.mu.Lock()
	stream := b.handle
	b.mu.Unlock()
	if stream == nil {
		return entry{}, errNoBucket
	}
	m, err := stream.GetLastMsgForSubject(ctx, b.subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	e, _ := b.entryOf(m.Subject, m.Sequence, m.Header, m.Data)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(e)
	if _, isApp := idOf(key); isApp && b.records[key] == nil {
		b.records[key] = &record{revision: e.revision} // the next one is put over it
	}
	b.announce()
	return e, nil
}
