package netsvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// ClusterError says which setting keeps the daemon from being a node of a cluster. It wraps
// a *seal.KeyError, a *cluster.FileError or a *HostNameError.
type ClusterError struct {
	Setting string
	Err     error
}

func (e *ClusterError) Error() string { return fmt.Sprintf("joining the cluster: %v", e.Err) }
func (e *ClusterError) Unwrap() error { return e.Err }

// HostNameError says that the name of the machine is none that a node can have.
type HostNameError struct{ Name string }

func (e *HostNameError) Error() string {
	return fmt.Sprintf("the machine's name %q is no name for a node: set cluster_node", e.Name)
}

// LookAtCluster reads what the settings need of a node of a cluster, but does not connect. It
// does nothing for a single node. The error is a *ClusterError.
func LookAtCluster(c *config.Config) error {
	_, err := newMembership(nil, c)
	return err
}

// clusterKeys reads the key file.
func clusterKeys(c *config.Config) (*seal.Keys, error) {
	keys, err := seal.ReadKeys(c.ClusterKey)
	if err != nil {
		return nil, &ClusterError{"cluster_key", err}
	}
	return keys, nil
}

// natsOf is how the settings say that NATS is to be connected to.
func natsOf(c *config.Config) cluster.NATS {
	return cluster.NATS{Servers: c.ClusterNATS, Credentials: c.ClusterCredentials, CA: c.ClusterCA,
		Certificate: c.ClusterCertificate, CertificateKey: c.ClusterCertificateKey}
}

// settingOf is the setting that names a file.
func settingOf(c *config.Config, path string) string {
	switch path {
	case c.ClusterCredentials:
		return "cluster_credentials"
	case c.ClusterCA:
		return "cluster_ca"
	case c.ClusterCertificateKey:
		return "cluster_certificate_key"
	}
	return "cluster_certificate"
}

// nodeName is the name of this node: that of the settings, or of the machine.
func nodeName(c *config.Config) (string, error) {
	if c.ClusterNode != "" {
		return c.ClusterNode, nil
	}
	host, err := os.Hostname()
	name, _, _ := strings.Cut(strings.ToLower(host), ".")
	if err != nil || !config.IsNodeName(name) {
		return "", &ClusterError{"cluster_node", &HostNameError{host}}
	}
	return name, nil
}

// membership is the daemon as a node of a cluster. A single node has none.
//
// It is in the cluster from when the database is open until the sessions are handed over or
// the end; between, keep sees to it. Without NATS it is in the cluster, too, and cut off.
type membership struct {
	server *Server
	name   string // of this node
	keys   atomic.Pointer[seal.Keys]
	wake   chan struct{} // wakes keep

	entered chan struct{} // closed when the daemon has entered the cluster the first time
	once    sync.Once     // closes it

	mu      sync.Mutex
	left    bool      // it is not to be in the cluster
	outside time.Time // since when it is not
	stay    *stay     // nil: it is not
	handing *stay     // of a hand-over: of the process before, or for the next one; nil: there is none
	failed  error     // why it could not join
	state   nodeState
}

// newMembership returns nil for a single node. The error is a *ClusterError.
func newMembership(s *Server, c *config.Config) (*membership, error) {
	if len(c.ClusterNATS) == 0 {
		return nil, nil
	}
	keys, err := clusterKeys(c)
	if err != nil {
		return nil, err
	}
	name, err := nodeName(c)
	if err != nil {
		return nil, err
	}
	connection := natsOf(c)
	if err := connection.Check(); err != nil {
		file, _ := errors.AsType[*cluster.FileError](err)
		return nil, &ClusterError{settingOf(c, file.Path), err}
	}
	m := &membership{server: s, name: name, wake: make(chan struct{}, 1), entered: make(chan struct{}),
		outside: time.Now()}
	m.keys.Store(keys)
	return m, nil
}

// keep has the daemon be in the cluster until ctx ends, and the bucket know what peers tell.
func (m *membership) keep(ctx context.Context) error {
	const look = time.Second // as often as peers tell
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if st := m.current(); st != nil {
			st.look()
		} else if err := m.join(ctx); err != nil {
			m.notJoined(err)
		}
		m.standing() // notes since when
		select {
		case <-tick.C:
		case <-m.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// notJoined says once why the cluster could not be joined.
func (m *membership) notJoined(err error) {
	m.mu.Lock()
	told := m.failed != nil && m.failed.Error() == err.Error()
	m.failed = err
	m.mu.Unlock()
	if told || errors.Is(err, app.ErrHandingOver) || errors.Is(err, context.Canceled) {
		return
	}
	m.server.logger.Error("the cluster cannot be joined: only this node's own sessions are served, and apps cannot be changed",
		slog.Any("error", err))
}

// cannotJoin reports whether the cluster could not be joined when that was tried last.
func (m *membership) cannotJoin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed != nil
}

// current is what there is of the cluster at present; nil: the daemon is not in it.
func (m *membership) current() *stay {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stay
}

// join enters the cluster, unless the daemon has left it.
func (m *membership) join(ctx context.Context) error {
	m.mu.Lock()
	left, handing := m.left, m.handing
	m.mu.Unlock()
	switch {
	case left:
		return nil
	case handing != nil:
		return m.resume(ctx, handing)
	}
	id, err := m.nodeID(ctx)
	if err != nil {
		return err
	}
	st, err := m.enter(id)
	if err != nil {
		return err
	}
	m.mu.Lock()
	left = m.left
	if !left {
		m.stay, m.failed = st, nil
		m.server.node.Store(st.node)
	}
	m.mu.Unlock()
	if left { // meanwhile
		st.end()
		return nil
	}
	m.once.Do(func() { close(m.entered) })
	return nil
}

// nodeID is the id that the database gives this node. Where the disk does not answer, its
// making may outlive ctx.
func (m *membership) nodeID(ctx context.Context) (id cluster.NodeID, err error) {
	apps := m.server.apps
	if known := apps.Membership().Node; known != [16]byte{} {
		return cluster.NodeID(known), nil
	}
	made := make(chan struct{})
	go func() {
		defer close(made)
		given, ensureErr := apps.EnsureNode()
		id, err = cluster.NodeID(given), ensureErr
	}()
	select {
	case <-made:
		return id, err
	case <-ctx.Done():
		return cluster.NodeID{}, ctx.Err()
	}
}

// leave says goodbye to the other nodes, before the hub does not take messages any more.
// From then on only the own sessions are served, until rejoin.
func (m *membership) leave() {
	if m == nil {
		return
	}
	if st := m.takeStay(); st != nil {
		m.server.node.Store(nil)
		st.end()
	}
}

// takeStay has the daemon not be in the cluster, and returns what there was of it; nil: nothing.
func (m *membership) takeStay() *stay {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.stay
	if st == nil {
		st = m.handing // was taken back, and does not keep the apps yet
	}
	m.left, m.stay, m.handing, m.outside = true, nil, nil, time.Now()
	return st
}

// resume goes on to keep the apps of a node that was taken back, unless the node is handed over again
// meanwhile, or leaves.
func (m *membership) resume(ctx context.Context, before *stay) error {
	select {
	case <-before.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left || m.handing != before {
		return nil
	}
	st := newStay(m, before.ownNode)
	if err := st.keepApps(); err != nil {
		return err
	}
	m.stay, m.handing, m.failed = st, nil, nil
	return nil
}

// dismiss ends this process's part in a node that was handed over.
func (m *membership) dismiss() {
	if m == nil {
		return
	}
	m.mu.Lock()
	st := m.handing
	m.handing = nil
	m.mu.Unlock()
	if st != nil {
		st.node.Close() // without a goodbye
	}
}

// useKeys seals and opens with other keys from now on.
func (m *membership) useKeys(keys *seal.Keys) {
	m.keys.Store(keys)
	if node := m.inHand(); node != nil {
		node.UseKeys(keys)
	}
	if st := m.current(); st != nil {
		st.bucket.KeysChanged()
	}
}

// setWait sets how long a sender waits for the other nodes.
func (m *membership) setWait(wait time.Duration) {
	if m == nil {
		return
	}
	if node := m.inHand(); node != nil {
		node.SetWait(wait)
	}
}

// inHand is the node of this daemon, also one that is being handed over: it may be taken back; nil: there is
// none.
func (m *membership) inHand() *cluster.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stay != nil:
		return m.stay.node
	case m.handing != nil:
		return m.handing.node
	}
	return nil
}

// forControl is what an administrator has to do with the other nodes; nil: there are none.
func (m *membership) forControl() *server.Membership {
	if m == nil {
		return nil
	}
	return &server.Membership{
		Settle: func(ctx context.Context, appID string) (pending []string, closed int) {
			if st := m.current(); st != nil {
				settled := st.bucket.Settle(ctx, appID)
				return settled.Pending, settled.Closed
			}
			return nil, 0
		},
		TakeNames: m.takeNames,
		Merge:     func(ctx context.Context) error { return m.decide(ctx, (*bucket.Bucket).Merge) },
		Take:      func(ctx context.Context) error { return m.decide(ctx, (*bucket.Bucket).Take) },
		Restore:   func(ctx context.Context) error { return m.decide(ctx, (*bucket.Bucket).Restore) },
		Forget: func(node string) bool {
			st := m.current()
			return st != nil && st.node.Forget(node)
		},
	}
}

// decide has the bucket do what an administrator has decided about the apps.
func (m *membership) decide(ctx context.Context, do func(*bucket.Bucket, context.Context) error) error {
	alone := &bucket.ProblemError{Code: bucket.NotConnected}
	st := m.current()
	if st == nil {
		return alone
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-st.stopped: // the sessions are handed over
			cancel(alone)
		case <-ctx.Done():
		}
	}()
	err := do(st.bucket, ctx)
	if err != nil && errors.Is(context.Cause(ctx), alone) {
		return alone
	}
	return err
}

// othersUnknown stands for the nodes of which this one does not know yet.
const othersUnknown = "?"

// publish has a message delivered to the sessions of all nodes. One that has just been started
// may not have heard of all of them.
func (s *Server) publish(ctx context.Context, appID string, to wire.Recipient, m wire.Message) hub.Delivery {
	node := s.node.Load()
	var unknown []string
	if s.membership != nil && (node == nil || !node.Ready()) {
		unknown = append(unknown, othersUnknown)
	}
	if node == nil || node.Alone() {
		d := s.hub.Alone(ctx, appID, to, m)
		d.Unconfirmed = unknown
		return d
	}
	d := node.Publish(appID, to, m.AppendJSON(nil))
	if d.Own == 0 && !d.Held { // else it is counted
		s.hub.CountElsewhere(appID, to, d.Sessions)
	}
	return hub.Delivery{Reach: hub.Reach{Sessions: d.Sessions, Waiting: d.Waiting},
		Unconfirmed: append(unknown, d.Unconfirmed...)}
}
