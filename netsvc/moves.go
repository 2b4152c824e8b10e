package netsvc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// A remembered session may come to any node of a cluster, and goes on there with what another
// one remembers of it: package moving has the rules, package cluster brings questions and
// answers, and the hub has the sessions. They know of each other by the functions here.

// elsewhere is the other nodes of the cluster to the hub.
type elsewhere struct{ m *membership }

// Settled reports whether this node can go on with sessions of others. A daemon that is in no
// cluster for as long as a message may be under way, for its database is away perhaps, serves its own.
func (e elsewhere) Settled() bool {
	m := e.m
	if st := m.moves(); st != nil {
		return st.isStarted() && st.node.Settled()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.left && time.Since(m.outside) > m.server.settings.Load().ClusterWait
}

// errLeft: the sessions are about to be handed over, or end.
var errLeft = errors.New("the daemon has left its cluster")

// Ask asks them for a session.
func (e elsewhere) Ask(ctx context.Context, q moving.Question) (moving.Result, error) {
	st := e.m.moves()
	switch {
	case st != nil && st.isStarted():
		return st.mover.Ask(ctx, q)
	case e.m.hasLeft():
		return moving.Result{}, errLeft
	}
	return moving.Result{}, nil
}

// Confirm tells them that a session goes on here, or has ended.
func (e elsewhere) Confirm(s moving.Session, turn uint64) {
	if st := e.m.moves(); st != nil && st.isStarted() {
		st.mover.Confirm(s, turn)
	}
}

// moves is what there is of the cluster for sessions that move: also while the apps are not kept
// yet, before a hand-over and after one that was taken back; nil: nothing.
func (m *membership) moves() *stay {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stay != nil:
		return m.stay
	case m.left:
		return nil
	}
	return m.handing
}

// hasLeft reports whether the daemon is about to hand its sessions over, or to end.
func (m *membership) hasLeft() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left
}

// newMover returns what asks other nodes for sessions, and answers them. The node is made after it.
func (own *ownNode) newMover(h *hub.Hub) *moving.Mover {
	return moving.New(moving.Options{
		Peers: func() []seal.Epoch { return own.node.Answering() },
		Ask: func(ctx context.Context, peer seal.Epoch, question []byte) ([]byte, error) {
			return own.node.Ask(ctx, peer, question)
		},
		Tell:     func(confirmation []byte) { own.node.Confirm(confirmation) },
		Last:     func() (seal.Epoch, uint64) { return own.node.Last() },
		Seen:     func() moving.Cover { return own.node.Seen() },
		Lacks:    func(seen moving.Cover) bool { return own.node.Lacks(seen) },
		Still:    func(f func(moving.Cover)) { own.node.Still(f) },
		Patience: func() time.Duration { return own.node.Patience() },
		Name:     func(peer seal.Epoch) string { return own.node.NameOf(peer) },
		Look:     h.Look, Freeze: h.Freeze, Drop: h.Drop,
	})
}

// answer answers what another node asks of a session.
func (own *ownNode) answer(ctx context.Context, asker seal.Epoch, question []byte) ([]byte, error) {
	select {
	case <-own.started:
		return own.mover.Answer(ctx, asker, question)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// confirmed takes what another node says of a session that goes on there, or has ended.
func (own *ownNode) confirmed(from seal.Epoch, confirmation []byte) {
	if !own.isStarted() {
		return // this node has no session yet
	}
	if err := own.mover.Confirmed(from, confirmation); err != nil {
		own.logger.Debug("what another node says of a session cannot be read", slog.Any("error", err))
	}
}

// isStarted reports whether there is a node.
func (own *ownNode) isStarted() bool {
	select {
	case <-own.started:
		return true
	default:
		return false
	}
}
