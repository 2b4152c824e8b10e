package hub_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// unbuffered is a listener whose connections have no buffer: who does not read takes no byte.
type unbuffered struct {
	conns  chan net.Conn
	closed context.Context
	end    context.CancelFunc
}

func (l *unbuffered) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

func (l *unbuffered) Close() error   { l.end(); return nil }
func (l *unbuffered) Addr() net.Addr { return memoryAddr{} }

// startPiped is start, and how connections are opened.
func startPiped(t testing.TB, o hub.Options) (*service, *unbuffered) {
	s := start(t, o)
	return s, s.piped()
}

func (s *service) piped() *unbuffered {
	l := &unbuffered{conns: make(chan net.Conn)}
	l.closed, l.end = context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	s.t.Cleanup(func() {
		l.end()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	})
	return l
}

// say opens a connection that says so much, and waits until that was judged.
func (l *unbuffered) say(s *service, packet []byte) net.Conn {
	s.t.Helper()
	ours, theirs := net.Pipe()
	s.t.Cleanup(func() { ours.Close() })
	before := s.judged()
	l.conns <- theirs
	ours.SetWriteDeadline(time.Now().Add(patience))
	if _, err := ours.Write(packet); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the packet was judged", func() bool { return s.judged() > before })
	return ours
}

// silent opens a session that reads nothing.
func (l *unbuffered) silent(s *service, user string) net.Conn {
	s.t.Helper()
	packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: appID, IbID: "ib", UserID: user}, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return l.say(s, packet)
}

// away makes a detached session of that user.
func (l *unbuffered) away(s *service, user string) {
	s.t.Helper()
	before := s.Stats().Detached
	a := s.addin(user)
	l.say(s, a.packet(wire.ModeOpen)).Close()
	eventually(s.t, "the session is detached", func() bool { return s.Stats().Detached > before })
}

// users are those who have a session, in the order of coming.
func (s *service) users() string {
	page, err := s.Sessions(hub.Query{})
	if err != nil {
		s.t.Fatal(err)
	}
	var users []string
	for _, one := range page.Sessions {
		users = append(users, one.UserID)
	}
	return strings.Join(users, " ")
}

// blocked waits until every session that is sent something takes no more.
func (s *service) blocked() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Settle(ctx)
}

func filled(bytes int) *wire.Message { return topic(strings.Repeat("x", bytes)) }

// sizeBound is lasting with queue_memory.
func sizeBound(bytes int64) hub.Limits {
	l := lasting
	l.QueueBytes, l.WriteTimeout, l.QueueMemory = 1<<30, time.Hour, bytes
	return l
}

func TestWhoIsDroppedFirstWhenTheMemoryIsFull(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	warnings := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})
	s, l := startPiped(t, hub.Options{Limits: sizeBound(1 << 40), Logger: slog.New(warnings)})
	for _, user := range []string{"small", "large", "idle", "shared", "shared", "shared", "shared"} {
		l.silent(s, user)
	}
	for _, user := range []string{"away1", "away2"} {
		l.away(s, user)
		s.Publish(appID, toUser(user), filled(100))
	}
	s.Publish(appID, toUser("away2"), filled(100_000)) // it has more, but was away for less long
	// Together these have most, but none of them would give back more than its part.
	for range 10 {
		s.Publish(appID, toUser("shared"), filled(1000))
	}
	for range 3 {
		s.Publish(appID, toUser("small"), filled(1000))
	}
	for range 5 {
		s.Publish(appID, toUser("large"), filled(1000))
	}
	s.blocked()
	s.SetLimits(sizeBound(s.Stats().QueueMemory.Bytes)) // it is full, and not too full
	if got, want := s.users(), "small large idle shared shared shared shared away1 away2"; got != want {
		t.Fatalf("with as much memory as is taken, there are %s, want %s", got, want)
	}
	for _, left := range []string{
		"small large idle shared shared shared shared away2",
		"small large idle shared shared shared shared",
		"small idle shared shared shared shared",
		"idle shared shared shared shared",
	} {
		used := s.Stats().QueueMemory.Bytes
		s.SetLimits(sizeBound(used - 1))
		if got := s.users(); got != left {
			t.Fatalf("with less memory than %d bytes, there are %s, want %s", used, got, left)
		}
		if now := s.Stats().QueueMemory.Bytes; now >= used {
			t.Fatalf("%d bytes are taken, %d before", now, used)
		}
	}
	stats := s.Stats()
	closed := stats.Closed
	if closed["forgotten_queue_memory"] != 2 || closed["too_slow_queue_memory"] != 2 || stats.DroppedAsSlow != 2 ||
		stats.QueueMemory.Forgotten != 2 || stats.QueueMemory.Dropped != 2 {
		t.Errorf("%+v", stats)
	}
	if want := uint64(2 + 1); stats.Missed != want {
		t.Errorf("%d messages for sessions that were away are missed, want %d", stats.Missed, want)
	}
	// What is lost of the rest is lost for all of them.
	s.SetLimits(sizeBound(1))
	if got, used := s.users(), s.Stats().QueueMemory.Bytes; got != "idle" || used != 0 {
		t.Errorf("with no memory at all there is %s, which take %d bytes", got, used)
	}
	s.Shutdown(context.Background())
	if n := strings.Count(log.String(), "sessions are dropped"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, log.String())
	}
}

func TestAMessageThatWaitsForManyCountsOnce(t *testing.T) {
	t.Parallel()
	used := func(sessions int) int64 {
		s, l := startPiped(t, hub.Options{Limits: sizeBound(1 << 40)})
		for n := range sessions {
			l.silent(s, strconv.Itoa(n))
		}
		for range 5 {
			s.Publish(appID, toAll("ib"), filled(10_000))
		}
		s.blocked()
		return s.Stats().QueueMemory.Bytes
	}
	one, many := used(1), used(50)
	if one != many || one < 5*10_000 || one > 5*13_000 {
		t.Errorf("five messages of 10 000 bytes take %d for one session, %d for fifty", one, many)
	}
}

func TestQueuesThatAreReadGiveTheirMemoryBack(t *testing.T) {
	t.Parallel()
	s, l := startPiped(t, hub.Options{Limits: sizeBound(1 << 40)})
	conn := l.silent(s, "ann")
	for range 100 { // more than an idle session has room for
		s.Publish(appID, toAll("ib"), filled(100))
	}
	s.blocked()
	if used := s.Stats().QueueMemory.Bytes; used < 100*(100+8) {
		t.Errorf("%d bytes are taken", used)
	}
	for range 100 {
		if _, err := wire.ReadFrame(conn, s.key, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "nothing is taken any more", func() bool { return s.Stats().QueueMemory.Bytes == 0 })
}

func TestWhoReadsIsNotDroppedForWhatWeHaveNotWritten(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: sizeBound(3000)})
	const messages = 50 // which the system takes, however late its turn to read comes
	got := make(chan int, 1)
	c := s.connect("ib", "ann", "")
	go func() {
		n := 0
		for ; n < messages; n++ {
			if _, err := c.Receive(); err != nil {
				break
			}
		}
		got <- n
	}()
	for range messages {
		s.Publish(appID, toAll("ib"), filled(1000))
	}
	if n := <-got; n != messages {
		t.Errorf("it got %d messages, then its connection ended", n)
	}
}

func TestWhatIsKeptForSessionsCountsUntilItIsKeptNoLonger(t *testing.T) {
	t.Parallel()
	limits := sizeBound(1 << 40)
	s := start(t, hub.Options{Limits: limits})
	a, b := s.addin("ann"), s.addin("bob")
	a.connect()
	b.connect()
	s.Publish(appID, toAll("ib"), filled(10_000))
	eventually(t, "it is written", func() bool { return s.Stats().Delivered == 2 })
	both := s.Stats().QueueMemory.Bytes
	if both < 10_000 || both > 14_000 {
		t.Errorf("a message of 10 000 bytes that is kept for two takes %d", both)
	}
	a.breaks()
	if away := s.Stats().QueueMemory.Bytes; away != both+1024 {
		t.Errorf("%d bytes with both, %d when one is detached", both, away)
	}
	a.received, a.from = 1, a.opened // it came before the break
	a.connect()
	if one := s.Stats().QueueMemory.Bytes; one < 10_000 || one >= both {
		t.Errorf("%d bytes with both, %d when it is kept for one", both, one)
	}
	limits.PeerTimeout, limits.ResumeWindow = time.Nanosecond, time.Millisecond
	s.SetLimits(limits)
	eventually(t, "it is kept no longer", func() bool { return s.Stats().QueueMemory.Bytes == 0 })
}

// TestWhatIsMadeAnewUnderAnotherKeyCounts as what it was made of did.
func TestWhatIsMadeAnewUnderAnotherKeyCounts(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: sizeBound(1 << 40)})
	a := s.addin("ann")
	a.connect()
	s.Publish(appID, toAll("ib"), filled(10_000))
	eventually(t, "it is written", func() bool { return s.Stats().Delivered == 1 })
	kept := s.Stats().QueueMemory.Bytes
	a.breaks()
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	s.SetApp(appID, []hub.Key{next, {Generation: 1, Secret: s.key}})
	a.key = next.Secret
	a.connect()
	if anew := s.Stats().QueueMemory.Bytes; anew < 10_000 || anew > kept+kept/10 {
		t.Errorf("a message of 10 000 bytes takes %d, and made anew %d", kept, anew)
	}
}

// TestWhoIsAwayTakesWhatHeSaysOfHimself, if that is more than an add-in says: packets that were invented for that would
// else take four times what is counted.
func TestWhoIsAwayTakesWhatHeSaysOfHimself(t *testing.T) {
	t.Parallel()
	var groups []string
	for n := range 10 {
		groups = append(groups, strings.Repeat("g", 200)+strconv.Itoa(n))
	}
	for _, c := range []struct {
		name  string
		who   wire.Registration
		said  wire.Attributes
		bytes int64
	}{
		{"what an add-in does", wire.Registration{AppID: appID, IbID: strings.Repeat("i", 36), UserID: strings.Repeat("u", 36)},
			wire.Attributes{User: strings.Repeat("u", 255), Host: "h", Groups: groups[:1]}, 1024},
		{"a long user", wire.Registration{AppID: appID, IbID: "ib", UserID: strings.Repeat("u", 3000)},
			wire.Attributes{}, 1024 + 2002},
		{"a long infobase", wire.Registration{AppID: appID, IbID: strings.Repeat("i", 3000)},
			wire.Attributes{}, 1024 + 2000},
		{"long groups", wire.Registration{AppID: appID, IbID: "ib"}, wire.Attributes{Groups: groups},
			1024 + 2 + 10*(201+256) - 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: lasting})
			c.said.Session, c.said.Turn = wire.NewSessionID(), 1
			conn := s.speak(s.registers(c.who, c.said))
			if n := s.Stats().QueueMemory.Bytes; n != 0 {
				t.Errorf("%d bytes are taken by one that is connected", n)
			}
			conn.Close()
			eventually(t, "it is away", func() bool { return s.Stats().Detached == 1 })
			if n := s.Stats().QueueMemory.Bytes; n != c.bytes {
				t.Errorf("%d bytes are taken, not %d", n, c.bytes)
			}
			s.RemoveApp(appID)
			if n := s.Stats().QueueMemory.Bytes; n != 0 {
				t.Errorf("%d bytes are taken by nobody", n)
			}
		})
	}
}

// TestAConnectedSessionOfWhichMostIsKeptIsForgotten: being remembered as too slow would give
// nothing back.
func TestAConnectedSessionOfWhichMostIsKeptIsForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: sizeBound(1 << 40)})
	a, b := s.addin("ann"), s.addin("bob")
	b.connect() // of two that take the same the older one would go
	a.connect()
	s.Publish(appID, toUser("ann"), filled(10_000))
	s.Publish(appID, toUser("bob"), filled(1000))
	eventually(t, "both are written", func() bool { return s.Stats().Delivered == 2 })
	s.SetLimits(sizeBound(s.Stats().QueueMemory.Bytes - 1))
	if left := s.users(); left != "bob" {
		t.Errorf("there is %s, want bob", left)
	}
	a.received, a.from = 1, a.opened
	a.connect() // its numbers go on
	s.Publish(appID, toUser("ann"), topic("2"))
	a.gets("2")
	if st := s.Stats(); st.Closed["too_slow_queue_memory"] != 1 || st.Missed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestWhatALostConnectionTakesIsNoticed though nobody publishes anything: being away takes memory.
func TestWhatALostConnectionTakesIsNoticed(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: sizeBound(1000)})
	a := s.addin("ann")
	a.connect()
	a.conn.Close()
	eventually(t, "it is forgotten", func() bool { return s.Stats().QueueMemory.Forgotten == 1 })
}

func TestAnotherHubCountsTheSame(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: sizeBound(1 << 40)})
	first.endsWith(t)
	l := first.piped()
	l.silent(first, "slow")
	l.away(first, "away")
	a := first.addin("ann")
	a.connect()
	for range 3 {
		first.Publish(appID, toAll("ib"), filled(10_000))
	}
	eventually(t, "they are written to who reads", func() bool { return first.Stats().Delivered == 3 })
	first.blocked()
	used := first.Stats().QueueMemory.Bytes
	l.end()
	state := handOver(t, first, served)
	if of := first.Stats().QueueMemory.Bytes; of != used {
		t.Errorf("%d bytes are taken when the hub is frozen, %d before", of, used)
	}
	second, _ := successorWith(t, state, sizeBound(1<<40), hub.Key{Generation: 1, Secret: first.key})
	// The bytes themselves may lie in smaller pieces.
	if of := second.Stats().QueueMemory.Bytes; of > used || of < used*9/10 {
		t.Errorf("%d bytes are taken, %d in the hub before", of, used)
	}
	// A third one has room for less, and nobody else is asked.
	second.blocked()
	third, _ := successorWith(t, journey(t, second.HandOver()), sizeBound(1), hub.Key{Generation: 1, Secret: first.key})
	eventually(t, "all have gone whose messages wait or are kept", func() bool {
		return third.Stats().QueueMemory.Bytes <= 1
	})
}

// TestAMessageThatIsSentAgainToManyIsHandedOverOnce: each of them has it as a frame of its own,
// which has the bytes of the others.
func TestAMessageThatIsSentAgainToManyIsHandedOverOnce(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: sizeBound(1 << 40)})
	first.endsWith(t)
	addins := make([]*addin, 10)
	for i := range addins {
		addins[i] = first.addin("ann")
		addins[i].connect()
	}
	large := strings.Repeat("x", 10_000)
	first.send(large)
	eventually(t, "it is written", func() bool { return first.Stats().Delivered == 10 })
	for _, a := range addins {
		a.breaks()
		a.connect()
		a.gets(large)
	}
	used := first.Stats().QueueMemory.Bytes
	state := handOver(t, first, served)
	if n := len(state.Frames); n != 1 {
		t.Errorf("one message is handed over as %d", n)
	}
	second, _ := successorWith(t, state, sizeBound(1<<40), hub.Key{Generation: 1, Secret: first.key})
	if of := second.Stats().QueueMemory.Bytes; of > used {
		t.Errorf("%d bytes are taken, %d in the hub before", of, used)
	}
	for _, a := range addins {
		a.received, a.s = 0, second
		a.conn.Close()
		a.conn = second.piped().say(second, a.packet(wire.ModeOpen))
		a.gets(large)
	}
}

// TestASuccessorWithLessMemoryGoesOn: what it has taken over is not too much before it had the
// chance to write it. Who does not read then is dropped.
func TestASuccessorWithLessMemoryGoesOn(t *testing.T) {
	t.Parallel()
	first, served := open(t, hub.Options{Limits: sizeBound(1 << 40)})
	slow := first.connect("ib", "slow", "")
	for range 3 { // more than the sockets take
		first.Publish(appID, toUser("slow"), filled(6<<20))
	}
	state := handOver(t, first, served)
	second, became := successorWith(t, state, sizeBound(1), hub.Key{Generation: 1, Secret: first.key})
	if became.Sessions != 1 {
		t.Fatalf("%+v", became)
	}
	eventually(t, "it is dropped", func() bool { return second.Stats().QueueMemory.Dropped == 1 })
	slow.SetReadDeadline(time.Now().Add(patience))
	var err error
	for err == nil {
		_, err = slow.Receive()
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("its connection ended with %v", err)
	}
}
