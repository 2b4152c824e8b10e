package hub_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// movingWorld is a cluster, an add-in with one session, and somebody who plays its packets again.
type movingWorld struct {
	t    *testing.T
	log  *[]string
	ctx  context.Context
	stop context.CancelFunc

	mu      sync.Mutex // guards what goroutines of nodes use
	nodes   [3]*movingNode
	lives   uint64
	links   [3][3][]*posted
	control [3][3][]*said
	holders int            // nodes that have sessions, the first ones
	calls   map[*call]bool // questions without an answer
	working int            // answers that are being made

	conns   []*movingConn
	packets []*movingPacket
	cl      movingClient
	last    int // number of the last message
	senders [3]*posted
	posts   []*posted

	frame   int // size of one
	offered map[int]bool
	exempt  map[int]bool
	loose   bool // the order may be another one: a node was killed with messages that it was about to send
	bound   bool // something happened of which nothing is promised
	killed  bool
	first   int // last message before the session was first there; -1: it was not
}

type movingNode struct {
	i     int
	up    bool
	epoch seal.Epoch
	last  uint64 // number of its last message
	h     *hub.Hub
	mover *moving.Mover
	ln    *pipeListener
	ended chan error
	seen  map[seal.Epoch]map[uint64]bool

	events []hub.Event
	ghost  bool // the session is there only because a packet was played again
	floor  int  // messages up to that one are no concern of the session
	// Of the registration that is being decided:
	by     *movingConn
	own    *moving.Line
	result *moving.Result
	had    []int // messages that the memory had when the others had answered
}

// posted is a message.
type posted struct {
	id, sender int
	origin     moving.Origin
}

// said is what a node says to another one.
type said struct {
	kind byte // q, a or c
	call *call
	body []byte
}

// call is a question.
type call struct {
	from, to int
	body     []byte
	answer   chan []byte // nil: the peer is lost
}

type movingConn struct {
	*pipe
	id       int
	node     *movingNode
	epoch    seal.Epoch
	evil     bool
	packet   *movingPacket
	admitted bool // the node has read the packet
	turn     uint64
	open     bool // the client has it
	fin      bool
}

type movingPacket struct {
	said  wire.Attributes
	bytes []byte
	done  bool // a node has taken it
}

type movingClient struct {
	turn, received, from uint64
	conn                 *movingConn
	accepted             []*posted
}

const movingUser = "1"

func newMovingWorld(t *testing.T, holders int, log *[]string) *movingWorld {
	w := &movingWorld{
		t: t, log: log, holders: holders, calls: make(map[*call]bool), offered: make(map[int]bool), exempt: make(map[int]bool), first: -1,
		frame: len(modelKey(1).AppendFrame(nil, topic(movingText(1)).AppendJSON(nil))),
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	for i := range w.nodes {
		w.nodes[i] = &movingNode{i: i}
		w.start(w.nodes[i])
	}
	return w
}

func movingText(id int) string { return fmt.Sprintf("%06d", id) }

func (w *movingWorld) say(format string, args ...any) {
	if w.log != nil {
		*w.log = append(*w.log, fmt.Sprintf(format, args...))
	}
}

func (w *movingWorld) fail(property, format string, args ...any) {
	w.say("*** "+property+": "+format, args...)
	panic(violation{property, fmt.Sprintf(format, args...)})
}

func (n *movingNode) name() string { return string("ABC"[n.i]) }

// start starts a node, in a new life.
func (w *movingWorld) start(n *movingNode) {
	w.lives++
	*n = movingNode{i: n.i, up: true, seen: make(map[seal.Epoch]map[uint64]bool)}
	binary.BigEndian.PutUint64(n.epoch[:], w.lives)
	if n.i >= w.holders { // it has no sessions
		return
	}
	life := *n
	n.h = hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler),
		Limits: hub.Limits{ResumeWindow: 100 * time.Hour, ResumeBytes: 1 << 20},
		Observe: func(e hub.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if n.epoch == life.epoch {
				n.events = append(n.events, e)
			}
		}})
	n.h.LeaveWatch()
	n.h.SetApp(appID, []hub.Key{{Generation: 1, Secret: modelKey(1)}})
	n.mover = moving.New(moving.Options{
		Peers: func() []seal.Epoch { return w.peersOf(n) },
		Ask: func(ctx context.Context, peer seal.Epoch, question []byte) ([]byte, error) {
			return w.ask(ctx, n, peer, question)
		},
		Tell: func(confirmation []byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, o := range w.having() {
				if o != n && o.up {
					w.control[n.i][o.i] = append(w.control[n.i][o.i], &said{kind: 'c', body: confirmation})
				}
			}
		},
		Last:     func() (seal.Epoch, uint64) { return n.epoch, n.last },
		Seen:     func() moving.Cover { return n.cover() },
		Lacks:    func(seen moving.Cover) bool { return w.lacks(n, seen) },
		Still:    func(f func(moving.Cover)) { f(n.cover()) },
		Look:     n.h.Look,
		Freeze:   n.h.Freeze,
		Drop:     n.h.Drop,
		Patience: func() time.Duration { return time.Hour },
		Name:     seal.Epoch.String,
	})
	n.h.AskElsewhere(decided{w, n})
	n.ln, n.ended = newPipeListener(), make(chan error, 1)
	h, ln, ended := n.h, n.ln, n.ended
	go func() { ended <- h.Serve(ln) }()
}

// having are the nodes that have sessions.
func (w *movingWorld) having() []*movingNode { return w.nodes[:w.holders] }

// decided is a Mover of which it is noted what it was answered.
type decided struct {
	w *movingWorld
	n *movingNode
}

func (d decided) Ask(ctx context.Context, q moving.Question) (moving.Result, error) {
	result, err := d.n.mover.Ask(ctx, q)
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.n.result, d.n.had = &result, ids(d.n.h.Contents(movingUser))
	return result, err
}

func (d decided) Settled() bool { return true }

func (d decided) Confirm(s moving.Session, turn uint64) { d.n.mover.Confirm(s, turn) }

// ids are the messages in frames.
func ids(frames [][]byte) (all []int) {
	for _, f := range frames {
		text, err := wire.ReadFrame(bytes.NewReader(f), modelKey(1), 1<<20)
		if err != nil {
			panic(err)
		}
		all = append(all, idOf(text))
	}
	return all
}

func idOf(text []byte) int {
	id, err := strconv.Atoi(strings.Trim(string(text), `{"topic:}`))
	if err != nil {
		panic(err)
	}
	return id
}

func (w *movingWorld) peersOf(n *movingNode) (peers []seal.Epoch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.nodes {
		if o != n && o.up {
			peers = append(peers, o.epoch)
		}
	}
	return peers
}

var errLost = fmt.Errorf("asking: %w", moving.ErrLost)

// ask asks another node, and returns its answer when the test lets it come.
func (w *movingWorld) ask(ctx context.Context, n *movingNode, peer seal.Epoch, question []byte) ([]byte, error) {
	w.mu.Lock()
	at := slices.IndexFunc(w.nodes[:], func(o *movingNode) bool { return o.up && o.epoch == peer })
	if at >= w.holders { // it remembers nothing, and says so at once
		defer w.mu.Unlock()
		nothing := moving.Answer{Last: w.nodes[2].last}
		return nothing.Append(nil), nil
	}
	if at < 0 {
		w.mu.Unlock()
		return nil, errLost
	}
	c := &call{n.i, at, question, make(chan []byte, 1)}
	w.calls[c] = true
	w.control[n.i][at] = append(w.control[n.i][at], &said{kind: 'q', call: c})
	w.mu.Unlock()
	select {
	case answer := <-c.answer:
		if answer == nil {
			return nil, errLost
		}
		return answer, nil
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.calls, c)
		return nil, context.Cause(ctx)
	}
}

// cover is what a node has worked off.
func (n *movingNode) cover() moving.Cover {
	c := moving.Cover{n.epoch: {Top: n.last}}
	for epoch, seen := range n.seen {
		if epoch == n.epoch {
			continue
		}
		numbers := moving.Numbers{}
		for number := range seen {
			numbers.Top = max(numbers.Top, number)
		}
		for number := uint64(1); number < numbers.Top; number++ {
			if !seen[number] {
				numbers.Missing = append(numbers.Missing, number)
			}
		}
		c[epoch] = numbers
	}
	return c
}

// lacks reports whether one of these messages is on its way to a node.
func (w *movingWorld) lacks(n *movingNode, seen moving.Cover) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.links {
		for _, x := range w.links[i][n.i] {
			if seen.Has(x.origin) && !n.seen[x.origin.Epoch][x.origin.Number] {
				return true
			}
		}
	}
	return false
}

// settle waits until nobody has anything to do, and takes note of what happened.
func (w *movingWorld) settle() {
	synctest.Wait()
	w.mu.Lock()
	working := w.working
	w.mu.Unlock()
	if working > 0 { // one that waits looks again
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
	}
	for _, n := range w.having() {
		w.mu.Lock()
		events := n.events
		n.events = nil
		w.mu.Unlock()
		for _, e := range events {
			w.happened(n, e)
		}
	}
}

func (w *movingWorld) happened(n *movingNode, e hub.Event) {
	w.say("%s: %s %s", n.name(), e.Kind, e.Reason)
	k := n.by
	switch {
	case e.Kind == hub.RegistrationRefused && e.Reason == string(hub.ReasonStale):
		if k != nil {
			k.packet.done = true
			if n.result != nil && n.result.Stale && !k.evil && k == w.cl.conn {
				w.bound = true
			}
		}
	case e.Kind == hub.SessionOpened, e.Kind == hub.SessionResumed:
		k.packet.done = true
		w.resolved(n, k, e.Kind)
	}
}

// resolved takes note of a registration that was put into force.
func (w *movingWorld) resolved(n *movingNode, k *movingConn, kind hub.EventKind) {
	lines := make([]moving.Line, len(n.result.Memories))
	for i := range lines {
		lines[i] = n.result.Memories[i].Line
	}
	claim := moving.Claim{Turn: k.packet.said.Turn, Received: k.packet.said.Received, From: k.packet.said.From}
	use := moving.Choose(claim, n.own, lines)
	if (n.own == nil && use == moving.None) != (kind == hub.SessionOpened) {
		w.fail("RULE", "%s says %s, and %d was to be used", n.name(), kind, use)
	}
	switch {
	case use == moving.None && n.own == nil:
		n.ghost, n.floor = k.evil, w.last
	case use == moving.None:
		n.floor = w.last
		w.exempts(n.had)
		for _, m := range n.result.Memories {
			if m.Turn == n.own.Turn {
				w.say("two memories of one turn")
				w.exempts(within(m))
			}
		}
	case use >= 0:
		n.ghost = false
		for _, o := range w.having() {
			n.floor = max(n.floor, o.floor)
		}
	default:
		n.ghost = false
	}
	n.ghost = n.ghost && k.evil
	for _, id := range n.had {
		w.exempt[id] = w.exempt[id] || id <= n.floor
	}
	if w.first < 0 && !n.ghost {
		w.first = w.last
	}
}

func (w *movingWorld) exempts(all []int) {
	for _, id := range all {
		w.exempt[id] = true
	}
}

// within are the messages of a memory.
func within(m moving.Memory) (all []int) {
	for _, text := range m.Sent {
		all = append(all, idOf(text))
	}
	for _, f := range m.Unsent {
		all = append(all, idOf(f.Plaintext))
	}
	return all
}

// end ends all nodes.
func (w *movingWorld) end() {
	w.stop()
	for _, n := range w.having() {
		if n.up {
			w.stopNode(n)
		}
	}
	for _, k := range w.conns {
		k.breaks(syscall.ECONNRESET)
		pipes.Delete(k.fd)
	}
}

func (w *movingWorld) stopNode(n *movingNode) {
	n.ln.Close()
	<-n.ended
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	n.h.Shutdown(gone)
}
