package netsvc

import (
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
)

// This file is the node of a cluster on its way to the next process. The other nodes wait for
// it, and do not take it for another. The numbers in its comments are those of handover.go.

const (
	// connectPatience is how long a successor waits for NATS before it says hello: what comes
	// while it is not connected is asked for later.
	connectPatience = time.Second
	// restartPatience is how long sessions wait for NATS after a restart: whoever sends before
	// is told that all other nodes may lack his message.
	restartPatience = 300 * time.Millisecond
)

// identity is what both processes of a hand-over call the node; empty: the daemon is no part
// of a cluster at present.
func (m *membership) identity() string {
	if m == nil || m.current() == nil {
		return ""
	}
	id := m.server.apps.Membership().Node
	return m.server.settings.Load().ClusterName + "/" + hex.EncodeToString(id[:])
}

// prepare has the node of the process before hold what comes until its turn (2). It returns
// what it was called by, or nothing if this process will not be that node.
func (m *membership) prepare(identity string) string {
	name, id, _ := strings.Cut(identity, "/")
	if m == nil || identity == "" || name != m.server.settings.Load().ClusterName {
		return ""
	}
	var nodeID cluster.NodeID
	if n, err := hex.Decode(nodeID[:], []byte(id)); err != nil || n != len(nodeID) {
		return ""
	}
	st, err := m.start(nodeID, true)
	if err != nil {
		m.notJoined(err)
		return ""
	}
	m.handing = st
	st.awaitNATS(connectPatience)
	return identity
}

// awaitNATS returns when the node has been connected, at the latest after a while.
func (st *stay) awaitNATS(patience time.Duration) {
	select {
	case <-st.reached:
	case <-time.After(patience):
	}
}

// aboutToHandOver is called before the sessions are frozen: then nothing waits for a NATS that does
// not answer.
func (m *membership) aboutToHandOver() {
	if m == nil {
		return
	}
	if node := m.inHand(); node != nil {
		node.Probe()
	}
}

// handOver writes the node down for the next process, and ends what this one does for it, until
// rejoin or dismiss; nil: the daemon is in no cluster. What the node has taken from others is
// in the queues then.
func (m *membership) handOver() *cluster.HandedOver {
	if m == nil {
		return nil
	}
	st := m.takeStay()
	if st == nil {
		return nil
	}
	m.mu.Lock()
	m.handing = st
	m.mu.Unlock()
	st.rest()
	handed := st.node.HandOver()
	m.server.node.Store(nil)
	return handed
}

// adopt goes on with the node of the process before. Without a database to serve from it
// cannot: then that is lost to the others, and keep enters the cluster when there is one.
func (m *membership) adopt(handed *cluster.HandedOver) {
	if m == nil {
		return
	}
	m.mu.Lock()
	st := m.handing
	m.outside = time.Now() // the process before was in the cluster until now
	m.mu.Unlock()
	st = m.goOnWith(st, handed)
	m.mu.Lock()
	m.stay, m.handing = st, nil // at once, for the sessions are served already
	m.mu.Unlock()
	if st != nil {
		m.server.node.Store(st.node)
	}
}

// goOnWith goes on with the node of the process before, for which prepare made st perhaps; nil: it
// cannot.
func (m *membership) goOnWith(st *stay, handed *cluster.HandedOver) *stay {
	if handed == nil || m.server.apps.Unavailable() != nil {
		if st != nil {
			st.node.Close()
		}
		return nil
	}
	if st == nil { // of a process that has ended before this one began
		var id cluster.NodeID
		copy(id[:], handed.ID)
		var err error
		if st, err = m.start(id, true); err != nil {
			m.notJoined(err)
			return nil
		}
		m.mu.Lock()
		m.handing = st
		m.mu.Unlock()
		st.awaitNATS(restartPatience)
	}
	if err := st.node.Adopt(handed); err != nil {
		m.server.logger.Warn("this node begins anew in the cluster", slog.Any("error", err))
	}
	if err := st.keepApps(); err != nil {
		st.node.Close()
		m.notJoined(err)
		return nil
	}
	return st
}

// rejoin goes on with the node after a hand-over that failed, with messages at once; keep
// sees to the apps. One that has left enters the cluster again.
func (m *membership) rejoin() {
	if m == nil {
		return
	}
	m.mu.Lock()
	st := m.handing
	m.mu.Unlock()
	if st != nil {
		st.node.TakeBack()
		m.server.node.Store(st.node)
	}
	m.mu.Lock()
	m.left = false // from now on keep may go on
	m.mu.Unlock()
	wake(m.wake)
}

// endWaiting has senders wait for no other node any more; those who do are answered. It holds until the
// node is taken back.
func (m *membership) endWaiting() {
	if m == nil {
		return
	}
	if node := m.inHand(); node != nil {
		node.EndWaiting()
	}
}
