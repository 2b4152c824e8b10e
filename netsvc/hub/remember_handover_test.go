package hub_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestAllThatIsRememberedIsHandedOver: what a second hub hands over is what it was handed, and as old as it was, for
// time stands still while no process serves. Each field of it says something here.
func TestAllThatIsRememberedIsHandedOver(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.QueueBytes, limits.WriteTimeout = 64<<20, time.Hour
	first, served := open(t, hub.Options{Limits: limits})
	large := strings.Repeat("x", 8<<20) // more than the sockets take

	// Of what it is sent again, the first frame is being written, and the second was never whole.
	cut := first.addin("cut")
	cut.turn, cut.received, cut.from = 4, 3, 2
	cut.connect()
	for _, text := range []string{large, large, "last"} {
		first.Publish(appID, toUser("cut"), topic(text))
	}
	cut.gets(large)
	first.blocked()
	cut.received, cut.from = 3, 2
	cut.breaks()
	cut.connect()
	first.blocked()

	plain, foreign := first.addin("plain"), first.addin("foreign")
	nobody := wire.Registration{AppID: appID, IbID: "ib", UserID: "plain"}
	plain.conn = first.speak(first.registers(nobody, wire.Attributes{}))
	first.inFrame(plain, large)
	foreign.takes(plain)

	away := first.addin("away")
	away.turn = 1
	who := wire.Registration{AppID: appID, IbID: "ib", UserID: "away"}
	away.conn = first.speak(first.registers(who, wire.Attributes{
		Session: away.session, Turn: 1, Groups: []string{"staff"}, Host: "ws-17",
	}))
	first.Publish(appID, toUser("away"), topic("1"))
	away.gets("1")
	away.breaks()
	first.Publish(appID, toUser("away"), topic("2"))
	limits.QueueBytes = 1
	first.SetLimits(limits)
	first.Publish(appID, toUser("away"), topic("3")) // is missed
	limits.QueueBytes = 64 << 20
	first.SetLimits(limits)

	ended := first.addin("ended")
	ended.connect()
	ended.conn.Write(ended.packet(wire.ModeEnd))
	closedGently(t, ended.conn)

	moved := first.addin("moved")
	moved.connect()
	moved.breaks()
	first.posts(someone, "of another node")
	first.Freeze(&moving.Question{Session: moving.Session{AppID: appID, IbID: "ib", UserID: "moved", Secret: moved.session},
		Claim: moving.Claim{Turn: moved.turn + 1}}, moving.Cover{epochB: {Top: 7, Missing: []uint64{2, 3}}})

	bytes := first.Stats().QueueMemory.Bytes
	sessions, _ := first.AppSessions(appID)
	state := handOver(t, first, served)
	said := make(map[string]bool) // fields that say something
	for i := range state.Memories.Memories {
		m := reflect.ValueOf(state.Memories.Memories[i])
		for n := range m.NumField() {
			said[m.Type().Field(n).Name] = said[m.Type().Field(n).Name] || !m.Field(n).IsZero()
		}
	}
	for name, says := range said {
		if !says {
			t.Errorf("no session has any %s", name)
		}
	}
	// It was a minute ago.
	const minute = int64(time.Minute)
	all := state.Memories
	all.At -= minute
	for i := range all.Ended {
		all.Ended[i].At -= minute
	}
	for i := range all.Memories {
		m := &all.Memories[i]
		if m.Away > 0 {
			m.Away -= minute
		}
		for k := range m.Kept {
			m.Kept[k].At -= minute
		}
	}
	before := remembered(state)
	for id, was := range before {
		for _, at := range was.times {
			if at > 0 || at < -patience {
				t.Errorf("%s: what has just happened was %v ago", id, -at)
			}
		}
	}

	second, _ := successorWith(t, state, limits, hub.Key{Generation: 1, Secret: first.key})
	if n := second.Stats().QueueMemory.Bytes; n != bytes {
		t.Errorf("%d bytes were taken, and now %d", bytes, n)
	}
	if n, _ := second.AppSessions(appID); n != sessions {
		t.Errorf("the app had %d sessions, and has %d", sessions, n)
	}
	page, _ := second.Sessions(hub.Query{UserID: "away"})
	if one := page.Sessions[0]; one.Host != "ws-17" || len(one.Groups) != 1 || one.Groups[0] != "staff" {
		t.Errorf("it says of itself %+v", one)
	}
	after := remembered(journey(t, second.HandOver()))
	if len(after) != len(before) {
		t.Fatalf("there were %d, and are %d", len(before), len(after))
	}
	for id, was := range before {
		is, known := after[id]
		for n, at := range is.times {
			if older := was.times[n] - at; older < -time.Second || older > 30*time.Second {
				t.Errorf("%s: a time that was %v ago is %v ago", id, -was.times[n], -at)
			}
		}
		is.times, was.times = nil, nil
		if is.Handed > was.Handed {
			is.Handed = was.Handed // the second hub has gone on writing
		}
		if !known || !reflect.DeepEqual(is, was) {
			t.Errorf("%s was\n%+v, and is\n%+v", id, was, is)
		}
	}
}

// rememberedSession is what a state says of a session, in itself.
type rememberedSession struct {
	hub.SavedMemory
	queue, kept []int // sizes of frames
	times       []time.Duration
	turn        uint64 // of one that has ended
}

// remembered is what a state says of all sessions, by user.
func remembered(state *hub.State) map[string]rememberedSession {
	all := make(map[string]rememberedSession)
	since := func(at int64) time.Duration { return time.Duration(at - state.Memories.At) }
	for _, m := range state.Memories.Memories {
		session := m.Session
		if session == nil {
			session = &state.Sessions[m.Place]
			m.Place = 0
		} else {
			m.Session = &hub.SavedSession{Since: session.Since, Delivered: session.Delivered, Bytes: session.Bytes,
				Written: session.Written, LastDelivery: session.LastDelivery}
		}
		r := rememberedSession{SavedMemory: m}
		for _, at := range session.Queue {
			r.queue = append(r.queue, state.Frames[at].Size)
		}
		for _, k := range m.Kept {
			r.kept = append(r.kept, state.Frames[k.Frame].Size, int(k.End))
			r.times = append(r.times, since(k.At))
		}
		if m.Away > 0 {
			r.times = append(r.times, since(m.Away))
		}
		r.Away, r.Kept = 0, nil
		all[session.UserID] = r
	}
	for _, e := range state.Memories.Ended {
		all[string(e.Digest)] = rememberedSession{turn: e.Turn, times: []time.Duration{since(e.At)}}
	}
	return all
}

// TestALastTurnOfAnOlderVersionIsKnown: up to 27 November 2026 there were four texts in place of the digest.
func TestALastTurnOfAnOlderVersionIsKnown(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: lasting})
	ended := first.addin("ended")
	ended.turn = 6
	ended.connect()
	ended.conn.Write(ended.packet(wire.ModeEnd))
	closedGently(t, ended.conn)
	state := handOver(t, first, served)
	entry := &state.Memories.Ended[0]
	digest, turn := entry.Digest, entry.Turn
	*entry = hub.SavedEnd{AppID: appID, IbID: "ib", UserID: "ended", Session: ended.session, Turn: turn, At: entry.At}
	if !state.Whole() {
		t.Fatal("the document of an older version is refused")
	}
	second, _ := successorWith(t, state, lasting, hub.Key{Generation: 1, Secret: first.key})
	after := journey(t, second.HandOver()).Memories.Ended
	if len(after) != 1 || !bytes.Equal(after[0].Digest, digest) || after[0].Turn != turn {
		t.Errorf("known are %+v, want turn %d of %x", after, turn, digest)
	}
	entry.Session = ""
	if state.Whole() {
		t.Error("an end of no session is taken for whole")
	}
}

// TestOneThatIsAwayStaysThoughItsKeyEnded while another process took over, and comes back under the next one.
func TestOneThatIsAwayStaysThoughItsKeyEnded(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: lasting})
	a := first.addin("ann")
	a.connect()
	a.breaks()
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	second, _ := successorWith(t, handOver(t, first, served), lasting, next)
	second.listens()
	if n := second.Stats().Detached; n != 1 {
		t.Errorf("%d are away", n)
	}
	second.send("1")
	a.s, a.key = second, next.Secret
	a.connect()
	a.gets("1")
}

// TestWhoIsAwayLongestIsForgottenFirst in another process too.
func TestWhoIsAwayLongestIsForgottenFirst(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: sizeBound(1 << 40)})
	users := []string{"a", "b", "c", "d", "e"}
	for _, user := range users {
		a := first.addin(user)
		a.connect()
		a.breaks()
	}
	second, _ := successorWith(t, handOver(t, first, served), sizeBound(1<<40), hub.Key{Generation: 1, Secret: first.key})
	for n := range users {
		if got, want := second.users(), strings.Join(users[n:], " "); got != want {
			t.Errorf("there are %s, want %s", got, want)
		}
		second.SetLimits(sizeBound(second.Stats().QueueMemory.Bytes - 1))
	}
}

// TestOneWhoseConnectionDidNotComeIsAwaySinceThen: its window begins with the process that takes over.
func TestOneWhoseConnectionDidNotComeIsAwaySinceThen(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: lasting})
	a := first.addin("ann")
	a.connect()
	first.send("1")
	state := handOver(t, first, served)
	state.Sessions[0].Conn = nil
	second, became := successorWith(t, state, lasting, hub.Key{Generation: 1, Secret: first.key})
	page, _ := second.Sessions(hub.Query{})
	if became.Missing != 1 || len(page.Sessions) != 1 {
		t.Fatalf("%+v, listed: %+v", became, page.Sessions)
	}
	if away := time.Since(page.Sessions[0].Away); away < 0 || away > patience {
		t.Errorf("it is away for %v", away)
	}
	second.listens()
	a.s = second
	a.connect()
	a.gets("1")
}

// TestWhatIsSentAgainStaysSoInAnotherProcess: it is not delivered again, and does not count to the queue.
func TestWhatIsSentAgainStaysSoInAnotherProcess(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.QueueBytes, limits.WriteTimeout = 1, time.Hour
	first, served := open(t, hub.Options{Limits: limits})
	a := first.addin("ann")
	a.connect()
	for n, text := range []string{"1", "2"} {
		first.send(text)
		a.gets(text)
		eventually(t, "it is accounted for", func() bool { return first.Stats().Delivered == uint64(n+1) })
	}
	a.received = 0
	a.breaks()
	l := first.piped()
	a.conn = l.say(first, a.packet(wire.ModeOpen)) // and nothing is read
	a.opened = a.turn
	first.blocked()
	l.end()

	limits.QueueBytes = 2 * len(first.key.AppendFrame(nil, topic("3").AppendJSON(nil)))
	state := handOver(t, first, served)
	state.Sessions[0].Conn.SetDeadline(time.Time{}) // as a connection has none that comes from another process
	second, _ := successorWith(t, state, limits, hub.Key{Generation: 1, Secret: first.key})
	second.blocked()
	second.send("3", "4")
	a.gets("1", "2", "3", "4")
	eventually(t, "all is written", func() bool {
		page, _ := second.Sessions(hub.Query{})
		return page.Sessions[0].Queued == 0
	})
	if page, _ := second.Sessions(hub.Query{}); page.Sessions[0].Delivered != 4 {
		t.Errorf("of four messages %d were delivered", page.Sessions[0].Delivered)
	}
}

// TestResumeBytesBoundWhatIsKeptInAnotherProcess together with what was kept in the first one.
func TestResumeBytesBoundWhatIsKeptInAnotherProcess(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.ResumeBytes = 200_000
	first, served := open(t, hub.Options{Limits: limits})
	a := first.addin("ann")
	a.connect()
	text := strings.Repeat("x", 10_000)
	sends := func(s *service, messages, all int) {
		for range messages {
			s.send(text)
			a.gets(text)
		}
		eventually(t, "they are accounted for", func() bool {
			page, _ := s.Sessions(hub.Query{})
			return page.Sessions[0].Delivered == uint64(all)
		})
	}
	sends(first, 15, 15)
	second, _ := successorWith(t, handOver(t, first, served), limits, hub.Key{Generation: 1, Secret: first.key})
	second.listens()
	a.s = second
	sends(second, 15, 30)
	a.received = 0
	a.breaks()
	a.connect()
	if n := second.Stats().Missed; n != 30-19 { // a frame is more than its message
		t.Errorf("%d messages are kept no longer", n)
	}
}

// TestNumbersThatDifferAreHandedOver: those of two sessions that began on one connection.
func TestNumbersThatDifferAreHandedOver(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: lasting})
	a := first.addin("ann")
	a.connect()
	a.say(first.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "bob"}, wire.Attributes{}))
	numbers := func(s *service) map[string]uint64 {
		page, _ := s.Sessions(hub.Query{})
		of := make(map[string]uint64)
		for _, one := range page.Sessions {
			of[one.UserID] = one.ID
		}
		return of
	}
	before := numbers(first)
	second, _ := successorWith(t, handOver(t, first, served), lasting, hub.Key{Generation: 1, Secret: first.key})
	if after := numbers(second); len(after) != 2 || after["ann"] == after["bob"] || !reflect.DeepEqual(after, before) {
		t.Errorf("the numbers were %v, and are %v", before, after)
	}
}

// TestWhatIsRememberedGrowsNoOlderWhileItIsHandedOver, from the freeze on: it may be a while until nothing is going on.
func TestWhatIsRememberedGrowsNoOlderWhileItIsHandedOver(t *testing.T) {
	t.Parallel()
	first := make(chan *service, 1)
	frozen := make(chan time.Time, 1)
	s, served := open(t, hub.Options{Limits: lasting, Observe: func(e hub.Event) {
		if e.Kind == hub.SessionDetached {
			s := <-first
			eventually(t, "the hub freezes", s.Frozen)
			frozen <- time.Now()
		}
	}})
	a := s.addin("ann")
	a.connect()
	a.breaks()
	first <- s
	state := handOver(t, s, served)
	if at, before := time.Unix(0, state.Memories.At), <-frozen; at.After(before) {
		t.Errorf("%v of the freeze count as if a process served", at.Sub(before))
	}
	s.Shutdown(t.Context())
}
