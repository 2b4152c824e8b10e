package netsvc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

// nodeState is how this node stands to the cluster, and since when that is seen.
type nodeState struct {
	state   string // one of control's
	since   time.Time
	problem string // in English; empty: none
}

// standing is how this node stands to the cluster: messages and apps together.
func (m *membership) standing() nodeState {
	st := m.current()
	if st == nil {
		return m.seen(nodeState{state: control.NodeJoining, problem: m.whyNotJoined()})
	}
	n := st.node.Status()
	apps, problem := st.bucket.Standing()
	now := nodeState{state: string(n.State), problem: n.Problem}
	if n.State == cluster.StateLive || n.State == cluster.StateJoining {
		switch {
		case apps == bucket.Out, problem != nil && problem.Code == bucket.NoRight && apps != bucket.Live:
			now = nodeState{state: control.NodeRefused, problem: problem.Error()}
		case apps == bucket.Joining:
			now.state = control.NodeJoining
		}
	}
	now = m.seen(now)
	if n.State == cluster.StateCutOff {
		now.since = n.Since
	}
	return now
}

func (m *membership) whyNotJoined() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		return ""
	}
	return m.failed.Error()
}

// seen notes since when a state is seen.
func (m *membership) seen(now nodeState) nodeState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.since = m.state.since; now.state != m.state.state {
		now.since = time.Now()
	}
	m.state = now
	return now
}

// health is what a monitor or a balancer is told. One that has other nodes to choose from
// asks for this one as a part of the cluster.
func (s *Server) health(asPart bool) (status string, good bool) {
	state := ""
	if s.membership != nil {
		state = s.membership.standing().state
	}
	return control.HealthOf(s.stopping.Load(), state, asPart)
}

// clusterStatus is what there is to know of the cluster; nil: this is a single node.
func (s *Server) clusterStatus() *control.Cluster {
	m := s.membership
	if m == nil {
		return nil
	}
	now, c, member := m.standing(), s.settings.Load(), s.apps.Membership()
	status := &control.Cluster{
		Name: c.ClusterName, Node: m.name, State: now.state, Since: now.since.UTC(), Problem: now.problem,
		Nodes: []control.Node{},
	}
	if member.Cluster != [16]byte{} {
		status.ID = member.Cluster.String()
	}
	if member.Node != [16]byte{} {
		status.NodeID = cluster.NodeID(member.Node).String()
	}
	if st := m.current(); st != nil {
		st.describe(status)
	}
	return status
}

// describe fills in what the node and the bucket know.
func (st *stay) describe(status *control.Cluster) {
	n, apps := st.node.Status(), st.bucket.Status()
	status.AppsRevision = apps.Revision
	switch {
	case apps.Problem != nil:
		status.AppsProblem, status.AppsProblemCode = apps.Problem.Error(), string(apps.Problem.Code)
	case len(apps.RolledBack) > 0:
		status.AppsProblem, status.AppsProblemCode = rolledBack(apps.RolledBack), control.AppsRolledBack
	}
	status.NATS = control.NATS{Servers: n.Servers, Server: n.Server, Reconnects: n.Reconnects, Replicas: apps.Replicas}
	if apps.Few != nil {
		status.NATS.ReplicasProblem = apps.Few.Error()
	}
	sealing := apps.Sealing
	status.Sealing = &control.Sealing{Key: sealing.Key.String(), Done: sealing.Done() && apps.State == bucket.Live,
		OtherRecords: sealing.Others, OtherNodes: sealing.Waiting, Left: sealing.Left}
	if n.State != cluster.StateCutOff {
		status.NATS.Version = st.node.Conn().ConnectedServerVersion()
		status.NATS.RTTSeconds = st.rtt()
		status.NATS.JetStream = answers(apps.Problem)
	}
	status.Nodes = append(status.Nodes, control.Node{
		Name: status.Node, ID: status.NodeID, Epoch: n.Epoch.String(), Version: st.m.server.options.Version,
		State: status.State, Since: status.Since, Sessions: st.m.server.hub.Stats().Sessions, AppsRevision: apps.Revision,
	})
	for _, p := range n.Peers {
		status.Nodes = append(status.Nodes, describePeer(p))
	}
	slices.SortStableFunc(status.Nodes, func(a, b control.Node) int { return strings.Compare(a.Name, b.Name) })
}

func describePeer(p cluster.Peer) control.Node {
	node := control.Node{
		Name: p.Name, ID: p.ID.String(), Version: p.Version, State: string(p.State), Problem: p.Problem,
		Since: p.Since.UTC(), HeardSeconds: p.Heard.Seconds(), Sessions: p.Sessions, AppsRevision: p.Revision,
	}
	if p.Epoch != (seal.Epoch{}) {
		node.Epoch = p.Epoch.String()
	}
	return node
}

// answers reports whether JetStream does, by what is the matter with the apps.
func answers(problem *bucket.ProblemError) bool {
	if problem == nil {
		return true
	}
	switch problem.Code {
	case bucket.NotConnected, bucket.NoAnswer, bucket.NoJetStream:
		return false
	}
	return true
}

// rolledBack says what it means that the bucket has older apps than this node.
func rolledBack(ids []string) string {
	return fmt.Sprintf("NATS has lost what it had acknowledged, and this node has newer apps than the cluster: "+
		"«pns4onesadmin cluster restore» on the node with the newest gives them to all: %s", strings.Join(ids, ", "))
}

// roundTrips measures how far away NATS is.
type roundTrips struct {
	count  int          // of looks; used by keep alone
	latest atomic.Int64 // nanoseconds; 0: not known
}

// measure asks NATS for an answer now and then, and waits for it no longer than a moment.
func (l *roundTrips) measure(conn *nats.Conn) {
	const each, patience = 10, 500 * time.Millisecond
	if l.count++; l.count%each != 1 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	if err := conn.FlushWithContext(ctx); err != nil {
		l.latest.Store(0)
		return
	}
	l.latest.Store(int64(time.Since(began)))
}

// rtt is what was measured last, in seconds; nil: nothing was.
func (l *roundTrips) rtt() *float64 {
	latest := time.Duration(l.latest.Load())
	if latest == 0 {
		return nil
	}
	return new(latest.Seconds())
}

// clusterStats is what metrics tell of the cluster; nil: this is a single node.
func (s *Server) clusterStats() *stats.Cluster {
	m := s.membership
	if m == nil {
		return nil
	}
	c := &stats.Cluster{State: m.standing().state, Peers: make(map[string]int)}
	st := m.current()
	if st == nil {
		return c
	}
	n := st.node.Status()
	for _, p := range n.Peers {
		c.Peers[string(p.State)]++
	}
	c.Messages, c.Reconnects = st.node.Stats(), n.Reconnects
	c.AppsRevision, c.PendingNodes = st.bucket.Revision(), st.behind(n.Peers)
	return c
}

// behind counts the live peers that have not taken over yet what this node knows of the apps.
func (st *stay) behind(peers []cluster.Peer) (count int) {
	revision := st.bucket.Revision()
	for _, p := range peers {
		if p.State == cluster.PeerLive && p.Revision < revision {
			count++
		}
	}
	return count
}
