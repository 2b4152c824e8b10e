package cluster

import (
	"context"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

const (
	// maxPartsInFlight is how many parts of a message are on their way at most. The next ones
	// follow as peers confirm those: what a peer or NATS has not taken is not piled up.
	maxPartsInFlight = 16
	// largeBytes: of messages above that size one at a time is sent by a node.
	largeBytes = maxInFlightBytes
	// maxMessageBytes bounds a message, far above what the service takes from senders.
	maxMessageBytes = 512 << 20
	// patienceAsks: a part is taken for lost after so many questions' time without progress.
	patienceAsks = 3
)

// background is the context of what has no other.
var background = context.Background()

// flight is a message that peers have not all confirmed. The Node's mu guards it, but for
// what does not change.
type flight struct {
	life            *life
	head, plaintext []byte        // what its parts are cut from
	begun           time.Duration // the sender's request
	queued          time.Duration // when the first part was: it may have waited for a place
	deadline        time.Duration
	parts           []part
	only            [1]part // most messages have one
	next            int     // the first that was not sent yet
	under           int     // how many parts are on their way
	awaited         []await
	open            int           // of these, those without an answer
	done            chan struct{} // is closed with the last answer
	room            chan struct{} // has something when more parts may be sent
}

// part is a piece of a message.
type part struct {
	number       uint64
	envelope     []byte // nil: all have it
	sent, resent time.Duration
}

// partOf is what a number stands for.
type partOf struct {
	flight *flight
	index  int
}

// await is what a peer has said of a message; notSeen: nothing, or that it is lost.
type await struct {
	peer     *peer
	answered bool
	underWay bool // it has the message, or a part, and cannot say yet what becomes of it
	verdict  verdict
	has      []bool        // the parts it has, if there are several
	top      int           // up to which it has some
	progress time.Duration // when it told of the last one; 0: of none
}

// size is that of the message as its parts carry it.
func (f *flight) size() int { return len(f.head) + len(f.plaintext) }

// bounds are those of a part within a message of so many bytes and parts.
func bounds(size, index, parts int) (from, to int) {
	return int(int64(size) * int64(index) / int64(parts)), int(int64(size) * int64(index+1) / int64(parts))
}

// seal seals a part, the next one. The caller holds sending.
func (f *flight) seal(index int, first uint64) (envelope []byte, number uint64) {
	h := partHead{sent: f.begun - f.life.began, part: uint16(index), parts: uint16(len(f.parts))}
	if h.parts > 1 {
		h.first, h.size = first, uint64(f.size())
	}
	from, to := bounds(f.size(), index, len(f.parts))
	buffer := make([]byte, seal.HeadBytes, seal.Overhead+h.len()+to-from)
	buffer = h.append(buffer)
	if from < len(f.head) {
		buffer = append(buffer, f.head[from:min(to, len(f.head))]...)
	}
	if to > len(f.head) {
		buffer = append(buffer, f.plaintext[max(from-len(f.head), 0):to-len(f.head)]...)
	}
	envelope, number = f.life.sealer.Seal(buffer[:0], seal.KindMessage, buffer[seal.HeadBytes:])
	f.life.last.Store(number)
	return envelope, number
}

// register notes a part that is about to be sent. The caller holds mu.
func (n *Node) register(f *flight, number uint64, envelope []byte) {
	f.parts[f.next] = part{number: number, envelope: envelope, sent: n.now()}
	n.flights[number] = partOf{f, f.next}
	f.next++
	f.under++
}

// sendMore sends the parts that there is room for, of a message that has several.
func (n *Node) sendMore(f *flight) {
	for n.sendNext(f) {
	}
}

// sendNext sends the next part and reports whether there may be room for another.
func (n *Node) sendNext(f *flight) bool {
	n.sending.Lock()
	defer n.sending.Unlock()
	n.mu.Lock()
	due := f.open > 0 && f.next < len(f.parts) && f.under < maxPartsInFlight && n.life.Load() == f.life &&
		n.connected && !n.jumped(f.life)
	first := f.parts[0].number
	n.mu.Unlock()
	if !due {
		return false
	}
	envelope, number := f.seal(f.next, first) // only who sends changes next
	n.mu.Lock()
	n.register(f, number, envelope)
	n.mu.Unlock()
	if !n.writer.put(outgoing{subject: n.toAll, data: envelope, until: f.deadline}) {
		n.counts.notSent.Add(1) // it is asked for
	}
	return true
}

// await returns what is known of a peer that has not answered yet; nil: it is not awaited.
// The caller holds mu.
func (f *flight) await(p *peer) *await {
	for i := range f.awaited {
		if a := &f.awaited[i]; a.peer == p && !a.answered {
			return a
		}
	}
	return nil
}

// settle notes the word of a peer, the first one. The caller holds mu.
func (n *Node) settle(f *flight, p *peer, v verdict) {
	a := f.await(p)
	if a == nil {
		return
	}
	a.answered, a.verdict = true, v
	if f.open--; f.open == 0 {
		close(f.done)
	}
	n.sweep(f)
}

// arrived notes that a peer has a part. The caller holds mu.
func (n *Node) arrived(of partOf, p *peer) {
	f := of.flight
	a := f.await(p)
	if a == nil {
		return
	}
	a.underWay = true
	if len(f.parts) == 1 || a.has[of.index] {
		return
	}
	a.has[of.index], a.top, a.progress = true, max(a.top, of.index+1), n.now()
	n.sweep(f)
}

// sweep drops the parts that all have who are awaited, and has more sent if there is room.
// The number of the last part stays: what became of the message is told under it. The caller
// holds mu.
func (n *Node) sweep(f *flight) {
	if len(f.parts) == 1 {
		return
	}
	for i := range f.parts[:f.next] {
		one := &f.parts[i]
		if one.envelope == nil || f.lackedByOne(i) {
			continue
		}
		one.envelope = nil
		f.under--
		if i < len(f.parts)-1 {
			delete(n.flights, one.number)
		}
	}
	if f.next < len(f.parts) && f.under < maxPartsInFlight {
		select {
		case f.room <- struct{}{}:
		default:
		}
	}
}

// lackedByOne reports whether somebody who is awaited does not have a part.
func (f *flight) lackedByOne(index int) bool {
	for i := range f.awaited {
		if a := &f.awaited[i]; !a.answered && !a.has[index] {
			return true
		}
	}
	return false
}

// sendAgain sends a part once more to a peer that has not seen it. Of several parts it may
// be one that is still on its way: if the peer has none that was sent later, it is waited for
// longer. The caller holds mu.
func (n *Node) sendAgain(p *peer, of partOf) {
	f, one := of.flight, &of.flight.parts[of.index]
	a := f.await(p)
	if a == nil || one.envelope == nil {
		return
	}
	if now := n.now(); len(f.parts) > 1 {
		patience := patienceAsks * n.timing.ask
		moves := of.index >= a.top && now-max(one.sent, a.progress) < patience
		if moves || one.resent > 0 && now-one.resent < patience {
			return
		}
		one.resent = now
	}
	if n.writer.put(outgoing{subject: p.sendAgain, data: one.envelope, until: n.now() + n.timing.beat}) {
		n.counts.again.Add(1)
	}
	n.note(slog.LevelDebug, "a message is sent to a node again", slog.String("node", p.told.name))
}

// takeOff forgets a flight. The caller holds mu.
func (n *Node) takeOff(f *flight) {
	for i := range f.parts[:f.next] {
		if number := f.parts[i].number; n.flights[number].flight == f { // not one of a later epoch
			delete(n.flights, number)
		}
	}
}

// share is what a message takes of what may be in flight.
type share struct {
	bytes int64
	large bool
}

// shareFor is that of a message of so many bytes.
func (n *Node) shareFor(size int) share {
	if size > largeBytes {
		return share{maxPartsInFlight * n.part.Load(), true}
	}
	return share{int64(size), false}
}

// takePlace waits for a place among what is in flight, and reports whether there was one
// before the deadline.
func (n *Node) takePlace(s share, deadline time.Duration) bool {
	if !s.large && n.places.TryAcquire(1) {
		if n.bytes.TryAcquire(s.bytes) {
			return true
		}
		n.places.Release(1)
	}
	ctx, cancel := context.WithTimeout(background, deadline-n.now())
	defer cancel()
	if s.large && n.larges.Acquire(ctx, 1) != nil {
		return false
	}
	if n.places.Acquire(ctx, 1) == nil {
		if n.bytes.Acquire(ctx, s.bytes) == nil {
			return true
		}
		n.places.Release(1)
	}
	if s.large {
		n.larges.Release(1)
	}
	return false
}

func (n *Node) leavePlace(s share) {
	n.bytes.Release(s.bytes)
	n.places.Release(1)
	if s.large {
		n.larges.Release(1)
	}
}
