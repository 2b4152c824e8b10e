package cluster

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

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
			n.lookForRights()
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
		case p.handing > 0 && now-p.handing > n.timing.handOver:
			n.lose(p, "it handed over and did not come back")
		case p.handing == 0 && !p.lost && silence > n.timing.lost:
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

// noteCompany notes whether anybody is to be thought of when something is published. The
// caller holds mu.
func (n *Node) noteCompany() {
	some := len(n.absent) > 0
	for _, p := range n.peers {
		some = some || p.proven
	}
	n.company.Store(some)
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
	case seal.KindHandOver:
		n.handsOver(head)
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

// lose gives a peer up: nobody waits for it any more. The caller holds mu.
func (n *Node) lose(p *peer, why string) {
	if p.lost {
		return
	}
	p.lost, p.lostAt, p.handing = true, n.now(), 0
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
// that a peer hands over, perhaps. What comes by one connection is handed out by subscriptions that
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
	if p == nil || p.lost || p.handing > 0 || p.returned > 0 && now-p.returned < n.timing.beat || n.hasMoreToHear() {
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
