package cluster

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

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
	moving          time.Duration // since when it moves; 0: it does not
	returned        time.Duration // when it had moved
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
	case p.moving > 0:
		return PeerMoving
	case p.silent:
		return PeerSilent
	}
	return PeerLive
}

// keepPresence tells the peers of this node once a second and when there is something new,
// and finds out which of them are gone.
func (n *Node) keepPresence() {
	tick := time.NewTicker(n.timing.beat)
	defer tick.Stop()
	for {
		select {
		case <-n.ending:
			return
		case <-tick.C:
			n.look()
		case <-n.lookNow:
			n.look()
		case <-n.beatNow:
		}
		n.sayHeartbeat()
		pause := time.NewTimer(quickly) // however much there is to answer
		select {
		case <-n.ending:
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// beat has a heartbeat sent soon.
func (n *Node) beat() {
	select {
	case n.beatNow <- struct{}{}:
	default:
	}
}

// lookSoon has look called soon.
func (n *Node) lookSoon() {
	select {
	case n.lookNow <- struct{}{}:
	default:
	}
}

// look is what is done once a second, unless another process is this node.
func (n *Node) look() {
	if n.away.Load() {
		return
	}
	l := n.life.Load()
	if n.jumped(l) {
		n.beginAnew()
	} else {
		l.ahead.Store(int64(n.wallAhead())) // the clocks may drift apart
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for _, p := range n.peers {
		silence := now - p.heard
		switch {
		case !p.proven && silence > n.timing.lost, p.lost && silence > n.timing.forget:
			n.forget(p)
		case p.moving > 0 && now-p.moving > n.timing.moving:
			n.lose(p, "it moved and did not come back")
		case p.moving == 0 && !p.lost && silence > n.timing.lost:
			n.lose(p, "nothing was heard of it")
		}
		p.receiving.Lock()
		p.assembly.expire(now, 2*p.told.wait)
		p.workGivenUp()
		p.receiving.Unlock()
	}
	n.forgetFormer(now)
	for id, a := range n.absent {
		if now-a.since > n.timing.absent {
			delete(n.absent, id)
		}
	}
	for id, since := range n.departed {
		if now-since > n.timing.absent { // nobody tells of it for longer
			delete(n.departed, id)
		}
	}
	n.noteCompany()
	if away := time.Since(n.cutOffSince); !n.connected && away > time.Second {
		n.paces.report(now, "cut off", func() {
			n.note(slog.LevelError, "no connection to NATS: only this node's own sessions are served",
				slog.Duration("since", away.Round(time.Second)),
				slog.Uint64("messages", n.counts.unconfirmed[unconfirmedAway].Load()))
		})
	}
	if !n.ready.Load() && n.connected && now-n.connectedAt > n.timing.beat && n.problem() == "" && n.allLive() {
		n.ready.Store(true)
		n.readyAt, n.liveAt = time.Now(), now
		n.note(slog.LevelInfo, "this node is a live part of the cluster", slog.String("cluster", n.options.Cluster),
			slog.Int("peers", len(n.peers)))
		n.beat()
	}
}

// allLive reports whether no peer is on its way in. The caller holds mu.
func (n *Node) allLive() bool {
	for _, p := range n.peers {
		if p.proven && !p.lost && !p.live() {
			return false
		}
	}
	return true
}

// noteCompany notes whether anybody is to be thought of when something is published. The
// caller holds mu.
func (n *Node) noteCompany() {
	some := len(n.absent) > 0
	for _, p := range n.peers {
		some = some || p.proven
	}
	n.company.Store(some)
}

// problem says why the node is refused; empty: it is not. The caller holds mu.
func (n *Node) problem() string {
	if n.denied != "" {
		return n.denied
	}
	some := false
	for _, p := range n.peers {
		if !p.proven || p.lost {
			continue
		}
		some = true
		if p.told.spoken() && n.same(p) && n.yieldsTo(p) {
			return "another node has the same id or name: " + p.told.name
		}
	}
	if !some && n.strangerKey != "" && n.now()-n.strangerAt < 2*n.timing.lost {
		return "others use another cluster key: " + n.strangerKey
	}
	return ""
}

// same reports whether a peer claims to be this node.
func (n *Node) same(p *peer) bool {
	return p.told.id == n.options.ID || p.told.name == n.options.Name
}

// yieldsTo decides between this node and one that claims to be the same: who was live
// first, else who has the smaller epoch, is the one. The caller holds mu.
func (n *Node) yieldsTo(p *peer) bool {
	if p.told.ready != n.ready.Load() {
		return p.told.ready
	}
	own := n.life.Load().epoch
	return bytes.Compare(p.epoch[:], own[:]) < 0
}

// beginAnew begins another epoch: numbers of the old one may have been given already, by
// this process before its memory was set back, or its messages look old. For the same reason
// nothing that is known of the peers is of use: what they have sent since may be played
// again. Each has to prove itself anew, and is named until it has.
func (n *Node) beginAnew() {
	n.log.Warn("the clock jumped: this node begins anew in the cluster")
	n.unsubscribe(false)
	n.sending.Lock()
	n.mu.Lock()
	n.former = append(n.former, formerLife{n.life.Load(), n.now()})
	n.life.Store(n.newLife())
	n.ready.Store(false)
	for _, of := range n.flights { // nobody confirms to the old epoch any more
		for i := range of.flight.awaited {
			n.settle(of.flight, of.flight.awaited[i].peer, verdict{outcome: notSeen})
		}
	}
	clear(n.flights)
	for _, p := range n.peers {
		if p.admitted && !p.lost {
			n.absent[p.told.id] = absentPeer{p.told.name, n.now()}
		}
	}
	for _, p := range n.peers {
		n.forget(p)
	}
	n.noteCompany()
	n.mu.Unlock()
	n.sending.Unlock()
	n.streams.LoseAll(errBeganAnew)
	if err := n.subscribe(n.all()...); err != nil {
		n.log.Error("the cluster's subjects cannot be subscribed to", slog.Any("error", err))
	}
	n.beat()
}

// sayHeartbeat tells all peers of this node.
func (n *Node) sayHeartbeat() {
	sessions, revision := n.options.Sessions(), n.options.Revision()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.connected {
		return
	}
	l := n.life.Load()
	h := heartbeat{
		least: leastVersion, most: mostVersion, id: n.options.ID, name: n.options.Name, program: n.options.Version,
		ready: n.ready.Load(), wait: time.Duration(n.wait.Load()), sent: n.now() - l.began, last: l.last.Load(),
		sessions: sessions, revision: revision, answers: n.options.Answer != nil,
	}
	for _, p := range n.peers {
		if !p.lost {
			h.heard = append(h.heard, heardOf{p.epoch, p.challenge, p.echo, p.admitted})
		}
	}
	if n.someComesIn() {
		h.nodes = n.tellings()
	}
	// In the order of their numbers, for mu is held.
	n.say(n.subject(onHeartbeats), "", seal.KindHeartbeat, h.append(nil), n.soon())
}

// sayGoodbye tells each peer that this life is over, where it has been told all that was
// confirmed: on another subject the goodbye could overtake that.
func (n *Node) sayGoodbye() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		n.say(p.confirm, "", seal.KindGoodbye, nil, 0)
	}
}

// receiveHeartbeat takes whatever is said to all.
func (n *Node) receiveHeartbeat(msg *nats.Msg) {
	head, body, ok := n.open(msg.Data)
	if !ok {
		return
	}
	if n.tellApart(head, body) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch head.Kind {
	case seal.KindMoving:
		n.hasMoved(head)
		return
	case seal.KindHeartbeat:
	default:
		return
	}
	h, err := parseHeartbeat(body)
	if err != nil {
		n.counts.dropped[droppedForged].Add(1)
		return
	}
	n.hear(head, &h)
	n.noteCompany()
}

// open opens an envelope where it is; ok is false if it is dropped.
func (n *Node) open(envelope []byte) (head seal.Head, body []byte, ok bool) {
	head, err := seal.ReadHead(envelope)
	if err == nil && head.Epoch == n.life.Load().epoch {
		n.counts.dropped[droppedOwn].Add(1) // NoEcho does not help after a reconnect
		return head, nil, false
	}
	if err == nil {
		head, body, err = n.opener.Open(envelope[seal.HeadBytes:seal.HeadBytes], envelope)
	}
	if err == nil {
		return head, body, true
	}
	n.counts.dropped[droppedForged].Add(1)
	if key, ok := errors.AsType[seal.UnknownKeyError](err); ok {
		n.mu.Lock()
		n.strangerKey, n.strangerAt = seal.KeyID(key).String(), n.now()
		n.mu.Unlock()
	}
	n.paces.report(n.now(), "forged", func() {
		n.log.Warn("something in the cluster's subjects was not sealed with its key: it is dropped",
			slog.Any("error", err))
	})
	return head, nil, false
}

// hear takes a heartbeat. The caller holds mu.
func (n *Node) hear(head seal.Head, h *heartbeat) {
	now := n.now()
	p := n.peers[head.Epoch]
	switch {
	case p == nil && len(n.peers) >= maxPeers && !n.makeRoom():
		n.counts.dropped[droppedUnknown].Add(1)
		return
	case p == nil:
		p = n.newPeer(head.Epoch, n.life.Load().epoch)
		p.turn = head.Turn
		n.peers[head.Epoch] = p
		n.beat()
	case head.Number <= p.number:
		n.counts.dropped[droppedSeen].Add(1)
		return
	}
	p.told, p.number, p.key, p.heard = *h, head.Number, head.Key, now
	p.told.nodes = nil // they are taken now or not at all
	n.isBack(p, head.Turn)
	if !h.spoken() {
		p.refuse(n, "it speaks other versions of the protocol than this node")
		return
	}
	wasLive, wasLost := p.live(), p.lost
	p.silent, p.noResponders = false, 0
	own := slices.IndexFunc(h.heard, func(one heardOf) bool { return one.epoch == n.life.Load().epoch })
	echo, admitted, admits := p.echo, p.admitted, p.admits
	p.echo, p.admits = 0, false
	if own >= 0 {
		of := h.heard[own]
		p.echo, p.admits = of.challenge, of.admitted
		p.proven = p.proven || of.echo == p.challenge
	}
	p.receiving.Lock()
	p.ages.heard(now, h.sent)
	if p.admits && !admits { // what it sent before it did not count on this node
		p.window.begin(h.last)
	}
	p.receiving.Unlock()
	if p.proven {
		n.admit(p)
	}
	switch {
	case !wasLive && p.live():
		p.joined = now
	case wasLive && !p.live(), wasLost && !p.lost:
		p.met = now
	}
	if p.admitted && (!admitted || !n.ready.Load()) {
		n.takeTellings(h.nodes)
	}
	if p.echo != echo || p.admitted != admitted {
		n.beat() // it waits to hear of this
	}
	n.noteState(p)
}

// makeRoom forgets the epoch that was heard longest ago of those that are no peers, or no
// more, and reports whether there was one. If that comes back it has to prove itself anew,
// and what it sent before is not taken. The caller holds mu.
func (n *Node) makeRoom() bool {
	var least *peer
	for _, p := range n.peers {
		if (p.lost || !p.proven) && (least == nil || p.heard < least.heard) {
			least = p
		}
	}
	if least == nil {
		return false
	}
	n.forget(least)
	return true
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

// admit takes a peer in that has proven that it is alive, unless another one has its id or
// name: then that one is asked whether it still is there. The caller holds mu.
func (n *Node) admit(p *peer) {
	if n.same(p) {
		p.refuse(n, "it has the id or the name of this node")
		return
	}
	for _, other := range n.peers {
		if other == p || !other.admitted || other.lost || other.told.id != p.told.id && other.told.name != p.told.name {
			continue
		}
		p.refuse(n, "another node has its id or name")
		n.ask(other, nil)
		return
	}
	p.problem = ""
	if p.lost {
		p.lost = false
		n.beat()
	}
	delete(n.absent, p.told.id)
	delete(n.departed, p.told.id)
	if !p.admitted {
		n.tell(p, PeerJoined)
	}
	p.admitted = true
}

// refuse notes why a peer is not taken in. The caller holds mu.
func (p *peer) refuse(n *Node, why string) {
	if p.problem == why {
		return
	}
	p.problem = why
	n.note(slog.LevelWarn, "a node is refused by this one", slog.String("node", p.told.name),
		slog.String("problem", why), slog.String("version", p.told.program))
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

// lose gives a peer up: nobody waits for it any more. The caller holds mu.
func (n *Node) lose(p *peer, why string) {
	if p.lost {
		return
	}
	p.lost, p.lostAt, p.moving = true, n.now(), 0
	n.note(slog.LevelDebug, "a node is given up", slog.String("node", p.told.name), slog.String("reason", why))
	if p.admitted {
		n.absent[p.told.id] = absentPeer{p.told.name, n.now()}
	}
	for _, of := range n.flights {
		n.settle(of.flight, p, verdict{outcome: notSeen})
	}
	n.streams.Lose(p.epoch, ErrNodeLost)
	n.noteState(p)
	n.noteCompany()
}

// leave forgets a peer that has said goodbye. What it had not confirmed it has not
// queued, and its sessions are gone. The caller holds mu.
func (n *Node) leave(p *peer) {
	for _, of := range n.flights {
		n.settle(of.flight, p, verdict{outcome: queued})
	}
	n.forget(p)
	n.depart(p.told.id)
	n.streams.Lose(p.epoch, ErrNodeLeft)
	n.note(slog.LevelInfo, "node left", slog.String("node", p.told.name))
	n.tell(p, PeerLeft)
}

// forget forgets a peer, with what has come of it in part. The caller holds mu.
func (n *Node) forget(p *peer) {
	delete(n.peers, p.epoch)
	if p.admitted && len(n.gone) < maxPeers {
		n.gone[p.epoch] = gonePeer{p, n.now()}
	}
	p.receiving.Lock()
	defer p.receiving.Unlock()
	p.assembly.end()
	p.workGivenUp()
}

// hasMoreToHear reports whether something that was said to all has come and was not heard yet:
// that a peer moves, perhaps. What comes by one connection is handed out by subscriptions that
// do not wait for each other.
func (n *Node) hasMoreToHear() bool {
	hearing := n.hearing.Load()
	if hearing == nil {
		return false
	}
	waiting, _, err := hearing.Pending()
	return err == nil && waiting > 0
}

// noResponder is told that NATS knows nobody who listens to a peer's questions. That says nothing
// while nodes connect again to a NATS that was away: this node may be the first of them.
func (n *Node) noResponder(epoch seal.Epoch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[epoch]
	now := n.now()
	if p == nil || p.lost || p.moving > 0 || p.returned > 0 && now-p.returned < n.timing.beat || n.hasMoreToHear() {
		return
	}
	if !n.connected || n.reconnects > 0 && now-n.connectedAt < n.timing.back {
		return
	}
	p.noResponders++
	if p.noResponders == 1 {
		n.ask(p, nil)
		return
	}
	n.lose(p, "it does not listen any more")
}

// heardFrom notes that a peer has said something other than a heartbeat. The caller holds mu.
func (n *Node) heardFrom(p *peer) {
	p.noResponders = 0
	if p.silent {
		p.silent = false
		n.noteState(p)
	}
}

// Forget has a lost node not be named any more, and reports whether there was such a one.
func (n *Node) Forget(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, a := range n.absent {
		if a.name == name {
			n.depart(id)
			n.noteCompany()
			return true
		}
	}
	return false
}
