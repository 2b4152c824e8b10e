package cluster

import (
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// peer is one life of another node. What is not said to be guarded otherwise is guarded by
// the Node's mu.
type peer struct {
	epoch  seal.Epoch
	told   heartbeat
	number uint64        // of the last heartbeat
	key    seal.KeyID    // that one was sealed with
	turn   uint16        // its epoch's, the largest that was heard
	heard  time.Duration // when that was
	// challenge is ours for it, echo its for us. It is proven when it has said ours.
	challenge, echo uint64
	proven          bool
	admitted        bool // its messages are taken
	admits          bool // it takes ours
	silent, lost    bool
	lostAt          time.Duration // when it was lost
	handing         time.Duration // since when it hands over; 0: it does not
	returned        time.Duration // when it was back after that
	noResponders    int           // in a row
	lastFrame       place
	lastSession     place
	met, joined     time.Duration // since when it is on its way in, and when it became live
	asked           time.Duration
	words           [26]few // numbers of what it said, by kind, but for heartbeats and messages
	problem         string
	state           PeerState // as it was told last
	since           time.Time

	sendAgain, confirm, question, answers, frames, sessions string // subjects

	receiving sync.Mutex // guards what follows
	window    window
	ages      ages
	assembly  assembly
}

// absentPeer is a node that was lost.
type absentPeer struct {
	name  string
	since time.Duration
}

// fresh reports whether something the peer said is not played again. The caller holds mu.
func (p *peer) fresh(head seal.Head) bool { return p.words[head.Kind-'a'].take(head.Number) }

// awaitable reports whether messages wait for the peer's word.
func (p *peer) awaitable() bool { return p.live() && !p.silent }

func (p *peer) live() bool { return p.admitted && p.admits && !p.lost }

func (p *peer) stateNow() PeerState {
	switch {
	case p.lost:
		return PeerLost
	case !p.live():
		return PeerJoining
	case p.handing > 0:
		return PeerHandingOver
	case p.silent:
		return PeerSilent
	}
	return PeerLive
}

// newPeer makes the entry of an epoch, for this node in one of its own.
func (n *Node) newPeer(epoch, own seal.Epoch) *peer {
	p := &peer{
		epoch: epoch, challenge: challenge(), since: time.Now(), state: PeerJoining,
		sendAgain: n.subjectOf(epoch, toNode), confirm: n.subjectOf(epoch, confirming),
		question: n.subjectOf(epoch, asking), frames: n.subjectOf(epoch, streaming),
		sessions: n.subjectOf(epoch, aboutSessions), met: n.now(),
		answers: n.subject(onAnswers + "." + own.String() + "." + epoch.String()),
	}
	p.assembly.larges = &n.larger
	return p
}

// noteState logs the state of a peer if it is another one. The caller holds mu.
func (n *Node) noteState(p *peer) {
	state := p.stateNow()
	if state == p.state {
		return
	}
	p.state, p.since = state, time.Now()
	level := slog.LevelInfo
	if state == PeerLost || state == PeerSilent {
		level = slog.LevelWarn
	}
	n.note(level, "node "+string(state), slog.String("node", p.told.name))
	switch state {
	case PeerLive, PeerSilent, PeerLost:
		n.tell(p, PeerChange(state))
	}
}

// heardFrom notes that a peer has said something other than a heartbeat. The caller holds mu.
func (n *Node) heardFrom(p *peer) {
	p.noResponders = 0
	if p.silent {
		p.silent = false
		n.noteState(p)
	}
}

// challenge is a random number that is not 0.
func challenge() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	c := uint64(1)
	for _, one := range b {
		c = c<<8 | uint64(one)
	}
	return max(c, 1)
}
