package cluster

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/stream"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// NodeID names a node over all its lives.
type NodeID [16]byte

// String returns the id in hexadecimal digits.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// Options are what a Node needs.
type Options struct {
	NATS    NATS
	Cluster string        // 1 to 32 of a-z, 0-9, - and _
	Name    string        // of this node, for people; unique in the cluster; 1 to 63 of a-z, 0-9 and -
	ID      NodeID        // unique in the cluster
	Version string        // of the program
	Keys    *seal.Keys    // see UseKeys
	Wait    time.Duration // how long Publish waits for peers; see SetWait
	// Successor: another process is this node yet. It connects and holds what comes until
	// Adopt.
	Successor bool
	// Deliver has a message queued for the sessions of this node. It is called by several
	// goroutines at once; two messages of one infobase in their order. The origin is the same
	// at all nodes; it is zero if no other node gets the message. With held it is not known yet
	// which sessions go on at this node: then settled is told of all, once, perhaps before
	// Deliver returns.
	Deliver func(origin moving.Origin, appID string, to wire.Recipient, plaintext []byte,
		settled func(Reach)) (reach Reach, held bool)
	// Answer answers what a peer asks of a remembered session, and may take its time; Confirmed
	// takes what a peer confirms of one, and must return soon (moving.Mover). nil: nobody asks.
	// They may be called before Start returns.
	Answer    func(ctx context.Context, asker seal.Epoch, question []byte) ([]byte, error)
	Confirmed func(from seal.Epoch, confirmation []byte)
	// Sessions and Revision are what peers are told; nil: 0.
	Sessions func() int
	Revision func() uint64
	// Told gets what a peer says with Tell; nil: nobody does. It must return soon.
	Told func(from Peer, kind seal.Kind, body []byte)
	// Connected is called after each time that the connection was made, Disconnected when it is
	// lost, AsyncError with what NATS says that is the answer to no call: of a missing right
	// nothing else is told, the error names the subject. They are called one after the other,
	// must return soon and not call Close; nil: nothing is called.
	Connected    func(*nats.Conn)
	Disconnected func(error)
	AsyncError   func(error)
	// PeerChanged is told what becomes of a peer, by its name: one change after the other. It
	// must return soon; nil: nobody is told.
	PeerChanged func(peer string, change PeerChange)
	Logger      *slog.Logger // slog.Default()
}

// Reach is for how many sessions a message was queued, and how many of these are away and may
// come back.
type Reach struct{ Sessions, Waiting int }

// timing is what a test would not wait for.
type timing struct {
	beat     time.Duration // from one heartbeat to the next
	lost     time.Duration // a peer is lost after so long a silence
	ask      time.Duration // a silent peer is asked after that, and then each time
	forget   time.Duration // windows of peers that are gone are kept for so long
	absent   time.Duration // lost peers are named for so long
	jump     time.Duration // a wall clock that jumps further begins a new epoch
	handOver time.Duration // a peer that hands over is waited for so long
	back     time.Duration // peers have so long to connect to NATS again when this node has
	rights   time.Duration // it is looked after that whether NATS allows by now what it refused
	gap      time.Duration // messages wait for so long from when the connection was lost
}

var normal = timing{beat: time.Second, lost: 3 * time.Second, ask: 30 * time.Millisecond, forget: 10 * time.Minute,
	absent: time.Hour, jump: 10 * time.Second, handOver: handOverWait,
	back: time.Second, rights: 30 * time.Second, gap: 100 * time.Millisecond}

const (
	// maxInFlight and maxInFlightBytes bound what waits for peers.
	maxInFlight      = 2048
	maxInFlightBytes = 32 << 20
	// maxHeld bounds the bytes of received messages that are not yet worked off, maxLarger
	// those of messages above largeBytes, from their first part on.
	maxHeld   = 64 << 20
	maxLarger = maxMessageBytes
	// maxPeers bounds the epochs that are known.
	maxPeers = 256
	// quickly is the shortest time between two heartbeats.
	quickly = 5 * time.Millisecond
	// leaving is how long the goodbye may take.
	leaving = time.Second
)

// Node is this daemon as a part of a cluster. Its methods may be called concurrently.
type Node struct {
	options Options
	timing  timing
	log     *slog.Logger
	started time.Time // what now counts from
	conn    *nats.Conn
	opener  *seal.Opener
	life    atomic.Pointer[life]
	wait    atomic.Int64 // nanoseconds
	part    atomic.Int64 // bytes of the largest part that NATS takes
	toAll   string       // the subject of messages
	writer  *writer
	counts  counts
	waits   waits
	paces   paces

	places, bytes *semaphore.Weighted // in flight
	larges        *semaphore.Weighted // of these, messages above largeBytes
	sending       sync.Mutex          // held while messages are sealed and put into the queue
	framing       sync.Mutex          // held while frames of streams are
	streams       *stream.Streams
	asks          asks
	answers       answers

	mu          sync.Mutex // nobody who holds it waits for anything: see note
	connected   bool
	connectedAt time.Duration
	cutOffSince time.Time
	reconnected chan struct{} // is closed when there is a connection
	reconnects  uint64
	server      string // that is or was connected to, without what is secret
	denied      string // a right that NATS refuses; empty: none
	strangerKey string // a key that this node does not have, heard of lately
	strangerAt  time.Duration
	readyAt     time.Time
	liveAt      time.Duration // likewise, unless an earlier process was
	hearsSince  time.Duration // all that was sent since then has come or is asked for
	peers       map[seal.Epoch]*peer
	absent      map[NodeID]absentPeer
	departed    map[NodeID]time.Duration // nodes that left or were forgotten, and when
	flights     map[uint64]partOf
	asking      bool          // a timer runs that asks
	hurry       chan struct{} // is closed when messages wait for no peer any more
	company     atomic.Bool
	ready       atomic.Bool // it was live in this epoch; changed under mu

	gate   sync.RWMutex // held for reading while a message is queued for sessions; see Still
	former []formerLife // lately; guarded by mu
	gone   map[seal.Epoch]gonePeer
	untold openVerdicts

	hold    atomic.Int64 // bytes in lanes, but for those of larger
	larger  atomic.Int64 // bytes of messages above largeBytes that are received or worked off
	lanes   []chan job
	seed    maphash.Seed
	closed  bool           // guarded by inside
	deaf    bool           // likewise: the node hands over, nothing is taken
	away    atomic.Bool    // another process is this node: nothing is sent
	mute    atomic.Bool    // NATS did not answer when the node was about to move
	resumed atomic.Int64   // when it last came from another process, or was taken back; 0: never
	jobs    sync.WaitGroup // what is in lanes or not confirmed

	holding   bool       // guarded by inside: what comes is held
	holdingMu sync.Mutex // guards what follows
	held      [][]byte
	heldBytes int

	inside sync.RWMutex // held for reading while lanes are filled or the owner is told something

	subscribing   sync.Mutex // guards what follows
	subscriptions []*nats.Subscription
	hearing       atomic.Pointer[nats.Subscription] // of these, that to what is said to all
	left          bool                              // no more is subscribed to

	notes   chan note
	beatNow chan struct{}
	lookNow chan struct{}
	ending  chan struct{}
	dialing context.Context // ends with stopDialing
	dialed  chan struct{}   // is closed when there may be a connection
	tried   atomic.Bool     // it was begun to connect

	stopDialing context.CancelFunc

	running sync.WaitGroup // the node's goroutines
	laning  sync.WaitGroup // of these, those that work off lanes
	close   sync.Once
}

// life is an epoch of this node.
type life struct {
	epoch  seal.Epoch
	turn   uint16
	began  time.Duration
	sealer *seal.Sealer
	last   atomic.Uint64 // number of the last message
	own    *numbered
	ahead  atomic.Int64 // by how much the wall clock had gained on the monotonic one at the last look
}

// Start makes a node, which connects in the background. It fails if the options cannot be
// right; whatever NATS is like, it starts.
func Start(o Options) (*Node, error) { return start(o, normal) }

func start(o Options, t timing) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Sessions == nil {
		o.Sessions = func() int { return 0 }
	}
	if o.Revision == nil {
		o.Revision = func() uint64 { return 0 }
	}
	n := &Node{
		options: o, timing: t, log: o.Logger, started: time.Now(),
		opener: seal.NewOpener(o.Keys, o.Cluster), writer: newWriter(),
		places: semaphore.NewWeighted(maxInFlight), bytes: semaphore.NewWeighted(maxInFlightBytes),
		larges: semaphore.NewWeighted(1),
		peers:  make(map[seal.Epoch]*peer), absent: make(map[NodeID]absentPeer), flights: make(map[uint64]partOf),
		gone: make(map[seal.Epoch]gonePeer), departed: make(map[NodeID]time.Duration),
		lanes: make([]chan job, min(runtime.GOMAXPROCS(0), 4)), seed: maphash.MakeSeed(),
		notes: make(chan note, maxNotes), beatNow: make(chan struct{}, 1), lookNow: make(chan struct{}, 1),
		ending: make(chan struct{}), dialed: make(chan struct{}), cutOffSince: time.Now(),
	}
	n.dialing, n.stopDialing = context.WithCancel(background)
	n.toAll = n.subject(onMessages)
	n.SetWait(o.Wait)
	n.part.Store(partBytes)
	n.life.Store(n.newLife())
	n.hurry = make(chan struct{})
	n.reconnected = make(chan struct{})
	n.streams = stream.New(n.sendFrame, n.largestFrame)
	n.asks.begin()
	n.answers.begin()
	for i := range n.lanes {
		n.lanes[i] = make(chan job, windowSize)
	}
	if err := n.connect(); err != nil {
		n.streams.Close()
		return nil, err
	}
	subscriptions := n.all()
	if o.Successor {
		n.holding = true
		n.away.Store(true)
		subscriptions = subscriptions[:1] // messages
	}
	if err := n.subscribe(subscriptions...); err != nil {
		n.streams.Close()
		n.stopDialing()
		n.conn.Close()
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	close(n.dialed)
	n.running.Go(func() { n.writer.run(n.now, n.publishOut) })
	n.running.Go(n.keepPresence)
	n.running.Go(n.writeNotes)
	for _, lane := range n.lanes {
		n.laning.Go(func() { n.workOff(lane) })
	}
	return n, nil
}

func (n *Node) newLife() *life {
	epoch := seal.NewEpoch()
	l := &life{epoch: epoch, began: n.now(), own: newNumbered()}
	l.sealer = seal.NewSealer(n.options.Keys, n.options.Cluster, epoch, l.turn)
	l.ahead.Store(int64(n.wallAhead()))
	return l
}

// now is the node's clock, which no setting of the time moves.
func (n *Node) now() time.Duration { return time.Since(n.started) }

// wallAhead is by how much the clock on the wall has gained on that of the node.
func (n *Node) wallAhead() time.Duration {
	now := time.Now()
	return now.Round(0).Sub(n.started.Round(0)) - now.Sub(n.started)
}

// jumped reports whether the clock on the wall has jumped since the last look. Then this
// process may have been set back to an earlier state, and numbers been given already.
func (n *Node) jumped(l *life) bool {
	return (n.wallAhead() - time.Duration(l.ahead.Load())).Abs() > n.timing.jump
}

// say seals a body of any kind but that of messages and has it sent; it reports false if it
// is not. It is of no use after until; 0: it always is.
func (n *Node) say(subject, reply string, kind seal.Kind, body []byte, until time.Duration) bool {
	l := n.life.Load()
	switch {
	case n.away.Load():
		return false
	case n.jumped(l):
		n.lookSoon()
		return false
	}
	envelope, _ := l.sealer.Seal(nil, kind, body)
	return n.writer.put(outgoing{subject: subject, reply: reply, data: envelope, until: until})
}

// soon is until when something is said that is said again anyway.
func (n *Node) soon() time.Duration { return n.now() + n.timing.beat }

// UseKeys seals and opens with other keys from now on.
func (n *Node) UseKeys(keys *seal.Keys) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.options.Keys = keys // for the next life
	n.opener.Use(keys)
	n.life.Load().sealer.Use(keys)
}

// SetWait sets how long Publish waits for peers. They are told at once: what is older they
// must not deliver.
func (n *Node) SetWait(wait time.Duration) {
	n.wait.Store(int64(wait))
	n.beat()
}

// Conn is the connection to NATS, for whatever else is kept there. It is the node's to
// close.
func (n *Node) Conn() *nats.Conn { return n.conn }

// Close says goodbye and ends the node, in a second at most once Deliver has taken what peers
// have sent: that is worked off and confirmed first. Nothing may be published any more. Nothing
// is called back afterwards.
func (n *Node) Close() {
	n.close.Do(func() {
		if !n.isConnected() {
			n.stopDialing() // nats.go holds its lock meanwhile
		}
		n.unsubscribe(true)
		n.inside.Lock()
		n.closed = true
		n.inside.Unlock()
		for _, lane := range n.lanes {
			close(lane)
		}
		n.laning.Wait()
		n.answers.end()
		n.streams.Close()
		close(n.ending)
		n.sayGoodbye() // unless another process is this node
		n.writer.end()
		n.running.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), leaving)
		defer cancel()
		if n.isConnected() {
			if err := n.conn.FlushWithContext(ctx); err != nil {
				n.log.Debug("the goodbye to the cluster may not have been sent", slog.Any("error", err))
			}
		}
		n.stopDialing()
		n.conn.Close()
	})
}

// tellOwner calls back, unless the node is closed.
func (n *Node) tellOwner(call func()) {
	n.inside.RLock()
	defer n.inside.RUnlock()
	if !n.closed {
		call()
	}
}

func (n *Node) isConnected() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.connected
}

// Subjects, after «pns4ones.NAME.».
const (
	onMessages    = "m"
	onHeartbeats  = "h"
	onAnswers     = "i" // .ASKER.ASKED
	onNode        = "n" // .EPOCH. and one of:
	toNode        = "m" // messages sent again
	confirming    = "a"
	asking        = "q"
	streaming     = "s"
	aboutSessions = "o"
)

func (n *Node) subject(after string) string { return "pns4ones." + n.options.Cluster + "." + after }

func (n *Node) subjectOf(epoch seal.Epoch, what string) string {
	return n.subject(onNode + "." + epoch.String() + "." + what)
}
