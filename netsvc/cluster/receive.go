package cluster

import (
	"encoding/hex"
	"hash/maphash"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

const (
	// Confirmations leave together: so many at most, and none waits longer.
	maxConfirmed  = 64
	confirmWithin = time.Millisecond
	// fewSessions are written to in no time.
	fewSessions = 16
)

// job is a message of a peer on its way to the sessions of this node.
type job struct {
	peer    *peer
	number  uint64 // of its last part
	first   uint64 // of its first part: by that nodes name the message
	sent    time.Duration
	message message
	size    int
}

// receiveMessage takes a message, or a part of one, from all or sent again.
func (n *Node) receiveMessage(msg *nats.Msg) {
	n.inside.RLock()
	defer n.inside.RUnlock()
	switch {
	case n.closed || n.deaf:
	case n.holding:
		n.holdBack(msg.Data)
	default:
		n.take(msg.Data, false)
	}
}

// take takes a message, or a part of one; patiently: if there is no room in its lane, it is
// waited for. The caller holds inside.
func (n *Node) take(envelope []byte, patiently bool) {
	head, err := seal.ReadHead(envelope)
	if err == nil && head.Epoch != n.life.Load().epoch && n.takenFrom(head.Epoch) == nil {
		n.counts.dropped[droppedUnknown].Add(1) // without the effort of opening it
		return
	}
	head, body, ok := n.open(envelope)
	if !ok || head.Kind != seal.KindMessage {
		return
	}
	p := n.takenFrom(head.Epoch)
	h, part, err := parsePart(body)
	if err != nil || p == nil {
		n.counts.dropped[droppedForged].Add(1)
		return
	}
	whole, last, v, fresh := n.takePart(p, head.Number, h, part)
	switch {
	case !fresh:
		n.counts.dropped[droppedSeen].Add(1)
		// It was sent again: its confirmation was lost, perhaps.
		if v.outcome != underWay || h.parts > 1 {
			n.confirm(p, appendVerdict(nil, head.Number, v))
		}
		return
	case v.outcome == overloaded:
		n.judge(p, head.Number, v)
		return
	case h.parts > 1: // more may be sent
		n.confirm(p, appendVerdict(nil, head.Number, v))
	}
	if whole == nil {
		return
	}
	first := head.Number
	if h.part > 0 {
		first = h.first
	}
	m, err := parseMessage(whole)
	if err != nil {
		p.assembly.release(len(whole))
		n.counts.dropped[droppedForged].Add(1)
		p.worked(first)
		return
	}
	n.counts.received.Add(1)
	n.queue(job{peer: p, number: last, first: first, sent: h.sent, message: m, size: len(whole)}, patiently)
}

// takenFrom returns the peer of an epoch if its messages are taken, else nil. It has to have
// taken in this node first: before, it would not say that this node may have got them.
func (n *Node) takenFrom(epoch seal.Epoch) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.peers[epoch]; p != nil && p.admitted && p.admits {
		return p
	}
	return nil
}

// takePart notes the number of a part, and returns the whole message, with the number of its
// last part, with the one that was missing. fresh is false if the number was seen; the verdict
// is then what became of it.
func (n *Node) takePart(p *peer, number uint64, h partHead, part []byte) (
	whole []byte, last uint64, v verdict, fresh bool) {
	p.receiving.Lock()
	defer p.receiving.Unlock()
	fresh, missed := p.window.take(n.now(), number)
	if missed > 0 {
		n.counts.gaps.Add(missed)
		n.paces.report(n.now(), "missed", func() {
			n.note(slog.LevelWarn, "messages of another node did not come in their order: some may be lost",
				slog.String("epoch", p.epoch.String()), slog.Uint64("messages", missed))
		})
	}
	if !fresh {
		return nil, 0, p.window.verdict(number), false
	}
	whole, last, ok := p.assembly.add(n.now(), number, h, part)
	if h.part > 0 {
		p.window.work(number) // the first part stands for the message
	}
	p.workGivenUp()
	if !ok {
		p.window.work(number)
		return nil, 0, verdict{outcome: overloaded}, true
	}
	return whole, last, verdict{outcome: underWay}, true
}

// queue hands a message to the lane of its infobase.
func (n *Node) queue(j job, patiently bool) {
	infobase := [2]string{j.message.appID, j.message.to.IbID}
	lane := n.lanes[maphash.Comparable(n.seed, infobase)%uint64(len(n.lanes))]
	n.jobs.Add(1)
	if patiently {
		if j.size <= largeBytes {
			n.hold.Add(int64(j.size))
		}
		lane <- j
		return
	}
	if j.size <= largeBytes && n.hold.Add(int64(j.size)) > maxHeld {
		n.refuse(&j)
		return
	}
	select {
	case lane <- j:
	default:
		n.refuse(&j)
	}
}

// refuse confirms that there is no room for a message.
func (n *Node) refuse(j *job) {
	n.release(j)
	j.peer.worked(j.first)
	n.judge(j.peer, j.number, verdict{outcome: overloaded})
	n.jobs.Done()
}

// release gives back the room that a message has taken.
func (n *Node) release(j *job) {
	if j.size > largeBytes {
		j.peer.assembly.release(j.size)
		return
	}
	n.hold.Add(int64(-j.size))
}

// judge notes the verdict on a message that is not delivered, and confirms it.
func (n *Node) judge(p *peer, number uint64, v verdict) {
	switch v.outcome {
	case overloaded:
		n.counts.dropped[droppedOverloaded].Add(1)
		n.paces.report(n.now(), "too slow", func() {
			n.note(slog.LevelWarn, "this node is too slow for the messages of other nodes: some are refused",
				slog.String("epoch", p.epoch.String()))
		})
	case tooLate:
		n.counts.dropped[droppedLate].Add(1)
	}
	p.receiving.Lock()
	p.window.judge(number, v)
	p.receiving.Unlock()
	n.confirm(p, appendVerdict(nil, number, v))
}

// worked notes that nothing more becomes of a message.
func (p *peer) worked(first uint64) {
	p.receiving.Lock()
	defer p.receiving.Unlock()
	p.window.work(first)
}

// workGivenUp notes that nothing comes of messages of which parts are missing. The caller holds
// receiving.
func (p *peer) workGivenUp() {
	for _, first := range p.assembly.givenUp() {
		p.window.work(first)
	}
}

// confirmations are those of a lane that have not left yet.
type confirmations struct {
	bodies map[*peer][]byte
	count  int
	since  time.Duration
}

// workOff delivers the messages of a lane in their order, until it is closed. What it
// confirms leaves when nothing waits, and else soon.
func (n *Node) workOff(lane <-chan job) {
	c := confirmations{bodies: make(map[*peer][]byte)}
	for j := range lane {
		v, held := n.deliver(&j)
		n.release(&j)
		switch {
		case held:
			n.jobs.Done() // it is in the queues
		case c.count == 0:
			c.since = n.now()
			fallthrough
		default:
			c.bodies[j.peer] = appendVerdict(c.bodies[j.peer], j.number, v)
			c.count++
		}
		if len(lane) > 0 && c.count < maxConfirmed && n.now()-c.since < confirmWithin {
			continue
		}
		if 0 < v.sessions && v.sessions <= fewSessions {
			runtime.Gosched() // what writes to these sessions goes first: the sender alone waits for the confirmation
		}
		for p, body := range c.bodies {
			n.confirm(p, body)
		}
		clear(c.bodies)
		n.jobs.Add(-c.count)
		c.count = 0
	}
}

// deliver has a message queued for the sessions of this node, unless it is too late. With held
// the verdict is not known yet, and is confirmed when it is.
func (n *Node) deliver(j *job) (v verdict, held bool) {
	n.mu.Lock()
	wait := j.peer.told.wait
	n.mu.Unlock()
	n.gate.RLock()
	defer n.gate.RUnlock()
	j.peer.receiving.Lock()
	age := j.peer.ages.of(n.now(), j.sent)
	j.peer.receiving.Unlock()
	if age > n.allowed(wait, age) {
		n.counts.dropped[droppedLate].Add(1)
		v = verdict{outcome: tooLate}
	} else {
		p, number := j.peer, j.number
		var reach Reach
		reach, held = n.options.Deliver(moving.Origin{Epoch: p.epoch, Number: j.first}, j.message.appID, j.message.to,
			j.message.plaintext, func(reach Reach) {
				n.judgeLater(p, number, verdictOf(reach))
				n.untold.add(-1)
			})
		if held {
			n.untold.add(1)
		}
		v = verdictOf(reach)
	}
	j.peer.receiving.Lock()
	defer j.peer.receiving.Unlock()
	j.peer.window.work(j.first)
	if !held {
		j.peer.window.judge(j.number, v)
	}
	return v, held
}

func verdictOf(r Reach) verdict { return verdict{queued, uint32(r.Sessions), uint32(r.Waiting)} }

// judgeLater notes and confirms a verdict that was not known when the message was queued.
func (n *Node) judgeLater(p *peer, number uint64, v verdict) {
	p.receiving.Lock()
	p.window.judge(number, v)
	p.receiving.Unlock()
	n.confirm(p, appendVerdict(nil, number, v))
}

// confirm sends verdicts to a peer.
func (n *Node) confirm(p *peer, verdicts []byte) {
	n.sayVerdicts(p.confirm, p, seal.KindAcknowledgement, verdicts)
}

// sayVerdicts sends verdicts to one peer: before them stands whom they are for. Each node
// numbers its messages from 1, so that they would tell another one of other messages.
func (n *Node) sayVerdicts(subject string, p *peer, kind seal.Kind, verdicts []byte) {
	n.say(subject, "", kind, slices.Concat(p.epoch[:], verdicts), n.soon())
}

// receiveQuestion answers what became of the messages that a peer asks for.
func (n *Node) receiveQuestion(msg *nats.Msg) {
	head, body, ok := n.open(msg.Data)
	if !ok || head.Kind != seal.KindQuestion {
		return
	}
	question, ours := n.forThis(body)
	numbers, err := parseQuestion(question)
	if !ours || err != nil {
		n.counts.dropped[droppedForged].Add(1)
		return
	}
	n.mu.Lock()
	p := n.peers[head.Epoch]
	fresh := p != nil && p.fresh(head)
	if fresh {
		n.heardFrom(p)
	}
	n.mu.Unlock()
	switch {
	case p == nil:
		n.counts.dropped[droppedUnknown].Add(1)
		n.beat()
		return
	case !fresh: // played again
		n.counts.dropped[droppedSeen].Add(1)
		return
	}
	if epoch, ok := lastToken(msg.Reply); !ok || epoch != n.life.Load().epoch {
		return // nothing is sent where somebody else wants it
	}
	var answer []byte
	p.receiving.Lock()
	for _, number := range numbers {
		answer = appendVerdict(answer, number, p.window.verdict(number))
	}
	p.receiving.Unlock()
	reply := n.subject(onAnswers + "." + p.epoch.String() + "." + n.life.Load().epoch.String())
	n.sayVerdicts(reply, p, seal.KindAnswer, answer)
}

// lastToken is the epoch at the end of a subject.
func lastToken(subject string) (epoch seal.Epoch, ok bool) {
	last := subject[strings.LastIndexByte(subject, '.')+1:]
	if len(last) != hex.EncodedLen(len(epoch)) {
		return epoch, false
	}
	_, err := hex.Decode(epoch[:], []byte(last))
	return epoch, err == nil
}

// Tell says something of another kind to all peers, or to one of them if to is not zero.
// It reports false if it is not sent. Told gets it there, once at most; what matters has
// to be said in another way as well.
func (n *Node) Tell(to seal.Epoch, kind seal.Kind, body []byte) bool {
	subject := n.subject(onHeartbeats)
	if to != (seal.Epoch{}) {
		subject = n.subjectOf(to, confirming)
	}
	return n.isConnected() && n.say(subject, "", kind, body, n.soon())
}

// tellApart hands over what was said with Tell, and reports whether it was that.
func (n *Node) tellApart(head seal.Head, body []byte) bool {
	if head.Kind != seal.KindChanged && head.Kind != seal.KindApplied {
		return false
	}
	n.mu.Lock()
	p := n.peers[head.Epoch]
	var from Peer
	known := p != nil && p.admitted
	if known && !p.fresh(head) {
		n.counts.dropped[droppedSeen].Add(1)
		known = false
	}
	if known {
		n.heardFrom(p)
		from = Peer{Name: p.told.name, ID: p.told.id, Epoch: p.epoch, Version: p.told.program, State: p.stateNow()}
	}
	n.mu.Unlock()
	if known && n.options.Told != nil {
		n.tellOwner(func() { n.options.Told(from, head.Kind, body) })
	}
	return true
}
