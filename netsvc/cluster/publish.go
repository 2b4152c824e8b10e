package cluster

import (
	"bytes"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Delivery is what became of a message.
type Delivery struct {
	Sessions int  // of all nodes that confirmed
	Waiting  int  // of these, those that are away and may come back
	Own      int  // of Sessions, those of this node
	Held     bool // it was not known at once for how many of these
	// Unconfirmed are the nodes that may or may not have got it, by name.
	Unconfirmed []string
}

// Alone reports whether there is no other node, nor one that was lost lately: then Publish
// does nothing that Deliver does not.
func (n *Node) Alone() bool { return !n.company.Load() }

// Ready reports whether this node has been live since it was started, or began anew. Before that
// there may be others that it has not heard of.
func (n *Node) Ready() bool { return n.ready.Load() }

// Publish has a message delivered to the sessions of all nodes, and returns when all live
// peers have confirmed it, at the latest after the time set by SetWait. The plaintext must
// not be changed meanwhile.
func (n *Node) Publish(appID string, to wire.Recipient, plaintext []byte) Delivery {
	begun := n.now()
	deadline := begun + time.Duration(n.wait.Load())
	m := &message{appID, to, plaintext}
	n.bridgeGap(deadline)
	f, l, number, taken, unconfirmed := n.send(m, begun, deadline)
	d := Delivery{Unconfirmed: unconfirmed}
	if f != nil {
		runtime.Gosched() // the writer goes first: the message travels while the hub works
	}
	n.mu.Lock()
	hurry := n.hurry
	n.mu.Unlock()
	own := n.deliverOwn(m, l, number, &d)
	if f == nil {
		n.counts.unconfirmed[unconfirmedAway].Add(uint64(len(unconfirmed)))
	} else {
		n.awaitAll(f, hurry)
		n.land(f, &d)
		n.leavePlace(taken)
		n.waits.observe(n.now() - begun)
	}
	if own != nil {
		n.awaitOwn(own, deadline, hurry, &d)
	}
	return d
}

// EndWaiting has messages wait for no peer any more, until TakeBack: senders are told at once which
// nodes have not confirmed. It is for a process that is about to hand over and can wait no longer.
func (n *Node) EndWaiting() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.hurries() {
		close(n.hurry)
	}
}

// hurries reports whether no peer is waited for. The caller holds mu.
func (n *Node) hurries() bool {
	select {
	case <-n.hurry:
		return true
	default:
		return false
	}
}

// deliverOwn has a message of an own sender queued for the sessions of this node; l and its number
// there are those that the others know it by, if there is one. If it is not known yet whom it
// reaches, that comes later.
func (n *Node) deliverOwn(m *message, l *life, number uint64, d *Delivery) (later <-chan Reach) {
	n.gate.RLock()
	defer n.gate.RUnlock()
	var origin moving.Origin
	if number > 0 {
		origin = moving.Origin{Epoch: l.epoch, Number: number}
		defer l.own.queued(number)
	}
	settled := make(chan Reach, 1)
	reach, held := n.options.Deliver(origin, m.appID, m.to, m.plaintext, func(reach Reach) { settled <- reach })
	if held {
		d.Held = true
		return settled
	}
	d.Own, d.Waiting, d.Sessions = reach.Sessions, reach.Waiting, reach.Sessions
	return nil
}

// awaitOwn adds whom a message reached here, unless that is not known in time.
func (n *Node) awaitOwn(later <-chan Reach, deadline time.Duration, hurry <-chan struct{}, d *Delivery) {
	timer := time.NewTimer(deadline - n.now())
	defer timer.Stop()
	select {
	case reach := <-later:
		d.Own = reach.Sessions
		d.Sessions += reach.Sessions
		d.Waiting += reach.Waiting
		return
	case <-timer.C:
	case <-hurry:
	}
	d.Unconfirmed = append(d.Unconfirmed, n.options.Name)
	slices.Sort(d.Unconfirmed)
}

// bridgeGap waits a moment for a connection that was lost just now: if a NATS server was killed,
// another one has the node back in a few milliseconds, and then the message reaches all. After that
// moment nobody waits.
func (n *Node) bridgeGap(deadline time.Duration) {
	n.mu.Lock()
	connected, back, hurry := n.connected, n.reconnected, n.hurry
	left := min(n.timing.gap-time.Since(n.cutOffSince), deadline-n.now())
	n.mu.Unlock()
	if connected || left <= 0 || n.Alone() {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-back:
	case <-hurry:
	case <-timer.C:
	}
}

// send puts the message, or the first parts of it, into the queue of the writer. It returns
// the flight in which it is if anybody is awaited, with the place that this takes, its number in
// a life of this node, and who is not awaited but may get it or may have a right to. A number
// is open until queued.
func (n *Node) send(m *message, begun, deadline time.Duration) (_ *flight, _ *life, number uint64, _ share, _ []string) {
	head, ok := m.appendHead(make([]byte, 0, m.overhead()))
	size := len(head) + len(m.plaintext)
	largest := int(n.part.Load())
	count := max(1, (size+largest-1)/largest)
	taken := n.shareFor(size)
	if !ok || size > maxMessageBytes || count > math.MaxUint16 || !n.takePlace(taken, deadline) {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, all := n.companions(false)
		return nil, nil, 0, share{}, all
	}
	n.sending.Lock()
	defer n.sending.Unlock()
	l := n.life.Load()
	anew := n.jumped(l) || n.away.Load()
	if anew {
		n.lookSoon()
	}
	n.mu.Lock()
	if !n.connected || anew { // nothing is kept for later
		_, all := n.companions(false)
		n.mu.Unlock()
		n.leavePlace(taken)
		return nil, nil, 0, share{}, all
	}
	n.mu.Unlock()
	f := &flight{life: l, head: head, plaintext: m.plaintext, begun: begun, queued: n.now(), deadline: deadline}
	if f.parts = f.only[:]; count > 1 {
		f.parts = make([]part, count)
	}
	// They are numbered before it is looked who is awaited: whoever is taken in later takes
	// nothing of them.
	var envelopes [maxPartsInFlight][]byte
	var numbers [maxPartsInFlight]uint64
	burst := min(count, maxPartsInFlight)
	l.own.mu.Lock()
	for i := range burst {
		envelopes[i], numbers[i] = f.seal(i, numbers[0])
	}
	l.own.open[numbers[0]] = true
	l.own.mu.Unlock()
	n.mu.Lock()
	awaited, unconfirmed := n.companions(true)
	if f.awaited, f.open = awaited, len(awaited); f.open > 0 {
		f.done = make(chan struct{})
		if count > 1 {
			f.room = make(chan struct{}, 1)
			for i := range awaited {
				awaited[i].has = make([]bool, count)
			}
		}
		for i := range burst {
			n.register(f, numbers[i], envelopes[i])
		}
		if !n.asking {
			n.asking = true
			n.armAsking()
		}
	}
	n.mu.Unlock()
	n.counts.sent.Add(1)
	if len(awaited) > 0 || burst == count { // a part of it is of no use
		for i := range burst {
			if !n.writer.put(outgoing{subject: n.toAll, data: envelopes[i], until: deadline}) {
				n.counts.notSent.Add(1) // it is asked for
			}
		}
	}
	if len(awaited) == 0 {
		n.leavePlace(taken)
		return nil, l, numbers[0], share{}, unconfirmed
	}
	return f, l, numbers[0], taken, unconfirmed
}

// companions returns who is awaited, and the names of those who are not and yet may be there.
// With none awaited all are named. The caller holds mu.
func (n *Node) companions(wait bool) (awaited []await, unconfirmed []string) {
	for _, p := range n.peers {
		switch {
		case wait && p.awaitable():
			awaited = append(awaited, await{peer: p})
		case p.proven && !p.lost:
			unconfirmed = append(unconfirmed, p.told.name)
		}
	}
	for _, a := range n.absent {
		unconfirmed = append(unconfirmed, a.name)
	}
	return awaited, unconfirmed
}

// awaitAll returns when all have answered, at the latest at the deadline, or when those that
// move have had their time, or when there is a hurry. Meanwhile it sends the parts that are left.
func (n *Node) awaitAll(f *flight, hurry <-chan struct{}) {
	select {
	case <-f.done:
		return
	default:
	}
	timer := time.NewTimer(f.deadline - n.now())
	defer timer.Stop()
	for {
		select {
		case <-f.done:
			return
		case <-hurry:
			return
		case <-f.room:
			n.sendMore(f)
		case <-timer.C:
			left := n.awaitHandOvers(f) - n.now()
			if left <= 0 {
				return
			}
			timer.Reset(left)
		}
	}
}

// land takes a flight off and adds up what the peers have said. One that has said nothing in
// nearly all of the time for it is silent.
func (n *Node) land(f *flight, d *Delivery) {
	had := n.now() - f.queued // the time the peers had
	n.mu.Lock()
	defer n.mu.Unlock()
	n.takeOff(f)
	for i := range f.awaited {
		a := &f.awaited[i]
		if a.verdict.outcome == queued {
			d.Sessions += int(a.verdict.sessions)
			d.Waiting += int(a.verdict.waiting)
			continue
		}
		d.Unconfirmed = append(d.Unconfirmed, a.peer.told.name)
		n.counts.unconfirmed[reasonOf(a)].Add(1)
		if !a.answered && !a.underWay && a.top == 0 && a.peer.live() && had >= (f.deadline-f.begun)*9/10 {
			a.peer.silent = true
			n.noteState(a.peer)
		}
	}
	slices.Sort(d.Unconfirmed)
	d.Unconfirmed = slices.Compact(d.Unconfirmed)
}

func reasonOf(a *await) unconfirmedReason {
	switch a.verdict.outcome {
	case tooLate:
		return unconfirmedLate
	case overloaded:
		return unconfirmedOverloaded
	}
	if a.answered {
		return unconfirmedAway
	}
	return unconfirmedSilent
}

// askEvery is how often it is looked for peers that are to be asked.
func (n *Node) askEvery() time.Duration { return n.timing.ask / 3 }

// armAsking has the silent peers asked in a while. The caller holds mu.
func (n *Node) armAsking() { time.AfterFunc(n.askEvery(), n.askSilent) }

// askSilent asks each peer that owes a word for what is older than the patience with it.
func (n *Node) askSilent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.ending:
		return
	default:
	}
	if len(n.flights) == 0 {
		n.asking = false
		return
	}
	n.armAsking()
	if !n.connected {
		return
	}
	now := n.now()
	owed := make(map[*peer][]uint64)
	for number, of := range n.flights {
		f := of.flight
		if now-f.parts[of.index].sent < n.timing.ask {
			continue
		}
		for i := range f.awaited {
			a := &f.awaited[i]
			has := len(f.parts) > 1 && of.index < len(f.parts)-1 && a.has[of.index]
			if !a.answered && !has && now-a.peer.asked >= n.timing.ask && len(owed[a.peer]) < maxAsked {
				owed[a.peer] = append(owed[a.peer], number)
			}
		}
	}
	for p, numbers := range owed {
		p.asked = now
		n.ask(p, numbers)
	}
}

// ask asks a peer what became of messages; without numbers only whether it is there. The
// caller holds mu.
func (n *Node) ask(p *peer, numbers []uint64) {
	n.say(p.question, p.answers, seal.KindQuestion, appendQuestion(p.epoch[:len(p.epoch):len(p.epoch)], numbers),
		n.soon())
}

// receiveAnswer takes the answer to a question; or that of NATS that nobody listens, which
// anybody could forge: he could deny the service in other ways as well.
func (n *Node) receiveAnswer(msg *nats.Msg) {
	if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" {
		if epoch, ok := lastToken(msg.Subject); ok {
			n.noResponder(epoch)
		}
		return
	}
	n.receiveVerdicts(msg, seal.KindAnswer)
}

// receiveConfirmations takes what peers confirm without having been asked, and what else
// they say to this node alone.
func (n *Node) receiveConfirmations(msg *nats.Msg) {
	n.receiveVerdicts(msg, seal.KindAcknowledgement)
}

func (n *Node) receiveVerdicts(msg *nats.Msg, kind seal.Kind) {
	head, body, ok := n.open(msg.Data)
	if !ok {
		return
	}
	if kind == seal.KindAcknowledgement && n.tellApart(head, body) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[head.Epoch]
	switch {
	case p == nil || !p.proven:
		n.counts.dropped[droppedUnknown].Add(1)
		return
	case head.Kind == seal.KindGoodbye:
		n.leave(p)
		n.noteCompany()
		return
	case head.Kind != kind:
		return
	}
	verdicts, ours := n.forThis(body)
	if !ours { // played again here
		n.counts.dropped[droppedForged].Add(1)
		return
	}
	if !p.fresh(head) {
		n.counts.dropped[droppedSeen].Add(1)
		return
	}
	err := parseVerdicts(verdicts, func(number uint64, v verdict) {
		of, known := n.flights[number]
		if !known {
			return
		}
		switch v.outcome {
		case underWay:
			n.arrived(of, p)
		case notSeen:
			n.sendAgain(p, of)
		default:
			n.settle(of.flight, p, v)
		}
	})
	if err != nil {
		n.counts.dropped[droppedForged].Add(1)
		return
	}
	n.heardFrom(p)
}

// forThis takes off whom a body is for, and reports whether that is this node.
func (n *Node) forThis(body []byte) (rest []byte, ours bool) {
	own := n.life.Load().epoch
	return bytes.CutPrefix(body, own[:])
}
