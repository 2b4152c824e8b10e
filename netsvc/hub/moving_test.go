package hub_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// others are the other nodes of a cluster, as a test has them answer.
type others struct {
	asked     chan moving.Question
	answer    chan moving.Result
	confirmed chan uint64
	unsettled atomic.Bool
}

func newOthers() *others {
	return &others{
		asked: make(chan moving.Question, 8), answer: make(chan moving.Result, 8), confirmed: make(chan uint64, 8),
	}
}

func (o *others) Ask(ctx context.Context, q moving.Question) (moving.Result, error) {
	o.asked <- q
	select {
	case result := <-o.answer:
		return result, nil
	case <-ctx.Done():
		return moving.Result{}, ctx.Err()
	}
}

func (o *others) Settled() bool { return !o.unsettled.Load() }

func (o *others) Confirm(_ moving.Session, turn uint64) { o.confirmed <- turn }

// startAmong returns a service beside others, and an add-in.
func startAmong(t *testing.T) (*service, *others, *addin) {
	s, o := start(t, hub.Options{Limits: lasting}), newOthers()
	s.AskElsewhere(o)
	return s, o, s.addin("ann")
}

// openAmong is startAmong for a service that is to be handed over, see open.
func openAmong(t *testing.T) (*service, <-chan error, *others, *addin) {
	s, served := open(t, hub.Options{Limits: lasting})
	o := newOthers()
	s.AskElsewhere(o)
	return s, served, o, s.addin("ann")
}

// enters connects and registers, and returns when the other nodes are asked.
func (a *addin) enters(o *others) moving.Question {
	a.t.Helper()
	conn, err := net.Dial("tcp", a.s.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { conn.Close() })
	packet := a.packet(wire.ModeOpen)
	a.conn, a.opened = conn, a.turn
	if _, err := conn.Write(packet); err != nil {
		a.t.Fatal(err)
	}
	return <-o.asked
}

var (
	epochB  = seal.Epoch{2}
	someone = moving.Origin{Epoch: epochB, Number: 7}
)

// posts publishes a message that another node took, and returns whom it reached, or nil and who will say so.
func (s *service) posts(origin moving.Origin, text string) (*hub.Reach, <-chan hub.Reach) {
	told := make(chan hub.Reach, 1)
	reach, held := s.PublishFrom(origin, appID, toAll("ib"), topic(text).AppendJSON(nil), func(r hub.Reach) { told <- r })
	if held {
		return nil, told
	}
	return &reach, told
}

func TestWhatComesIsHeldWhileOtherNodesAreAsked(t *testing.T) {
	s, o, ann := startAmong(t)
	q := ann.enters(o)
	if want := (moving.Claim{Turn: 1}); q.Claim != want || q.Session.UserID != "ann" || q.Session.Secret != ann.session {
		t.Errorf("asked for %+v", q)
	}
	before, beforeTold := s.posts(someone, "sent before")
	after, afterTold := s.posts(moving.Origin{Epoch: epochB, Number: 8}, "sent after")
	if before != nil || after != nil {
		t.Fatal("it was said whom a message reached when that was not known")
	}
	if st := s.Stats(); st.Sessions != 0 || st.Registrations != 0 {
		t.Errorf("registered before the others have answered: %+v", st)
	}
	o.answer <- moving.Result{Before: moving.Cover{epochB: {Top: 7}}, Patience: time.Hour}
	if reach := <-beforeTold; reach.Sessions != 0 {
		t.Errorf("what was sent before reached %+v", reach)
	}
	if reach := <-afterTold; reach != (hub.Reach{Sessions: 1}) {
		t.Errorf("what was sent after reached %+v", reach)
	}
	if turn := <-o.confirmed; turn != 1 {
		t.Errorf("turn %d is confirmed", turn)
	}
	s.posts(moving.Origin{Epoch: epochB, Number: 6}, "late")
	s.posts(moving.Origin{Epoch: epochB, Number: 9}, "then")
	ann.gets("sent after", "then")
	if st := s.Stats(); st.Sessions != 1 || st.Detached != 0 || st.Opened != 1 || st.Resumed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestASessionIsTakenOverWhenTheNodeIsSettled: until then nothing is held for it, for it misses nothing elsewhere.
func TestASessionIsTakenOverWhenTheNodeIsSettled(t *testing.T) {
	s, o, ann := startAmong(t)
	o.unsettled.Store(true)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	ann.conn = conn
	eventually(t, "it is there", func() bool { return s.Stats().Unregistered == 1 })
	conn.Write(ann.packet(wire.ModeOpen))
	ann.opened = ann.turn
	eventually(t, "its registration is read", func() bool { return s.Stats().Unregistered == 0 })
	if reach, _ := s.posts(someone, "1"); reach == nil || reach.Sessions != 0 {
		t.Errorf("a message is held, or reached %+v", reach)
	}
	o.unsettled.Store(false)
	<-o.asked
	s.posts(moving.Origin{Epoch: epochB, Number: 8}, "2")
	o.answer <- moving.Result{}
	<-o.confirmed
	ann.gets("2")
}

func TestARegistrationThatAnotherNodeKnowsNewerIsOfNoEffect(t *testing.T) {
	s, o, ann := startAmong(t)
	ann.enters(o)
	_, told := s.posts(someone, "1")
	o.answer <- moving.Result{Stale: true}
	if reach := <-told; reach.Sessions != 0 {
		t.Errorf("a message reached %+v", reach)
	}
	closedGently(t, ann.conn)
	if st := s.Stats(); st.Sessions != 0 || st.Detached != 0 || st.Refused[hub.ReasonStale] != 1 {
		t.Errorf("%+v", st)
	}
	s.isEmpty()

	// One that was there before stays as it was.
	bob := s.addin("bob")
	bob.enters(o)
	o.answer <- moving.Result{}
	<-o.confirmed
	s.posts(moving.Origin{Epoch: epochB, Number: 8}, "2")
	bob.enters(o)
	_, told = s.posts(moving.Origin{Epoch: epochB, Number: 9}, "3")
	o.answer <- moving.Result{Stale: true}
	if reach := <-told; reach != (hub.Reach{Sessions: 1, Waiting: 1}) {
		t.Errorf("a message reached %+v", reach)
	}
	bob.enters(o)
	o.answer <- moving.Result{}
	<-o.confirmed
	bob.gets("2", "3")
}

// TestAFurtherRegistrationWaitsForTheOneBefore: until the others have answered that.
func TestAFurtherRegistrationWaitsForTheOneBefore(t *testing.T) {
	s, o, ann := startAmong(t)
	ann.enters(o)
	first := ann.conn
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "it is there", func() bool { return s.Stats().Unregistered == 1 })
	conn.Write(ann.packet(wire.ModeOpen))
	eventually(t, "its registration is read", func() bool { return s.Stats().Unregistered == 0 })
	s.posts(someone, "1")
	stale := s.Stats().Refused[hub.ReasonStale]
	o.answer <- moving.Result{}
	if q := <-o.asked; q.Claim.Turn != 2 || s.Stats().Refused[hub.ReasonStale] != stale {
		t.Errorf("asked for %+v", q)
	}
	o.answer <- moving.Result{}
	ann.conn, ann.opened = conn, 2
	ann.gets("1")
	first.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, first); err != nil { // it had the message, too, perhaps
		t.Errorf("the former connection: %v", err)
	}
}

func TestASessionThatIsForgottenWhileOtherNodesAreAskedBegins(t *testing.T) {
	s, o, ann := startAmong(t)
	ann.enters(o)
	_, told := s.posts(someone, "1")
	page, err := s.Sessions(hub.Query{UserID: "ann"})
	if err != nil || len(page.Sessions) != 1 {
		t.Fatalf("%+v %v", page, err)
	}
	s.CloseSession(page.Sessions[0].ID, time.Time{})
	if reach := <-told; reach.Sessions != 0 {
		t.Errorf("a message reached %+v", reach)
	}
	<-o.asked // once more
	s.posts(moving.Origin{Epoch: epochB, Number: 8}, "2")
	o.answer <- moving.Result{}
	ann.gets("2")
}

// TestAHubThatEndsDoesNotWaitForOtherNodes: start checks that nothing is left.
func TestAHubThatEndsDoesNotWaitForOtherNodes(t *testing.T) {
	s, o, ann := startAmong(t)
	ann.enters(o)
	s.posts(someone, "1")
}

func TestARegistrationThatWaitsForOtherNodesIsHandedOver(t *testing.T) {
	first, served, o, ann := openAmong(t)
	ann.enters(o)
	first.posts(someone, "1") // of no session yet
	second, _ := successorWith(t, handOver(t, first, served), lasting, hub.Key{Generation: 1, Secret: first.key})
	eventually(t, "it is registered", func() bool { return second.Stats().Sessions == 1 })
	second.send("2")
	ann.gets("2")
	if st := second.Stats(); st.Detached != 0 {
		t.Errorf("%+v", st)
	}
}

// node is a service of several that reach each other.
type node struct {
	*service
	epoch  seal.Epoch
	mover  *moving.Mover
	number uint64
	of     *nodes
}

// settled is a Mover of a node that is.
type settled struct{ *moving.Mover }

func (settled) Settled() bool { return true }

// nodes know each other. What one posts all get at once.
type nodes struct{ all []*node }

func startNodes(t *testing.T, count int) *nodes {
	all := new(nodes)
	for i := range count {
		n := &node{service: start(t, hub.Options{Limits: lasting}), of: all}
		binary.BigEndian.PutUint64(n.epoch[:], uint64(i+1))
		n.mover = moving.New(moving.Options{
			Peers: n.peers, Ask: n.ask, Tell: n.tell,
			Last:     func() (seal.Epoch, uint64) { return n.epoch, n.number },
			Seen:     n.cover,
			Lacks:    func(moving.Cover) bool { return false },
			Still:    func(f func(moving.Cover)) { f(n.cover()) },
			Look:     n.Look,
			Freeze:   n.Freeze,
			Drop:     n.Drop,
			Patience: func() time.Duration { return time.Hour },
			Name:     seal.Epoch.String,
		})
		n.AskElsewhere(settled{n.mover})
		all.all = append(all.all, n)
	}
	return all
}

func (n *node) peers() (peers []seal.Epoch) {
	for _, o := range n.of.all {
		if o != n {
			peers = append(peers, o.epoch)
		}
	}
	return peers
}

func (n *node) ask(ctx context.Context, peer seal.Epoch, question []byte) ([]byte, error) {
	for _, o := range n.of.all {
		if o.epoch == peer {
			return o.mover.Answer(ctx, n.epoch, question)
		}
	}
	return nil, errors.New("no such node")
}

func (n *node) tell(confirmation []byte) {
	for _, o := range n.of.all {
		if o != n {
			o.mover.Confirmed(n.epoch, confirmation)
		}
	}
}

func (n *node) cover() moving.Cover {
	c := make(moving.Cover)
	for _, o := range n.of.all {
		c[o.epoch] = moving.Numbers{Top: o.number}
	}
	return c
}

// posts has a message reach all nodes, and returns how many sessions it reached.
func (n *node) posts(texts ...string) (reached int) {
	for _, text := range texts {
		n.number++
		for _, o := range n.of.all {
			reach, _ := o.service.posts(moving.Origin{Epoch: n.epoch, Number: n.number}, text)
			if reach != nil {
				reached += reach.Sessions
			}
		}
	}
	return reached
}

func TestASessionGoesOnAtAnotherNode(t *testing.T) {
	all := startNodes(t, 3)
	a, b, c := all.all[0], all.all[1], all.all[2]
	ann := a.addin("ann")
	ann.connect()
	a.posts("1", "2")
	ann.gets("1")
	eventually(t, "both are written", func() bool {
		page, _ := a.Sessions(hub.Query{})
		return len(page.Sessions) == 1 && page.Sessions[0].Delivered == 2
	})
	ann.breaks()
	if n := b.posts("3"); n != 1 {
		t.Errorf("a message reached %d sessions", n)
	}

	// The other node has a newer key only.
	b.SetApp(appID, []hub.Key{{Generation: 2, Secret: clientKey(t, 2)}})
	ann.s, ann.key = b.service, clientKey(t, 2)
	ann.connect()
	if n := c.posts("4"); n != 1 {
		t.Errorf("a message reached %d sessions", n)
	}
	ann.gets("2", "3", "4")
	eventually(t, "the former node has forgotten it", func() bool { return a.Stats().Detached == 0 })
	was, is := a.Stats(), b.Stats()
	if was.Sessions != 0 || was.Closed["moved"] != 1 || is.Sessions != 1 || is.Resumed != 1 || is.Missed != 0 {
		t.Errorf("%+v\n%+v", was, is)
	}

	// On to the third while the connection is still there, and back.
	c.SetApp(appID, []hub.Key{{Generation: 2, Secret: clientKey(t, 2)}})
	half := ann.conn
	ann.s = c.service
	ann.connect()
	closedGently(t, half)
	a.posts("5")
	ann.breaks()
	a.posts("6")
	ann.s = b.service
	ann.connect()
	ann.gets("5", "6")
	if n := a.posts("7"); n != 1 {
		t.Errorf("a message reached %d sessions", n)
	}
	ann.gets("7")

	// An older packet is stale at each of them, and a goodbye is one for all.
	older := ann.packet(wire.ModeOpen)
	ann.connect()
	ann.s = b.service
	for _, n := range all.all[1:] {
		closedGently(t, n.speak(older))
	}
	ann.conn.Write(ann.packet(wire.ModeEnd))
	eventually(t, "nobody remembers it", func() bool {
		sum := 0
		for _, n := range all.all {
			sum += n.Stats().Sessions + n.Stats().Detached
		}
		return sum == 0
	})
}

// TestWhatWaitedWhereASessionWasBeforeComesNotLate: it was at a node that this one did not hear, and goes on here with
// what that has. Of what waited here it gets what cannot be older than what it has read there.
func TestWhatWaitedWhereASessionWasBeforeComesNotLate(t *testing.T) {
	t.Parallel()
	s, o, ann := startAmong(t)
	ann.enters(o)
	o.knowNothing()
	ann.breaks()
	s.posts(moving.Origin{Epoch: seal.Epoch{9}, Number: 3}, "of a life that is over")
	s.posts(someone, "that the other node has worked off")
	s.posts(moving.Origin{Epoch: epochB, Number: 8}, "that the other node has not")
	ann.turn, ann.from = 5, 5
	ann.enters(o)
	s.posts(moving.Origin{Epoch: seal.Epoch{8}, Number: 1}, "of a life that has begun")
	o.answer <- moving.Result{Patience: time.Hour, Memories: []moving.Memory{{
		Line: moving.Line{Turn: 5, Begun: 4}, Has: moving.Cover{epochB: {Top: 7}},
	}}}
	<-o.confirmed
	ann.gets("that the other node has not", "of a life that has begun")
	if st := s.Stats(); st.Missed != 1 {
		t.Errorf("%d are missed", st.Missed)
	}
}

// TestWhereASessionComesFromAndGoesOnIsTold by the name of the node.
func TestWhereASessionComesFromAndGoesOnIsTold(t *testing.T) {
	t.Parallel()
	told := make(chan hub.Event, 8)
	s, o := start(t, hub.Options{Limits: lasting, Observe: func(e hub.Event) { told <- e }}), newOthers()
	s.AskElsewhere(o)
	ann := s.addin("ann")
	ann.enters(o)
	o.answer <- moving.Result{Memories: []moving.Memory{{Node: "web1"}}}
	<-o.confirmed
	session := moving.Session{AppID: appID, IbID: "ib", UserID: "ann", Secret: ann.session}
	q := moving.Question{Session: session, Claim: moving.Claim{Turn: 2}, Asker: "web3"}
	resumed := <-told
	if status, _ := s.Freeze(&q, nil); status != moving.Found {
		t.Fatalf("status %v", status)
	}
	detached := <-told
	s.Drop(session, 2, "web3")
	got := []hub.Event{resumed, detached, <-told}
	want := []hub.Event{
		{Kind: hub.SessionResumed, Node: "web1"},
		{Kind: hub.SessionDetached, Reason: "moved", Node: "web3"},
		{Kind: hub.SessionClosed, Reason: "moved", Node: "web3"},
	}
	for i, e := range got {
		if e.Kind != want[i].Kind || e.Reason != want[i].Reason || e.Node != want[i].Node {
			t.Errorf("%s %s %s, want %+v", e.Kind, e.Reason, e.Node, want[i])
		}
	}
}
