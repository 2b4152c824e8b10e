package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Why Dial cannot reach a node.
var (
	ErrNoNode     = errors.New("the cluster has no node of that name")
	ErrCutOff     = errors.New("this node has no connection to NATS")
	ErrNodeLost   = errors.New("the node is lost")
	ErrNodeLeft   = errors.New("the node has left the cluster")
	ErrNotLive    = errors.New("the node is on its way into the cluster")
	errHandedOver = errors.New("this node goes on in another process")
	errBeganAnew  = errors.New("this node has begun anew in the cluster, for its clock jumped")
)

// maxFrameAge is how old a frame of a stream may be: whoever asked has given up, perhaps, and
// has asked again.
const maxFrameAge = 5 * time.Second

// Dial opens a stream to the node of that name, to which about is said, of
// stream.MaxAboutBytes at most. It must not begin with 0. It does not wait for that node: if it is not there any more,
// the stream fails. Errors wrap one of those above or one of package stream.
func (n *Node) Dial(name string, about []byte) (net.Conn, error) {
	epoch, err := n.liveNamed(name)
	if err != nil {
		return nil, err
	}
	conn, err := n.streams.Open(epoch, about)
	if err != nil {
		return nil, fmt.Errorf("opening a stream: %w", err)
	}
	return conn, nil
}

// Accept returns the next stream that another node has opened with Dial, with the name of that
// node and what was said. Its error is net.ErrClosed after Close and when ctx ends.
func (n *Node) Accept(ctx context.Context) (conn net.Conn, node string, about []byte, err error) {
	for {
		accepted, err := n.streams.Accept(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		if bytes.Equal(accepted.About(), aboutSession) {
			n.answerByStream(accepted)
			continue
		}
		if name, there := n.nameOf(accepted.Peer()); there {
			return accepted, name, accepted.About(), nil
		}
		accepted.Close()
	}
}

// nameOf is the name of the node of an epoch; there is false if it has gone.
func (n *Node) nameOf(epoch seal.Epoch) (name string, there bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[epoch]
	if p == nil {
		return "", false
	}
	return p.told.name, true
}

// liveNamed is the epoch of the live node of that name.
func (n *Node) liveNamed(name string) (epoch seal.Epoch, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	err = ErrNoNode
	for _, a := range n.absent {
		if a.name == name {
			err = ErrNodeLost
		}
	}
	for _, p := range n.peers {
		switch {
		case p.told.name != name || !p.proven:
		case !p.live() && p.lost:
			err = ErrNodeLost
		case !p.live():
			err = ErrNotLive
		case !n.connected:
			return epoch, ErrCutOff
		default:
			return p.epoch, nil
		}
	}
	return epoch, err
}

// frameHead begins the body of each frame of a stream. It says which life of which node it
// is for, and repeats the challenge that this node has for the sender: so what was recorded
// is of no use at another node, nor at this one in another life, nor if this one has forgotten
// the sender and what it had from it.
type frameHead struct {
	epoch     seal.Epoch
	turn      uint16
	challenge uint64
	sent      time.Duration // by the sender's clock, since its epoch began
}

func (h *frameHead) append(dst []byte) []byte {
	dst = append(dst, h.epoch[:]...)
	dst = binary.BigEndian.AppendUint16(dst, h.turn)
	dst = binary.BigEndian.AppendUint64(dst, h.challenge)
	return binary.BigEndian.AppendUint64(dst, uint64(h.sent))
}

const frameHeadBytes = 8 + 2 + 8 + 8

func parseFrame(body []byte) (h frameHead, frame []byte, err error) {
	if len(body) < frameHeadBytes {
		return h, nil, errBody
	}
	copy(h.epoch[:], body)
	h.turn = binary.BigEndian.Uint16(body[8:])
	h.challenge = binary.BigEndian.Uint64(body[10:])
	h.sent = time.Duration(binary.BigEndian.Uint64(body[18:]))
	return h, body[frameHeadBytes:], nil
}

// largestFrame is how many bytes of a frame NATS takes.
func (n *Node) largestFrame() int { return int(n.part.Load()) - frameHeadBytes }

// sendFrame sends a frame of a stream to a peer, and reports false if it will not arrive.
func (n *Node) sendFrame(to seal.Epoch, frame []byte) bool {
	return n.sendApart(to, seal.KindFrame, frame)
}

// sendApart sends something to one peer, behind a frameHead, and reports false if it will not
// arrive. If nobody listens there, NATS says so.
func (n *Node) sendApart(to seal.Epoch, kind seal.Kind, frame []byte) bool {
	n.framing.Lock() // frames leave in the order of their numbers
	defer n.framing.Unlock()
	n.mu.Lock()
	p := n.peers[to]
	if !n.connected || p == nil || !p.live() || p.echo == 0 {
		n.mu.Unlock()
		return false
	}
	h := frameHead{epoch: p.epoch, turn: p.turn, challenge: p.echo}
	subject, reply := p.frames, p.answers
	if kind == seal.KindSession {
		subject = p.sessions
	}
	n.mu.Unlock()
	h.sent = n.now() - n.life.Load().began
	body := append(h.append(make([]byte, 0, frameHeadBytes+len(frame))), frame...)
	return n.say(subject, reply, kind, body, n.soon())
}

// receiveFrame takes a frame of a stream.
func (n *Node) receiveFrame(msg *nats.Msg) {
	if p, frame := n.openFrame(msg.Data, seal.KindFrame); p != nil {
		n.streams.Receive(p.epoch, frame)
	}
}

// openFrame opens what a peer has sent with sendApart; nil: it is dropped.
func (n *Node) openFrame(envelope []byte, kind seal.Kind) (from *peer, frame []byte) {
	head, err := seal.ReadHead(envelope)
	if err == nil && n.takenFrom(head.Epoch) == nil {
		n.counts.dropped[droppedUnknown].Add(1) // without the effort of opening it
		return nil, nil
	}
	head, body, ok := n.open(envelope)
	if !ok || head.Kind != kind {
		return nil, nil
	}
	h, frame, err := parseFrame(body)
	p := n.takenFrom(head.Epoch)
	if err != nil || p == nil {
		n.counts.dropped[droppedForged].Add(1)
		return nil, nil
	}
	if reason, ok := n.admitFrame(p, head, &h); !ok {
		n.counts.dropped[reason].Add(1)
		if reason == droppedLate { // who has asked hears that nothing comes
			return nil, nil
		}
		n.paces.report(n.now(), "frame "+dropWords[reason], func() {
			n.log.Warn("a part of a control request of another node was refused",
				slog.String("epoch", p.epoch.String()), slog.String("reason", dropWords[reason]))
		})
		return nil, nil
	}
	return p, frame
}

// admitFrame notes that a frame came, unless it is not for this life of this node, or not
// newer than all that came before, or too old. Nothing is taken by a process that may have
// been set back to an earlier state: it may have had it already.
func (n *Node) admitFrame(p *peer, head seal.Head, h *frameHead) (reason dropReason, ok bool) {
	l := n.life.Load()
	n.mu.Lock()
	last := &p.lastFrame
	if head.Kind == seal.KindSession {
		last = &p.lastSession
	}
	switch {
	case n.jumped(l):
		n.mu.Unlock()
		n.lookSoon()
		return droppedLate, false
	case h.epoch == l.epoch && h.turn < l.turn && h.challenge == p.challenge: // for the process before this one
		n.mu.Unlock()
		return droppedLate, false
	case h.epoch != l.epoch || h.turn != l.turn || h.challenge != p.challenge:
		n.mu.Unlock()
		return droppedForged, false
	case !last.before(head):
		n.mu.Unlock()
		return droppedSeen, false
	}
	*last = place{head.Turn, head.Number}
	n.mu.Unlock()
	p.receiving.Lock()
	defer p.receiving.Unlock()
	return droppedLate, p.ages.of(n.now(), h.sent) <= maxFrameAge
}

// place is that of an envelope among all of its kind in an epoch.
type place struct {
	turn   uint16
	number uint64
}

func (l place) before(head seal.Head) bool {
	return l.turn < head.Turn || l.turn == head.Turn && l.number < head.Number
}
