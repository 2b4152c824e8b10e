package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// A node outlives its process. The old one says that it hands over (HandOver), takes nothing more and
// confirms what it has; the next one, which holds what comes meanwhile, goes on with the same
// epoch in the next turn (Adopt). What falls between them is asked for: peers wait for a node
// that hands over. If nothing comes of it the old one goes on, in a turn above that (TakeBack).

const (
	// answerSoon is how long NATS may take to answer a node that is about to hand over.
	answerSoon = 300 * time.Millisecond
	// handOverWait is how long peers wait for a node that hands over.
	handOverWait = 5 * time.Second
	// maxHeldBack bounds the messages that a successor holds before its turn, and maxCarried
	// what came in part and goes along. What is more is asked for again, or named.
	maxHeldBack = 64 << 20
	maxCarried  = 64 << 20
	// verdictWait is how long a node that hands over waits for what it owes others a word of, for it is
	// not known yet whether its sessions go on here.
	verdictWait = 300 * time.Millisecond
)

// HandedOver is a node on its way from one process to the next, as JSON in the document of the
// hand-over. Fields may be added to it.
type HandedOver struct {
	Cluster string         `json:"cluster"`
	ID      []byte         `json:"id"`
	Epoch   []byte         `json:"epoch"`
	Turn    uint16         `json:"turn"`
	Numbers []uint64       `json:"numbers"` // the last of each kind, a to z
	Last    uint64         `json:"last"`    // message
	Began   time.Duration  `json:"began"`   // the epoch, by the system's clock that nobody sets
	Ready   bool           `json:"ready"`
	Peers   []handedPeer   `json:"peers,omitempty"`
	Absent  []handedAbsent `json:"absent,omitempty"`
	// Departed are nodes that have left or were forgotten.
	Departed []handedAbsent `json:"departed,omitempty"`
	// Former are epochs, its own and those of nodes that have left, whose last messages may be in
	// the queues.
	Former [][]byte `json:"former,omitempty"`
}

// handedPeer is what there is to know of a peer.
type handedPeer struct {
	Epoch     []byte          `json:"epoch"`
	Told      []byte          `json:"told"` // its last heartbeat
	Number    uint64          `json:"number"`
	Turn      uint16          `json:"turn"`
	Challenge uint64          `json:"challenge"`
	Echo      uint64          `json:"echo,omitempty"`
	Proven    bool            `json:"proven,omitempty"`
	Admitted  bool            `json:"admitted,omitempty"`
	Admits    bool            `json:"admits,omitempty"`
	Silent    bool            `json:"silent,omitempty"`
	Lost      bool            `json:"lost,omitempty"`
	Words     [26][2]uint64   `json:"words"` // few: top and seen
	Floor     uint64          `json:"floor"`
	Top       uint64          `json:"top"`
	Verdicts  []byte          `json:"verdicts,omitempty"`
	Ages      []time.Duration `json:"ages,omitempty"` // by the system's clock
	Youngest  int             `json:"youngest,omitempty"`
	Parts     []handedParts   `json:"parts,omitempty"`
}

// handedParts are those of a message that has not come as a whole.
type handedParts struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last,omitempty"`
	Whole []byte `json:"whole"`
	Has   []bool `json:"has"`
}

type handedAbsent struct {
	ID   []byte        `json:"id"`
	Name string        `json:"name"`
	For  time.Duration `json:"for"`
}

// Probe finds out whether NATS answers in a moment. If it does not, the next HandOver does not wait
// for it: nobody is served meanwhile.
func (n *Node) Probe() { n.mute.Store(!n.flush(answerSoon)) }

// HandOver says that the node hands over, and ends what this process does for it: it takes and sends
// nothing from then on. What it has taken is delivered when HandOver returns. Until TakeBack the
// node belongs to whoever adopts it; Close says no goodbye then.
func (n *Node) HandOver() *HandedOver {
	n.answers.end()
	n.say(n.subject(onHeartbeats), "", seal.KindHandOver, nil, n.soon())
	heard := !n.mute.Swap(false) && n.flush(answerSoon) // before NATS can say that nobody listens here
	n.unsubscribe(false)
	n.inside.Lock()
	n.deaf = true
	n.inside.Unlock()
	n.jobs.Wait()
	n.untold.wait(verdictWait)
	n.streams.LoseAll(errHandedOver)
	n.sending.Lock()
	n.away.Store(true)
	n.sending.Unlock()
	if heard {
		n.flush(answerSoon)
	}
	return n.handedOver()
}

// flush returns when NATS has what waits for the writer, at the latest after a while, and reports
// whether it has.
func (n *Node) flush(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	written := make(chan struct{})
	if !n.isConnected() || !n.writer.put(outgoing{written: written}) {
		return false
	}
	select {
	case <-written:
	case <-ctx.Done():
		return false
	}
	if err := n.conn.FlushWithContext(ctx); err != nil {
		n.log.Debug("the last confirmations may not have been sent", slog.Any("error", err))
		return false
	}
	return true
}

// handedOver writes the node down.
func (n *Node) handedOver() *HandedOver {
	l := n.life.Load()
	base := systemClock() - n.now() // what the node's clock counts from
	n.mu.Lock()
	defer n.mu.Unlock()
	m := &HandedOver{Cluster: n.options.Cluster, ID: n.options.ID[:], Epoch: l.epoch[:], Turn: l.turn,
		Numbers: l.sealer.Numbers(), Last: l.last.Load(), Began: base + l.began, Ready: n.ready.Load()}
	carried := 0
	for _, p := range n.peers {
		if p.proven {
			m.Peers = append(m.Peers, p.handedOver(base, &carried))
		}
	}
	for id, a := range n.absent {
		m.Absent = append(m.Absent, handedAbsent{id[:], a.name, n.now() - a.since})
	}
	for id, since := range n.departed {
		m.Departed = append(m.Departed, handedAbsent{ID: id[:], For: n.now() - since})
	}
	for _, f := range n.former {
		m.Former = append(m.Former, f.epoch[:])
	}
	for epoch := range n.gone {
		m.Former = append(m.Former, epoch[:])
	}
	return m
}

// handedOver writes a peer down. The caller holds the Node's mu.
func (p *peer) handedOver(base time.Duration, carried *int) handedPeer {
	told := p.told
	told.heard = nil
	m := handedPeer{Epoch: p.epoch[:], Told: told.append(nil), Number: p.number, Turn: p.turn, Challenge: p.challenge,
		Echo: p.echo, Proven: p.proven, Admitted: p.admitted, Admits: p.admits, Silent: p.silent, Lost: p.lost}
	for i, w := range p.words {
		m.Words[i] = [2]uint64{w.top, w.seen}
	}
	p.receiving.Lock()
	defer p.receiving.Unlock()
	m.Floor, m.Top, m.Verdicts = p.window.floor, p.window.top, p.window.verdicts()
	for _, difference := range p.ages.differences {
		m.Ages = append(m.Ages, base+difference)
	}
	m.Youngest = p.ages.last
	for first, u := range p.assembly.unfinished {
		if u.whole == nil || len(u.whole) > largeBytes || *carried+len(u.whole) > maxCarried {
			continue
		}
		*carried += len(u.whole)
		m.Parts = append(m.Parts, handedParts{First: first, Last: u.last, Whole: u.whole, Has: u.has})
	}
	return m
}

// TakeBack goes on with a node that was to move and has not.
func (n *Node) TakeBack() {
	before := n.life.Load()
	// The next turn may have been begun by whoever was to adopt the node.
	n.resume(n.newTurn(before, before.turn+2, before.sealer.Numbers()), nil)
}

// newTurn is a life in another turn.
func (n *Node) newTurn(of *life, turn uint16, numbers []uint64) *life {
	n.mu.Lock()
	keys := n.options.Keys
	n.mu.Unlock()
	l := &life{epoch: of.epoch, turn: turn, began: of.began, own: of.own,
		sealer: seal.ResumeSealer(keys, n.options.Cluster, of.epoch, turn, numbers)}
	l.last.Store(of.last.Load())
	l.ahead.Store(int64(n.wallAhead()))
	return l
}

// errNotThisNode: what was written down is another node.
var errNotThisNode = errors.New("the process before this one was another node")

// Adopt goes on with a node that another process has handed over, for a Node that was started as a
// successor: it works off what it has held. With nil, or after an error, a new life begins.
func (n *Node) Adopt(m *HandedOver) error {
	if m == nil {
		n.resume(n.newLife(), nil)
		return nil
	}
	l, peers, absent, err := n.read(m)
	if err != nil {
		n.resume(n.newLife(), nil)
		return fmt.Errorf("going on as a node of the cluster: %w", err)
	}
	n.mu.Lock()
	n.ready.Store(m.Ready)
	n.readyAt, n.absent = time.Now(), absent
	n.hearsSince = longAgo // the process before did, and this one held what came
	for _, d := range m.Departed {
		id := NodeID{}
		copy(id[:], d.ID)
		n.departed[id] = n.now() - d.For
	}
	for _, epoch := range m.Former[:min(len(m.Former), maxPeers)] {
		former := &life{own: newNumbered()}
		copy(former.epoch[:], epoch)
		former.last.Store(math.MaxUint64)
		n.former = append(n.former, formerLife{former, n.now()})
	}
	n.mu.Unlock()
	n.resume(l, peers)
	return nil
}

// read reads what handedOver has written.
func (n *Node) read(m *HandedOver) (*life, map[seal.Epoch]*peer, map[NodeID]absentPeer, error) {
	if m.Cluster != n.options.Cluster || !bytes.Equal(m.ID, n.options.ID[:]) || len(m.Epoch) != len(seal.Epoch{}) ||
		m.Turn > math.MaxUint16-3 {
		return nil, nil, nil, errNotThisNode
	}
	base := systemClock() - n.now()
	of := &life{epoch: seal.Epoch(m.Epoch), began: m.Began - base, own: newNumbered()}
	of.last.Store(m.Last)
	l := n.newTurn(of, m.Turn+1, m.Numbers)
	peers, absent := make(map[seal.Epoch]*peer), make(map[NodeID]absentPeer)
	for i := range m.Peers {
		p, err := m.Peers[i].peer(n, l.epoch, base)
		if err != nil {
			return nil, nil, nil, err
		}
		peers[p.epoch] = p
	}
	for _, a := range m.Absent {
		id := NodeID{}
		copy(id[:], a.ID)
		absent[id] = absentPeer{a.Name, n.now() - a.For}
	}
	return l, peers, absent, nil
}

func (m *handedPeer) peer(n *Node, own seal.Epoch, base time.Duration) (*peer, error) {
	told, err := parseHeartbeat(m.Told)
	if err != nil || len(m.Epoch) != len(seal.Epoch{}) {
		return nil, fmt.Errorf("a node that it knew: %w", errBody)
	}
	p := n.newPeer(seal.Epoch(m.Epoch), own)
	p.told, p.number, p.turn, p.heard, p.challenge, p.echo = told, m.Number, m.Turn, n.now(), m.Challenge, m.Echo
	p.proven, p.admitted, p.admits, p.silent, p.lost = m.Proven, m.Admitted, m.Admits, m.Silent, m.Lost
	p.state, p.met, p.joined, p.lostAt = p.stateNow(), longAgo, longAgo, longAgo
	for i, w := range m.Words {
		p.words[i] = few{w[0], w[1]}
	}
	if err := p.window.restore(m.Floor, m.Top, m.Verdicts); err != nil {
		return nil, err
	}
	for _, difference := range m.Ages[:min(len(m.Ages), agesKept)] {
		p.ages.differences = append(p.ages.differences, difference-base)
	}
	p.ages.last, p.ages.since = min(max(m.Youngest, 0), max(len(p.ages.differences)-1, 0)), n.now()
	for _, parts := range m.Parts {
		p.assembly.restore(n.now(), parts)
	}
	p.window.expect(n.now(), func(number uint64) bool { return p.assembly.unfinished[number] != nil })
	return p, nil
}

// resume goes on in a life, with these peers; nil: with those that are known.
func (n *Node) resume(l *life, peers map[seal.Epoch]*peer) {
	n.sending.Lock()
	n.mu.Lock()
	l.sealer.Use(n.options.Keys) // they may have been changed since it was made
	n.life.Store(l)
	if peers != nil {
		n.peers = peers
	}
	for _, p := range n.peers {
		p.heard = n.now()
	}
	if n.hurries() {
		n.hurry = make(chan struct{})
	}
	n.noteCompany()
	n.mu.Unlock()
	n.resumed.Store(int64(n.now()))
	n.answers.begin()
	n.away.Store(false)
	n.sending.Unlock()

	n.inside.Lock()
	n.deaf = false
	holding := n.holding
	n.inside.Unlock()
	subscriptions := n.all()
	if holding {
		subscriptions = subscriptions[1:] // that it has
	}
	n.unlessConnecting(func() {
		if err := n.subscribe(subscriptions...); err != nil {
			n.log.Error("the cluster's subjects cannot be subscribed to", slog.Any("error", err))
		}
	})
	n.inside.Lock() // what was held comes before what comes
	held := n.held
	n.held, n.heldBytes, n.holding = nil, 0, false
	for _, envelope := range held {
		n.take(envelope, true)
	}
	n.inside.Unlock()
	n.beat()
}

// holdBack keeps a message until the node is adopted. The caller holds inside.
func (n *Node) holdBack(envelope []byte) {
	n.holdingMu.Lock()
	defer n.holdingMu.Unlock()
	if n.heldBytes+len(envelope) > maxHeldBack {
		n.counts.dropped[droppedOverloaded].Add(1)
		return
	}
	n.held = append(n.held, envelope)
	n.heldBytes += len(envelope)
}

// allowed is how old a message of a peer may be: of those that were sent while this node
// handed over it waits longer.
func (n *Node) allowed(wait, age time.Duration) time.Duration {
	if resumed := time.Duration(n.resumed.Load()); resumed > 0 && age >= n.now()-resumed {
		return max(wait, n.timing.handOver)
	}
	return wait
}

// handsOver notes that a peer hands over. The caller holds mu.
func (n *Node) handsOver(head seal.Head) {
	p := n.peers[head.Epoch]
	if p == nil || !p.admitted || !p.fresh(head) || head.Turn < p.turn {
		return
	}
	p.handing = n.now()
	n.noteState(p)
}

// isBack notes that a peer goes on in another turn. The caller holds mu.
func (n *Node) isBack(p *peer, turn uint16) {
	if turn <= p.turn {
		return
	}
	p.turn = turn
	if p.handing > 0 {
		p.handing, p.returned = 0, n.now()
	}
}

// awaitHandOvers is until when the peers of a flight that hand over, or have just done so, are waited
// for; 0: there are none.
func (n *Node) awaitHandOvers(f *flight) (until time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range f.awaited {
		switch a := &f.awaited[i]; {
		case a.answered:
		case a.peer.handing > 0:
			until = max(until, a.peer.handing+n.timing.handOver)
		case a.peer.returned > f.begun:
			until = max(until, a.peer.returned+f.deadline-f.begun)
		}
	}
	return until
}

// verdicts writes down those that are known.
func (w *window) verdicts() (body []byte) {
	for i := range w.slots {
		if s := &w.slots[i]; s.number > w.floor && s.number+windowSize > w.top && s.number > 0 {
			body = appendVerdict(body, s.number, s.verdict)
		}
	}
	return body
}

// restore reads what verdicts has written.
func (w *window) restore(floor, top uint64, verdicts []byte) error {
	w.floor, w.top = floor, top
	return parseVerdicts(verdicts, func(number uint64, v verdict) {
		w.slots[number%windowSize] = slot{number, v, v.outcome != underWay}
	})
}

// expect has what was restored expect what is missing, and the rest of what is unfinished; parts
// of other messages are worked off.
func (w *window) expect(now time.Duration, unfinished func(number uint64) bool) {
	if w.top > w.floor {
		w.miss(gap{w.floor + 1, w.top, now})
	}
	for i := range w.slots {
		s := &w.slots[i]
		s.worked = s.worked || !unfinished(s.number)
	}
}

// restore takes the parts of a message that came to the process before.
func (a *assembly) restore(now time.Duration, m handedParts) {
	if len(m.Has) < 2 || len(m.Whole) > largeBytes || a.bytes+len(m.Whole) > maxUnfinished {
		return
	}
	u := &unfinished{whole: slices.Clone(m.Whole), has: slices.Clone(m.Has), last: m.Last, since: now}
	for _, has := range m.Has {
		if !has {
			u.missing++
		}
	}
	if a.unfinished == nil {
		a.unfinished = make(map[uint64]*unfinished)
	}
	a.unfinished[m.First] = u
	a.bytes += len(u.whole)
}
