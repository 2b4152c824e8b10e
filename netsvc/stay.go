package netsvc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// stay is one time that the daemon is in the cluster: its node, which carries messages, and
// the bucket, which keeps the apps the same. They know of each other by the functions here.
// When a hand-over is taken back another stay begins with the same node: whoever still has the
// one before has what has ended.
type stay struct {
	m *membership
	*ownNode
	bucket  *bucket.Bucket
	stop    context.CancelFunc // ends the bucket
	stopped chan struct{}      // closed when it has ended
	names   *namesTaker
	asked   *askedByNodes
	served  chan struct{}   // closed when nothing of asked is accepted any more
	seen    map[string]bool // names of the peers at the last look
	roundTrips
}

// ownNode is the node of this daemon, with what the node calls back.
type ownNode struct {
	node    *cluster.Node
	mover   *moving.Mover
	logger  *slog.Logger
	started chan struct{} // closed when there is a node
	reached chan struct{} // closed when it is connected the first time; see setConnected
	once    sync.Once     // closes it

	mu        sync.Mutex
	connected bool
	ready     *bucket.Bucket // nil: it is not made yet, for it needs the node
}

func newStay(m *membership, own *ownNode) *stay {
	return &stay{m: m, ownNode: own, stopped: make(chan struct{}), seen: make(map[string]bool)}
}

// enter makes the node and its bucket.
func (m *membership) enter(id cluster.NodeID) (*stay, error) {
	st, err := m.start(id, false)
	if err != nil {
		return nil, err
	}
	if err := st.keepApps(); err != nil {
		st.node.Close()
		return nil, err
	}
	return st, nil
}

// start makes the node; as a successor it does nothing before it is adopted.
func (m *membership) start(id cluster.NodeID, successor bool) (*stay, error) {
	s, c := m.server, m.server.settings.Load()
	own := &ownNode{logger: s.logger, reached: make(chan struct{}), started: make(chan struct{})}
	own.mover = own.newMover(s.hub)
	var err error
	own.node, err = cluster.Start(cluster.Options{
		NATS: natsOf(c), Cluster: c.ClusterName, Name: m.name, ID: id, Version: s.options.Version,
		Keys: m.keys.Load(), Wait: c.ClusterWait, Successor: successor,
		Deliver: func(origin moving.Origin, appID string, to wire.Recipient, plaintext []byte,
			settled func(cluster.Reach)) (cluster.Reach, bool) {
			reach, held := s.hub.PublishFrom(origin, appID, to, plaintext,
				func(reach hub.Reach) { settled(cluster.Reach(reach)) })
			return cluster.Reach(reach), held
		},
		Answer: own.answer, Confirmed: own.confirmed,
		Sessions: func() int { return s.hub.Stats().Sessions },
		Revision: own.revision, Told: own.told,
		Connected:    func(*nats.Conn) { own.setConnected(true) },
		Disconnected: func(error) { own.setConnected(false) },
		AsyncError:   own.asyncError,
		PeerChanged: func(peer string, change cluster.PeerChange) {
			s.history.NodeChanged(peer, history.Change(change))
		},
		Logger: s.logger,
	})
	if err != nil {
		return nil, err
	}
	close(own.started)
	return newStay(m, own), nil
}

// keepApps makes the bucket.
func (st *stay) keepApps() (err error) {
	m, s, c := st.m, st.m.server, st.m.server.settings.Load()
	st.bucket, err = bucket.New(bucket.Options{
		Cluster: c.ClusterName, Node: m.name, Keys: m.keys.Load, Replicas: c.ClusterReplicas,
		Conn: st.node.Conn(), Apps: s.apps,
		Apply: s.applyAgreed, Live: st.live, PeerKeys: st.peerKeys, Notify: st.notify, Applied: st.applied,
		Backup: s.backUpApps,
		Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("preparing for the apps of the cluster: %w", err)
	}
	st.begin()
	return nil
}

// begin has the bucket told of the connection, and run, and control requests of other nodes
// answered.
func (st *stay) begin() {
	st.mu.Lock()
	st.ready = st.bucket
	if st.connected {
		st.bucket.Connected()
	}
	st.mu.Unlock()
	var ctx context.Context
	ctx, st.stop = context.WithCancel(context.Background())
	go func() {
		defer close(st.stopped)
		st.bucket.Run(ctx)
	}()
	s := st.m.server
	st.names = newNamesTaker(st)
	asked, served := listenToNodes(st.node, s.logger), make(chan struct{})
	st.asked, st.served = asked, served
	go func() {
		defer close(served)
		if err := s.control.ServeNodes(asked); err != nil {
			s.logger.Error("control requests of other nodes are not answered any more", slog.Any("error", err))
		}
	}()
}

// end leaves the cluster, in a second or so: what the bucket waits for ends with the
// connection.
func (st *stay) end() {
	st.rest()
	st.node.Close()
	<-st.stopped
}

// rest ends what begin began but for what the bucket waits for.
func (st *stay) rest() {
	st.stop()
	st.names.end()
	st.asked.Close()
	<-st.served
}

func (own *ownNode) setConnected(connected bool) {
	own.mu.Lock()
	defer own.mu.Unlock()
	own.connected = connected
	if connected {
		own.once.Do(func() { close(own.reached) })
	}
	switch {
	case own.ready == nil:
	case connected:
		own.ready.Connected()
	default:
		own.ready.Disconnected()
	}
}

// made is the bucket; nil: it is not made yet.
func (own *ownNode) made() *bucket.Bucket {
	own.mu.Lock()
	defer own.mu.Unlock()
	return own.ready
}

func (own *ownNode) asyncError(err error) {
	if b := own.made(); b != nil {
		b.AsyncError(err)
	}
}

func (own *ownNode) told(from cluster.Peer, kind seal.Kind, body []byte) {
	if b := own.made(); b != nil {
		b.Told(from.Name, kind, body)
	}
}

func (own *ownNode) revision() uint64 {
	if b := own.made(); b != nil {
		return b.Revision()
	}
	return 0
}

// live is the names of the peers that are live.
func (st *stay) live() []string {
	var names []string
	for _, p := range st.node.Status().Peers {
		if p.State == cluster.PeerLive {
			names = append(names, p.Name)
		}
	}
	return names
}

// peerKeys is with which key each peer that is live seals, by its name.
func (st *stay) peerKeys() map[string]seal.KeyID {
	keys := make(map[string]seal.KeyID)
	for _, p := range st.node.Status().Peers {
		if p.State == cluster.PeerLive {
			keys[p.Name] = p.Key
		}
	}
	return keys
}

func (st *stay) notify(key string, revision uint64) {
	st.node.Tell(seal.Epoch{}, seal.KindChanged, bucket.Notice(key, revision))
}

func (st *stay) applied(peer, key string, revision uint64, closed int) {
	for _, p := range st.node.Status().Peers {
		if p.Name == peer && p.State != cluster.PeerLost {
			st.node.Tell(p.Epoch, seal.KindApplied, bucket.Confirmation(key, revision, closed))
		}
	}
}

// look tells the bucket what peers know, and which of them are gone. It is called about once
// a second.
func (st *stay) look() {
	seen, peers := make(map[string]bool), st.node.Status().Peers
	for _, p := range peers {
		if p.State != cluster.PeerLost {
			seen[p.Name] = true
			st.bucket.PeerRevision(p.Name, p.Revision)
		}
	}
	for name := range st.seen {
		if !seen[name] {
			st.bucket.PeerLost(name)
		}
	}
	st.seen = seen
	st.names.look(peers)
	st.measure(st.node.Conn())
}

// enterPatience is how long a change waits for a daemon that has just been started to enter
// the cluster. With the 10 s that the bucket may take, and the 2 s for the other nodes, the answer
// comes before the clients of the control channel give up, after 15 s.
const enterPatience = 2 * time.Second

// agree is app.Registry.AgreeBy's.
func (m *membership) agree(ctx context.Context, c app.Change) error {
	if m.current() == nil {
		select {
		case <-m.entered:
		case <-time.After(enterPatience):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if st := m.current(); st != nil {
		return st.bucket.Agree(ctx, c)
	}
	return &bucket.ProblemError{Code: bucket.NotConnected}
}

// applyAgreed has changes that the nodes have agreed on applied, and returns how many sessions
// each of them has closed. It is called from one goroutine at a time.
func (s *Server) applyAgreed(changes []app.Change) (closed []int, err error) {
	s.telling.Lock()
	s.closed = make(map[string]int)
	s.telling.Unlock()
	err = s.apps.Apply(changes...)
	s.telling.Lock()
	defer s.telling.Unlock()
	for _, c := range changes {
		closed = append(closed, s.closed[c.ID])
	}
	s.closed = nil
	return closed, err
}

// backUpApps keeps a copy of the database beside it, before its apps are replaced by those of
// the cluster.
func (s *Server) backUpApps() error {
	content, err := s.apps.Backup()
	if err != nil {
		return err
	}
	path := fmt.Sprintf("%s.before-cluster-%s", s.DatabasePath(), time.Now().Format("20060102-150405"))
	if err := files.WriteNew(path, content); err != nil {
		return fmt.Errorf("keeping a copy of the database: %s: %w", path, files.WithoutPath(err))
	}
	s.logger.Warn("a copy of the database is kept, for its apps are replaced by those of the cluster",
		slog.String("path", path))
	return nil
}
