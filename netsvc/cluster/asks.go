package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/stream"
)

// Nodes ask each other for remembered sessions (package moving). A question goes to one peer, again
// and again until it answers or is lost. A large answer is fetched through a stream, at the
// speed at which it is read. What is said is protected as frames of streams are: it is for one
// life of one node, and nothing of it can be played again.

const (
	// maxAsks is how many questions to peers are open at once; others wait. maxAnswers is how many
	// of peers are being answered: what is more is asked again.
	maxAsks, maxAnswers = 256, 1024
	// maxFetched is how many large answers are fetched at once, and maxMadeLarge how many are
	// made; largeAnswerBytes is from where on an answer is one.
	maxFetched, maxMadeLarge = 8, 16
	largeAnswerBytes         = 128 << 10
	// maxAskPause bounds the time to the next try, which doubles: a peer that hangs is not flooded
	// for all the sessions of a crowd.
	maxAskPause = 240 * time.Millisecond
	// longAgo is before anything.
	longAgo = -time.Hour
)

// What stands first in what is said of sessions.
const (
	sessionQuestion = 1 // number 8, question
	sessionAnswer   = 2 // number 8, answer
	sessionLarge    = 3 // number 8: the answer is to be fetched
	sessionConfirms = 4 // confirmation
)

// aboutSession is said when a stream is opened for a question and its answer.
var aboutSession = []byte{0}

// asks are the questions that this node has put to peers.
type asks struct {
	places, fetching *semaphore.Weighted

	mu   sync.Mutex
	last uint64
	open map[uint64]*ask
}

// ask is a question to a peer.
type ask struct {
	peer   seal.Epoch
	answer chan []byte // nil: it is to be fetched
}

func (a *asks) begin() {
	a.places, a.fetching = semaphore.NewWeighted(maxAsks), semaphore.NewWeighted(maxFetched)
	a.open = make(map[uint64]*ask)
}

func (a *asks) put(peer seal.Epoch) (number uint64, _ *ask) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	one := &ask{peer, make(chan []byte, 1)}
	a.open[a.last] = one
	return a.last, one
}

func (a *asks) remove(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, number)
}

// answered hands the first answer of a peer to who asked.
func (a *asks) answered(peer seal.Epoch, number uint64, answer []byte) {
	a.mu.Lock()
	one := a.open[number]
	a.mu.Unlock()
	if one == nil || one.peer != peer {
		return
	}
	select {
	case one.answer <- answer:
	default:
	}
}

// answers are the questions of peers that are being answered, until end; begin allows them again.
type answers struct {
	places, large *semaphore.Weighted

	mu    sync.Mutex
	ctx   context.Context // nil: none are
	stop  context.CancelFunc
	going sync.WaitGroup
}

func (a *answers) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.places == nil {
		a.places, a.large = semaphore.NewWeighted(maxAnswers), semaphore.NewWeighted(maxMadeLarge)
	}
	if a.ctx == nil {
		a.ctx, a.stop = context.WithCancel(background)
	}
}

// end returns when none is being answered.
func (a *answers) end() {
	a.mu.Lock()
	if a.ctx != nil {
		a.stop()
		a.ctx = nil
	}
	a.mu.Unlock()
	a.going.Wait()
}

// try calls answer in the background if there is a place for it.
func (a *answers) try(places *semaphore.Weighted, answer func(ctx context.Context)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx == nil || !places.TryAcquire(1) {
		return false
	}
	ctx := a.ctx
	a.going.Go(func() {
		defer places.Release(1)
		answer(ctx)
	})
	return true
}

// Answering are the live peers that can be asked for remembered sessions.
func (n *Node) Answering() (epochs []seal.Epoch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.live() && p.told.answers {
			epochs = append(epochs, p.epoch)
		}
	}
	return epochs
}

// NameOf is the name of a node that is or was a peer; empty: it is not known.
func (n *Node) NameOf(epoch seal.Epoch) string {
	name, _ := n.nameOf(epoch)
	return name
}

// Settled reports whether this node can go on with sessions of others: whatever it does not get of
// what was sent before is not under way any more. So it has to be live for as long as a message
// may be, and all its peers likewise. Without a connection it can after that time, too: then it
// serves its own sessions.
func (n *Node) Settled() bool { return n.unsettled() <= 0 }

// unsettled is how long it takes at least until the node is settled; 0 or less: it is.
func (n *Node) unsettled() time.Duration {
	if n.away.Load() {
		return n.timing.beat
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now, wait := n.now(), time.Duration(n.wait.Load())
	if !n.connected {
		return wait - time.Since(n.cutOffSince)
	}
	until := n.hearsSince + wait
	switch {
	case !n.ready.Load(): // refused, perhaps: then nobody is asked
		until = n.connectedAt + n.timing.lost + wait
	case n.liveAt > 0:
		until = max(until, n.liveAt+wait)
	}
	for _, p := range n.peers {
		switch {
		case p.lost:
			until = max(until, n.goneFrom(p))
		case p.live():
			until = max(until, p.joined+max(wait, p.told.wait))
		default:
			until = max(until, n.strangerFrom(p))
		}
	}
	return until - now
}

// Ask puts a question to a peer, again and again until that answers. The error wraps moving.ErrLost
// if the peer is lost for a while, or has left; others say that nobody can be asked at present, or that ctx has ended.
func (n *Node) Ask(ctx context.Context, peer seal.Epoch, question []byte) ([]byte, error) {
	if err := n.asks.places.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	defer n.asks.places.Release(1)
	number, a := n.asks.put(peer)
	defer n.asks.remove(number)
	frame := binary.BigEndian.AppendUint64([]byte{sessionQuestion}, number)
	frame = append(frame, question...)
	fetch := len(frame) > n.largestFrame()
	own := n.life.Load().epoch
	for pause := n.timing.ask; ; pause = min(2*pause, maxAskPause) {
		if err := n.canAsk(own, peer); err != nil {
			return nil, err
		}
		if fetch {
			answer, err := n.fetch(ctx, peer, question)
			if err == nil {
				return answer, nil
			}
			n.log.Debug("what another node remembers of a session could not be fetched", slog.Any("error", err))
		} else {
			n.sendApart(peer, seal.KindSession, frame)
		}
		again := time.NewTimer(pause)
		select {
		case answer := <-a.answer:
			again.Stop()
			if answer != nil {
				return answer, nil
			}
			fetch, pause = true, n.timing.ask/2
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return nil, context.Cause(ctx)
		case <-n.ending:
			again.Stop()
			return nil, net.ErrClosed
		}
	}
}

// canAsk says why a peer cannot answer any more, or why this node, which began to ask it in an
// epoch, cannot hear that.
func (n *Node) canAsk(own, peer seal.Epoch) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch p := n.peers[peer]; {
	case n.away.Load():
		return errHandedOver
	case n.life.Load().epoch != own:
		return errBeganAnew
	case p == nil:
		return fmt.Errorf("asking for a session: %w: it has left", moving.ErrLost)
	case p.lost && n.now() >= n.goneFrom(p):
		return fmt.Errorf("asking for a session: %w", moving.ErrLost)
	case !p.lost && !p.live() && n.now() >= n.strangerFrom(p):
		return fmt.Errorf("asking for a session: %w: it does not come in", moving.ErrLost)
	}
	return nil
}

// strangerFrom is from when on a peer on its way in is not waited for any more: not longer than one
// that is silent. The caller holds mu.
func (n *Node) strangerFrom(p *peer) time.Duration { return p.met + n.timing.lost }

// goneFrom is from when on a lost peer counts as one that has no sessions any more: before that
// its connection or NATS was away for a moment, perhaps, and what it keeps for a session must not be
// given up for that. The caller holds mu.
func (n *Node) goneFrom(p *peer) time.Duration {
	lost := p.lostAt
	if n.connected && n.reconnects > 0 {
		lost = max(lost, n.connectedAt)
	}
	return lost + n.timing.back
}

// fetch asks a peer through a stream.
func (n *Node) fetch(ctx context.Context, peer seal.Epoch, question []byte) ([]byte, error) {
	if err := n.asks.fetching.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	defer n.asks.fetching.Release(1)
	conn, err := n.streams.Open(peer, aboutSession)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(binary.BigEndian.AppendUint32(nil, uint32(len(question)))); err != nil {
		return nil, err
	}
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxMessageBytes))
	switch {
	case err != nil:
		return nil, err
	case len(answer) == 0:
		return nil, moving.ErrUnanswered
	case len(answer) == maxMessageBytes:
		return nil, errors.New("the answer is too large")
	}
	return answer, nil
}

// answerByStream answers the question that comes through a stream.
func (n *Node) answerByStream(conn *stream.Conn) {
	tried := n.options.Answer != nil && n.answers.try(n.answers.large, func(ctx context.Context) {
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil || binary.BigEndian.Uint32(size[:]) > maxQuestionBytes {
			return
		}
		question := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		answer, err := n.options.Answer(ctx, conn.Peer(), question)
		if err == nil {
			_, err = conn.Write(answer)
		}
		if err != nil {
			n.log.Debug("a question of another node for a session is not answered", slog.Any("error", err))
		}
	})
	if !tried {
		conn.Close() // it is asked again
	}
}

// maxQuestionBytes bounds a question: what all peers that there may be can lack fits in.
const maxQuestionBytes = 4 << 20

// Confirm says something of a session to all peers. It may be lost.
func (n *Node) Confirm(confirmation []byte) {
	frame := append([]byte{sessionConfirms}, confirmation...)
	for _, peer := range n.Answering() {
		n.sendApart(peer, seal.KindSession, frame)
	}
}

// receiveSession takes what a peer says of sessions.
func (n *Node) receiveSession(msg *nats.Msg) {
	p, frame := n.openFrame(msg.Data, seal.KindSession)
	if p == nil || len(frame) == 0 {
		return
	}
	n.mu.Lock()
	n.heardFrom(p)
	n.mu.Unlock()
	r := reader{rest: frame}
	kind := r.byte()
	if kind == sessionConfirms {
		if n.options.Confirmed != nil {
			n.tellOwner(func() { n.options.Confirmed(p.epoch, r.rest) })
		}
		return
	}
	number := r.uint64()
	switch {
	case r.failed:
		n.counts.dropped[droppedForged].Add(1)
	case kind == sessionQuestion && n.options.Answer != nil:
		n.tellOwner(func() {
			n.answers.try(n.answers.places, func(ctx context.Context) { n.answer(ctx, p.epoch, number, r.rest) })
		})
	case kind == sessionAnswer && len(r.rest) > 0:
		n.asks.answered(p.epoch, number, r.rest)
	case kind == sessionLarge:
		n.asks.answered(p.epoch, number, nil)
	}
}

// answer answers a question of a peer.
func (n *Node) answer(ctx context.Context, asker seal.Epoch, number uint64, question []byte) {
	answer, err := n.options.Answer(ctx, asker, question)
	if err != nil {
		if !errors.Is(err, moving.ErrUnanswered) && ctx.Err() == nil {
			n.log.Debug("a question of another node for a session is not answered", slog.Any("error", err))
		}
		return
	}
	kind := byte(sessionAnswer)
	if len(answer) > min(largeAnswerBytes, n.largestFrame()-numberBytes) {
		kind, answer = sessionLarge, nil
	}
	frame := binary.BigEndian.AppendUint64([]byte{kind}, number)
	n.sendApart(asker, seal.KindSession, append(frame, answer...))
}

// numberBytes is what stands before an answer.
const numberBytes = 1 + 8
