package moving

import (
	"context"
	"errors"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Options are what a Mover needs of the node and of its sessions. All functions may be called
// concurrently.
type Options struct {
	// Peers are the live ones.
	Peers func() []seal.Epoch
	// Ask puts a question to a peer, again and again until it is answered. It fails with ErrLost
	// if the peer is lost, and else if this node cannot ask at present, or ctx ends.
	Ask func(ctx context.Context, peer seal.Epoch, question []byte) ([]byte, error)
	// Tell says something to all peers. It may be lost.
	Tell func(confirmation []byte)
	// Last is the own epoch, and the number of its last message.
	Last func() (seal.Epoch, uint64)
	// Seen is what this node has taken of its own and its peers' messages, worked off or not.
	Seen func() Cover
	// Lacks reports whether a message of another node that is seen elsewhere is not yet worked
	// off here, and may still come.
	Lacks func(seen Cover) bool
	// Still calls f while no message is being queued for sessions, with what was worked off.
	Still func(f func(worked Cover))
	// Look returns what is to be answered. Freeze does so too, and freezes what is remembered
	// with Found; it is called within Still, and open afterwards, which makes the bytes.
	Look   func(q *Question) Status
	Freeze func(q *Question, worked Cover) (status Status, open func() Memory)
	// Drop deletes what is remembered of a session that goes on elsewhere, unless it has taken
	// the same turn or a larger one; node is its name, for people.
	Drop func(s Session, turn uint64, node string)
	// Patience is how long a message may be under way.
	Patience func() time.Duration
	// Name is the name of a peer, for people.
	Name func(peer seal.Epoch) string
}

// ErrLost is wrapped by what Options.Ask returns of a peer that is lost.
var ErrLost = errors.New("the node is lost")

// Mover asks the peers for sessions, and answers them.
type Mover struct {
	options Options

	mu        sync.Mutex
	answering map[answering]bool
}

// maxAnswering is how many questions are being answered at once. Others come again.
const maxAnswering = 65536

// answering is a question that is being answered: it comes again until it is.
type answering struct {
	asker   seal.Epoch
	session Session
	turn    uint64
}

// New returns a Mover.
func New(o Options) *Mover { return &Mover{options: o, answering: make(map[answering]bool)} }

// Result is what came of a question.
type Result struct {
	Stale    bool     // a peer took that turn or a larger one
	Memories []Memory // of the peers that have one
	// Before is what was sent before the session was entered here: one that begins does not get
	// that. Of a peer that is lost it is all.
	Before Cover
	// Past are lives of which nothing can come any more that was sent before.
	Past []seal.Epoch
	// Patience is how long messages of others may still come that were sent before.
	Patience time.Duration
}

// Ask asks all live peers for a session that was entered here, and returns when each has
// answered or is lost. It fails if this node cannot ask any more, or ctx ends.
func (m *Mover) Ask(ctx context.Context, q Question) (Result, error) {
	entered := time.Now()
	q.Seen = m.options.Seen()
	result := Result{Before: maps.Clone(q.Seen), Patience: m.options.Patience()}
	for epoch := range result.Before { // of peers that are lost
		result.Before[epoch] = Numbers{Top: math.MaxUint64}
	}
	own, last := m.options.Last()
	result.Before[own] = Numbers{Top: last}

	question := q.Append(nil)
	var mu sync.Mutex
	var failed error
	var asked sync.WaitGroup
	for _, peer := range m.options.Peers() {
		asked.Go(func() {
			answer, err := m.askOne(ctx, peer, question)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, ErrLost):
				result.Before[peer] = Numbers{Top: math.MaxUint64}
				return
			case err != nil:
				failed = err
				return
			}
			result.Before[peer] = Numbers{Top: answer.Last}
			switch answer.Status {
			case Stale:
				result.Stale = true
			case Found:
				answer.Memory.Node = m.options.Name(peer)
				result.Memories = append(result.Memories, answer.Memory)
			}
		})
	}
	asked.Wait()
	if time.Since(entered) >= result.Patience { // it was waited until a peer was lost
		for epoch, before := range result.Before {
			if before.Top == math.MaxUint64 {
				result.Past = append(result.Past, epoch)
			}
		}
	}
	return result, failed
}

// askOne asks one peer. One whose answer cannot be read has nothing that could be of use.
func (m *Mover) askOne(ctx context.Context, peer seal.Epoch, question []byte) (Answer, error) {
	body, err := m.options.Ask(ctx, peer, question)
	if err != nil {
		return Answer{}, err
	}
	answer, err := ParseAnswer(body)
	if err != nil {
		return Answer{}, errors.Join(ErrLost, err)
	}
	return answer, nil
}

// Confirm tells all peers that this node goes on with a session since that turn, or that the
// session has ended.
func (m *Mover) Confirm(s Session, turn uint64) {
	c := Confirmation{s, turn}
	m.options.Tell(c.Append(nil))
}

// Confirmed takes the confirmation of a peer.
func (m *Mover) Confirmed(from seal.Epoch, body []byte) error {
	c, err := ParseConfirmation(body)
	if err != nil {
		return err
	}
	m.options.Drop(c.Session, c.Turn, m.options.Name(from))
	return nil
}

// ErrUnanswered is what Answer returns for a question that it is answering already, or that
// is one too many.
var ErrUnanswered = errors.New("the question is not answered now")

// lookEvery is how often it is looked whether a question can be answered now.
const lookEvery = 2 * time.Millisecond

// Answer answers the question of a peer, as soon as that is possible: when this node has
// worked off what the asker had, and is not asking for an older turn of the session itself.
func (m *Mover) Answer(ctx context.Context, asker seal.Epoch, body []byte) ([]byte, error) {
	q, err := ParseQuestion(body)
	if err != nil {
		return nil, err
	}
	q.Asker = m.options.Name(asker)
	this := answering{asker, q.Session, q.Claim.Turn}
	m.mu.Lock()
	busy := m.answering[this] || len(m.answering) >= maxAnswering
	if !busy {
		m.answering[this] = true
	}
	m.mu.Unlock()
	if busy {
		return nil, ErrUnanswered
	}
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.answering, this)
	}()

	answer := Answer{}
	_, answer.Last = m.options.Last()
	patience := time.NewTimer(m.options.Patience())
	defer patience.Stop()
	patient := true
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		answer.Status = m.options.Look(&q)
		// What it lacks when its patience is over does not come any more.
		if answer.Status == Found && (!patient || !m.options.Lacks(q.Seen)) {
			var open func() Memory
			m.options.Still(func(worked Cover) { answer.Status, open = m.options.Freeze(&q, worked) })
			if answer.Status == Found {
				answer.Memory = open()
				return answer.Append(nil), nil
			}
		}
		if answer.Status == Nothing || answer.Status == Stale {
			return answer.Append(nil), nil
		}
		select {
		case <-look.C:
		case <-patience.C:
			patient = false
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
