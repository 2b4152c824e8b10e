package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// background is the context of records of the log.
var background = context.Background()

// Delivery is what became of a message.
type Delivery struct {
	Sessions int // of all nodes that confirmed
	Waiting  int // of these, those that are away and may come back
	Own      int // of Sessions, those of this node
	// Unconfirmed are the nodes that may or may not have got it, by name.
	Unconfirmed []string
}

// Alone reports whether there is no other node, nor one that was lost lately: then Publish
// does nothing that Deliver does not.
func (n *Node) Alone() bool { return !n.company.Load() }

// flight is a message that peers have not all confirmed. The Node's mu guards it.
type flight struct {
	begun     time.Duration
	queued    time.Duration // when it was: it may have waited for a place
	envelopes [][]byte
	awaited   []await
	open      int           // of these, those without an answer
	done      chan struct{} // is closed with the last answer
}

// await is what a peer has said of a message; notSeen: nothing, or that it is lost.
type await struct {
	peer     *peer
	answered bool
	verdict  verdict
}

// settle notes the word of a peer, the first one.
func (f *flight) settle(p *peer, v verdict) {
	for i := range f.awaited {
		a := &f.awaited[i]
		if a.peer != p || a.answered {
			continue
		}
		a.answered, a.verdict = true, v
		if f.open--; f.open == 0 {
			close(f.done)
		}
	}
}

// Publish has a message delivered to the sessions of all nodes, and returns when all live
// peers have confirmed it, at the latest after the time set by SetWait. The plaintext must
// not be changed meanwhile.
func (n *Node) Publish(appID string, to wire.Recipient, plaintext []byte) Delivery {
	begun := n.now()
	deadline := begun + time.Duration(n.wait.Load())
	m := &message{appID, to, plaintext}
	f, number, unconfirmed := n.send(m, begun, deadline)
	d := Delivery{Unconfirmed: unconfirmed}
	d.Own, d.Waiting = n.options.Deliver(appID, to, plaintext)
	d.Sessions = d.Own
	if f == nil {
		n.counts.unconfirmed[unconfirmedAway].Add(uint64(len(unconfirmed)))
		return d
	}
	n.awaitAll(f, deadline)
	n.land(f, number, deadline-begun, &d)
	n.waits.observe(n.now() - begun)
	return d
}

// send puts the message into the queue of the writer, and returns the flight in which it is
// if anybody is awaited, with its number, and who is not awaited but may get it or may have
// a right to.
func (n *Node) send(m *message, begun, deadline time.Duration) (*flight, uint64, []string) {
	body, ok := m.append(make([]byte, 0, m.overhead()+len(m.plaintext)))
	size := int64(min(len(body), maxInFlightBytes))
	if !ok || !n.takePlace(size, deadline) {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, all := n.companions(false)
		return nil, 0, all
	}
	n.sending.Lock()
	defer n.sending.Unlock()
	l := n.life.Load()
	anew := n.jumped(l)
	if anew {
		n.lookSoon()
	}
	n.mu.Lock()
	if !n.connected || anew { // nothing is kept for later
		_, all := n.companions(false)
		n.mu.Unlock()
		n.leavePlace(size)
		return nil, 0, all
	}
	n.mu.Unlock()
	envelopes, number := n.sealParts(l, body, begun)

	n.mu.Lock()
	awaited, unconfirmed := n.companions(true)
	var f *flight
	if len(awaited) > 0 {
		f = &flight{begun: begun, queued: n.now(), envelopes: envelopes, awaited: awaited, open: len(awaited),
			done: make(chan struct{})}
		n.flights[number] = f
		if !n.asking {
			n.asking = true
			n.armAsking()
		}
	}
	n.mu.Unlock()
	for _, envelope := range envelopes {
		if !n.writer.put(outgoing{subject: n.toAll, data: envelope, until: deadline}) {
			n.counts.notSent.Add(1) // it is asked for
		}
	}
	n.counts.sent.Add(1)
	if f == nil {
		n.leavePlace(size)
	}
	return f, number, unconfirmed
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

// sealParts seals the parts of a message, and returns the number of the last one. The
// caller holds sending.
func (n *Node) sealParts(l *life, body []byte, begun time.Duration) (envelopes [][]byte, number uint64) {
	largest := int(n.part.Load())
	parts := max(1, (len(body)+largest-1)/largest)
	for part := range parts {
		chunk := body[part*largest : min(len(body), (part+1)*largest)]
		h := partHead{begun - l.began, uint16(part), uint16(parts)}
		buffer := make([]byte, seal.HeadBytes, seal.Overhead+partHeadBytes+len(chunk))
		buffer = append(h.append(buffer), chunk...)
		var envelope []byte
		envelope, number = l.sealer.Seal(buffer[:0], seal.KindMessage, buffer[seal.HeadBytes:])
		envelopes = append(envelopes, envelope)
	}
	l.last.Store(number)
	return envelopes, number
}

// takePlace waits for a place among what is in flight, and reports whether there was one
// before the deadline.
func (n *Node) takePlace(size int64, deadline time.Duration) bool {
	if n.places.TryAcquire(1) {
		if n.bytes.TryAcquire(size) {
			return true
		}
		n.places.Release(1)
	}
	ctx, cancel := context.WithTimeout(background, deadline-n.now())
	defer cancel()
	if n.places.Acquire(ctx, 1) != nil {
		return false
	}
	if n.bytes.Acquire(ctx, size) != nil {
		n.places.Release(1)
		return false
	}
	return true
}

func (n *Node) leavePlace(size int64) {
	n.bytes.Release(size)
	n.places.Release(1)
}

// awaitAll returns when all have answered, at the latest at the deadline.
func (n *Node) awaitAll(f *flight, deadline time.Duration) {
	select {
	case <-f.done:
		return
	default:
	}
	timer := time.NewTimer(deadline - n.now())
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
	}
}

// land takes a flight off and adds up what the peers have said. One that has said nothing in
// nearly all of the time for it is silent.
func (n *Node) land(f *flight, number uint64, wait time.Duration, d *Delivery) {
	size := int64(0)
	for _, envelope := range f.envelopes {
		size += int64(len(envelope) - seal.Overhead - partHeadBytes)
	}
	defer n.leavePlace(min(size, maxInFlightBytes))
	had := n.now() - f.queued // the time the peers had
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.flights[number] == f { // not one of a later epoch
		delete(n.flights, number)
	}
	for _, a := range f.awaited {
		if a.verdict.outcome == queued {
			d.Sessions += int(a.verdict.sessions)
			d.Waiting += int(a.verdict.waiting)
			continue
		}
		d.Unconfirmed = append(d.Unconfirmed, a.peer.told.name)
		n.counts.unconfirmed[reasonOf(a)].Add(1)
		if !a.answered && a.peer.live() && had >= wait*9/10 {
			a.peer.silent = true
			n.noteState(a.peer)
		}
	}
	slices.Sort(d.Unconfirmed)
	d.Unconfirmed = slices.Compact(d.Unconfirmed)
}

func reasonOf(a await) unconfirmedReason {
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
	for number, f := range n.flights {
		if now-f.begun < n.timing.ask {
			continue
		}
		for _, a := range f.awaited {
			if !a.answered && now-a.peer.asked >= n.timing.ask && len(owed[a.peer]) < maxAsked {
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
		f := n.flights[number]
		if f == nil {
			return
		}
		switch v.outcome {
		case underWay:
		case notSeen:
			n.sendAgain(p, f)
		default:
			f.settle(p, v)
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

// sendAgain sends a message once more to one peer. The caller holds mu.
func (n *Node) sendAgain(p *peer, f *flight) {
	for _, envelope := range f.envelopes {
		if n.writer.put(outgoing{subject: p.sendAgain, data: envelope, until: n.now() + n.timing.beat}) {
			n.counts.again.Add(1)
		}
	}
	n.note(slog.LevelDebug, "a message is sent to a node again", slog.String("node", p.told.name))
}
