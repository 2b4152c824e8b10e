package hub_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// What another process of a node goes on with of sessions that move between nodes.

// successorAmong is successorWith among others, which can be reached.
func successorAmong(t *testing.T, state *hub.State, key hub.Key) (*service, *others) {
	t.Helper()
	s, _ := successorWith(t, state, lasting, key)
	o := newOthers()
	s.AskElsewhere(o)
	s.listens()
	return s, o
}

func (a *addin) claims() *moving.Question {
	return &moving.Question{Session: moving.Session{AppID: appID, IbID: "ib", UserID: "ann", Secret: a.session},
		Claim: moving.Claim{Turn: a.turn + 1, Received: a.received, From: a.from}}
}

// frees asks for a session in the name of another node, and returns what that gets of it.
func (s *service) frees(a *addin, worked moving.Cover) moving.Memory {
	s.t.Helper()
	status, open := s.Freeze(a.claims(), worked)
	if status != moving.Found {
		s.t.Fatalf("status %v", status)
	}
	return open()
}

func texts(m moving.Memory) (all []string) {
	for _, text := range m.Sent {
		all = append(all, string(text))
	}
	for _, f := range m.Unsent {
		all = append(all, string(f.Plaintext))
	}
	return all
}

// knowNothing has the other nodes say so, and returns when the session goes on.
func (o *others) knowNothing() {
	o.answer <- moving.Result{Patience: time.Hour}
	<-o.confirmed
}

// TestASessionThatAnotherNodeAsksForIsHandedOver: as a frozen one, which that node can ask for again, and which goes
// on when the others have nothing.
func TestASessionThatAnotherNodeAsksForIsHandedOver(t *testing.T) {
	t.Parallel()
	first, served, o, ann := openAmong(t)
	ann.enters(o)
	o.knowNothing()
	first.posts(someone, "1")
	ann.gets("1")
	ann.received, ann.from = 0, 0 // 1C did not accept it
	ann.breaks()
	first.posts(moving.Origin{Epoch: epochB, Number: 8}, "2")
	was := first.frees(ann, moving.Cover{epochB: {Top: 8}})
	key := hub.Key{Generation: 1, Secret: first.key}
	second, o := successorAmong(t, handOver(t, first, served), key)

	if reach, _ := second.posts(moving.Origin{Epoch: epochB, Number: 9}, "3"); reach.Sessions != 0 {
		t.Errorf("a message reached %d sessions that may go on elsewhere", reach.Sessions)
	}
	is := second.frees(ann, moving.Cover{epochB: {Top: 9}})
	if !slices.Equal(texts(is), texts(was)) || is.Line != was.Line || len(texts(is)) != 2 {
		t.Errorf("%q %+v, was %q %+v", texts(is), is.Line, texts(was), was.Line)
	}
	if is.Has.Has(moving.Origin{Epoch: epochB, Number: 9}) || !is.Has.Has(moving.Origin{Epoch: epochB, Number: 8}) {
		t.Errorf("it accounts for %v", is.Has)
	}
	if got := is.Unsent[0].Origin; got != (moving.Origin{Epoch: epochB, Number: 8}) {
		t.Errorf("the origin is %v", got)
	}
	ann.s = second
	ann.enters(o)
	second.posts(moving.Origin{Epoch: epochB, Number: 10}, "4")
	o.knowNothing()
	ann.gets("1", "2", "4")
}

// TestWhatASessionHasFromAnotherNodeIsHandedOver: it gets none of that a second time.
func TestWhatASessionHasFromAnotherNodeIsHandedOver(t *testing.T) {
	t.Parallel()
	first, served, o, ann := openAmong(t)
	ann.turn = 9
	ann.enters(o)
	o.answer <- moving.Result{Patience: time.Hour, Memories: []moving.Memory{{
		Line: moving.Line{Turn: 5, Begun: 5}, Has: moving.Cover{epochB: {Top: 7, Missing: []uint64{6}}},
	}}}
	<-o.confirmed
	ann.breaks()
	first.posts(moving.Origin{Epoch: epochB, Number: 8}, "8")
	key := hub.Key{Generation: 1, Secret: first.key}
	second, o := successorAmong(t, handOver(t, first, served), key)
	second.posts(someone, "7, late")
	second.posts(moving.Origin{Epoch: epochB, Number: 6}, "6, late")

	// Another node, where it began earlier, has 8, and 5 before it.
	ann.s = second
	ann.enters(o)
	o.answer <- moving.Result{Patience: time.Hour, Memories: []moving.Memory{{
		Line:   moving.Line{Turn: 6, Begun: 2},
		Unsent: []moving.Frame{{Plaintext: topic("5").AppendJSON(nil)}, {Plaintext: topic("8").AppendJSON(nil)}},
		Has:    moving.Cover{epochB: {Top: 8, Missing: []uint64{6}}},
	}}}
	<-o.confirmed
	second.posts(moving.Origin{Epoch: epochB, Number: 9}, "9")
	ann.gets("5", "8", "6, late", "9")
}

// TestWhatASessionHasFromAnotherNodeIsReadable in the next process, though the connection ended as the answer came, and
// none of the keys is in force there that the session and that connection have registered under.
func TestWhatASessionHasFromAnotherNodeIsReadable(t *testing.T) {
	t.Parallel()
	first, served, o, ann := openAmong(t)
	ann.enters(o)
	o.knowNothing()
	first.posts(moving.Origin{Epoch: epochB, Number: 6}, "0")
	ann.gets("0")
	ann.breaks()
	renewed := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	first.SetApp(appID, []hub.Key{renewed, {Generation: 1, Secret: first.key}})
	bob := first.speak(first.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "bob"}, wire.Attributes{}))
	ann.key = renewed.Secret
	ann.turn++ // it has been there
	if _, err := bob.Write(ann.packet(wire.ModeOpen)); err != nil {
		t.Fatal(err)
	}
	<-o.asked
	page, _ := first.Sessions(hub.Query{UserID: "bob"})
	first.CloseSession(page.Sessions[0].ID, page.Sessions[0].Since)
	o.answer <- moving.Result{Patience: time.Hour, Memories: []moving.Memory{{
		Line:   moving.Line{Turn: 2, Begun: 1, Written: 1},
		Unsent: []moving.Frame{{Plaintext: topic("1").AppendJSON(nil)}},
	}}}
	first.FinishMoves(t.Context())
	first.posts(someone, "2")

	next := hub.Key{Generation: 3, Secret: clientKey(t, 3)}
	second, o := successorAmong(t, handOver(t, first, served), next)
	ann.s, ann.key = second, next.Secret
	ann.enters(o)
	o.knowNothing()
	ann.gets("1", "2")
}

// TestAProcessWithoutOtherNodesGoesOnWithASessionOfThem: another node cannot any more.
func TestAProcessWithoutOtherNodesGoesOnWithASessionOfThem(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: lasting})
	ann := first.addin("ann")
	ann.connect()
	ann.breaks()
	first.send("1")
	first.frees(ann, moving.Cover{})
	second, _ := successorWith(t, handOver(t, first, served), lasting, hub.Key{Generation: 1, Secret: first.key})
	second.listens()
	ann.s = second
	ann.connect()
	second.send("2")
	ann.gets("1", "2")
}

// TestADocumentOfAnEarlierVersionIsRead: it says nothing of other nodes.
func TestADocumentOfAnEarlierVersionIsRead(t *testing.T) {
	t.Parallel()
	first, served, o, ann := openAmong(t)
	ann.enters(o)
	o.knowNothing()
	ann.breaks()
	first.posts(someone, "1")
	state := handOver(t, first, served)
	line := state.Memories.Memories[0].Line
	state.Memories.Memories[0].Line = nil
	second, o := successorAmong(t, state, hub.Key{Generation: 1, Secret: first.key})
	ann.s = second
	ann.enters(o)
	o.knowNothing()
	ann.gets("1")

	for name, damage := range map[string]func(*hub.SavedLine){
		"a cover that is none": func(l *hub.SavedLine) { l.Cover = []byte{1, 2} },
		"half an origin":       func(l *hub.SavedLine) { l.Origins = l.Origins[:4] },
		"an origin too few":    func(l *hub.SavedLine) { l.Origins = nil },
	} {
		damaged := *line
		damage(&damaged)
		state.Memories.Memories[0].Line = &damaged
		if state.Whole() {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestMovesAreFinishedBeforeAHandOver: what is held while others are asked would not be handed over.
func TestMovesAreFinishedBeforeAHandOver(t *testing.T) {
	t.Parallel()
	s, o, ann := startAmong(t)
	s.FinishMoves(t.Context()) // there is none
	ann.enters(o)
	s.posts(someone, "1")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.FinishMoves(ended)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.FinishMoves(t.Context())
	}()
	o.knowNothing()
	<-finished
	ann.gets("1")
}

// TestAMemoryAccountsForNothingThatItHadToLeaveOutOnce: when the session began here another node was lost, of which it
// took nothing for a while. That is over.
func TestAMemoryAccountsForNothingThatItHadToLeaveOutOnce(t *testing.T) {
	t.Parallel()
	s, o, ann := startAmong(t)
	ann.enters(o)
	o.answer <- moving.Result{Before: moving.Cover{epochB: {Top: math.MaxUint64}}}
	<-o.confirmed
	ann.breaks()
	has := s.frees(ann, moving.Cover{epochB: {Top: 7}}).Has
	if later := (moving.Origin{Epoch: epochB, Number: 8}); has.Has(later) || !has.Has(someone) {
		t.Errorf("it accounts for %v", has)
	}
}

// TestWhatALostNodeHadSentIsLeftOutNoLongerWhereASessionGoes: for as long as it may come, wherever the session goes on
// meanwhile, and in another process too.
func TestWhatALostNodeHadSentIsLeftOutNoLongerWhereASessionGoes(t *testing.T) {
	t.Parallel()
	first, served, o, ann := openAmong(t)
	ann.enters(o)
	o.answer <- moving.Result{Before: moving.Cover{epochB: {Top: math.MaxUint64}}, Patience: time.Hour}
	<-o.confirmed
	first.posts(someone, "had been sent")
	ann.breaks()
	s, _ := successorAmong(t, handOver(t, first, served), hub.Key{Generation: 1, Secret: first.key})
	from := s.frees(ann, moving.Cover{epochB: {Top: 7}})
	if !slices.Equal(from.Lost.Lives, []seal.Epoch{epochB}) || from.Lost.For <= 59*time.Minute || from.Lost.For > time.Hour {
		t.Fatalf("%+v goes along", from.Lost)
	}
	for name, c := range map[string]struct {
		left time.Duration
		want []string
	}{
		"it may come":      {from.Lost.For, []string{"of another"}},
		"it comes no more": {0, []string{"sent when it was back", "of another"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, o, ann := startAmong(t)
			ann.turn = 5
			ann.enters(o)
			m := moving.Memory{Line: moving.Line{Turn: 5, Begun: 1}, Has: from.Has,
				Lost: moving.Lost{Lives: from.Lost.Lives, For: c.left}}
			o.answer <- moving.Result{Memories: []moving.Memory{m}, Patience: time.Hour}
			<-o.confirmed
			s.posts(moving.Origin{Epoch: epochB, Number: 8}, "sent when it was back")
			s.posts(moving.Origin{Epoch: seal.Epoch{3}, Number: 1}, "of another")
			ann.gets(c.want...)
		})
	}
}

// TestASessionThatBeginsGetsWhatALostNodeSendsWhenItIsBack: what that sent before cannot come any more, and what of it
// came meanwhile the session may have had there.
func TestASessionThatBeginsGetsWhatALostNodeSendsWhenItIsBack(t *testing.T) {
	t.Parallel()
	s, o, ann := startAmong(t)
	ann.enters(o)
	s.posts(someone, "meanwhile")
	o.answer <- moving.Result{Before: moving.Cover{epochB: {Top: math.MaxUint64}}, Past: []seal.Epoch{epochB},
		Patience: time.Hour}
	<-o.confirmed
	s.posts(moving.Origin{Epoch: epochB, Number: 8}, "then")
	ann.gets("then")
}
