package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// lasting are limits under which sessions are remembered for longer than a test runs.
var lasting = hub.Limits{QueueBytes: 1 << 20, PeerTimeout: time.Hour, ResumeWindow: time.Hour, ResumeBytes: 1 << 20}

// addin is an add-in that reconnects: what it counts, and its connection.
type addin struct {
	t        testing.TB
	s        *service
	key      *wire.ClientKey
	user     string
	session  string
	turn     uint64
	received uint64
	from     uint64 // turn of the connection on which the last frame came
	opened   uint64 // turn of the present connection
	conn     net.Conn
}

func (s *service) addin(user string) *addin {
	return &addin{t: s.t, s: s, key: s.key, user: user, session: wire.NewSessionID()}
}

// packet is the next packet.
func (a *addin) packet(mode wire.Mode) []byte {
	a.turn++
	said := wire.Attributes{Session: a.session, Turn: a.turn, Received: a.received, From: a.from, Mode: mode}
	packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: appID, IbID: "ib", UserID: a.user}, a.key, said.List()...)
	if err != nil {
		a.t.Fatal(err)
	}
	return packet
}

// connect opens a connection, registers, and waits until the hub has taken the packet.
func (a *addin) connect() {
	a.t.Helper()
	packet := a.packet(wire.ModeOpen)
	a.opened = a.turn
	a.conn = a.s.speak(packet)
}

// speak opens a connection that says so much, and waits until it was taken or refused.
func (s *service) speak(packet []byte) net.Conn {
	s.t.Helper()
	before := s.judged()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(packet); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the packet was judged", func() bool { return s.judged() > before })
	return conn
}

// judged is how many packets were taken or refused.
func (s *service) judged() (n uint64) {
	stats := s.Stats()
	for _, refused := range stats.Refused {
		n += refused
	}
	return n + stats.Registrations
}

// gets checks that the next messages are these.
func (a *addin) gets(topics ...string) {
	a.t.Helper()
	for _, want := range topics {
		a.conn.SetReadDeadline(time.Now().Add(patience))
		text, err := wire.ReadFrame(a.conn, a.key, 1<<24)
		if err != nil {
			a.t.Fatalf("waiting for %s: %v", want, err)
		}
		if got := string(text); got != fmt.Sprintf(`{"topic":"%s"}`, want) {
			a.t.Fatalf("got %.80s, want %s", got, want)
		}
		a.received++
		a.from = a.opened
	}
}

// breaks ends the connection as the service sees it, with all that has arrived unread.
func (a *addin) breaks() {
	a.t.Helper()
	before := a.s.Stats().Detached
	a.conn.(*net.TCPConn).SetLinger(0)
	a.conn.Close()
	eventually(a.t, "the session is detached", func() bool { return a.s.Stats().Detached > before })
}

func (s *service) send(topics ...string) {
	s.t.Helper()
	for _, text := range topics {
		if n := s.Publish(appID, toAll("ib"), topic(text)); n == 0 {
			s.t.Fatalf("%s reached nobody", text)
		}
	}
}

func TestASessionGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	s.send("1", "2", "3")
	a.gets("1", "2")
	a.breaks() // 3 is on the way, or not
	if reach := s.Send(appID, toAll("ib"), topic("4")); reach != (hub.Reach{Sessions: 1, Waiting: 1}) {
		t.Errorf("a message reached %+v", reach)
	}
	a.connect()
	s.send("5")
	a.gets("3", "4", "5")
	if st := s.Stats(); st.Sessions != 1 || st.Detached != 0 || st.Resumed != 1 || st.Missed != 0 {
		t.Errorf("%+v", st)
	}
	page, _ := s.Sessions(hub.Query{})
	if len(page.Sessions) != 1 || page.Sessions[0].ID != 1 || page.Sessions[0].Resumed != 1 || !page.Sessions[0].Away.IsZero() {
		t.Errorf("listed: %+v", page.Sessions)
	}
}

func TestASessionReplacesAConnectionThatIsHalfOpen(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	s.send("1", "2")
	a.gets("1")
	old := a.conn
	a.connect()
	a.gets("2")
	old.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, old); err != nil {
		t.Errorf("the old connection ended with %v", err)
	}
	s.send("3")
	a.gets("3")
}

func TestAnOlderPacketChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	first := a.packet(wire.ModeOpen)
	a.opened = a.turn
	a.conn = s.speak(first)
	s.send("1")
	a.gets("1")
	replayed := s.speak(first)
	closedGently(t, replayed)
	s.send("2")
	a.gets("2")
	if n := s.Stats().Refused[hub.ReasonStale]; n != 1 {
		t.Errorf("%d stale packets were counted", n)
	}
}

func TestGoodbyeForgetsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	older := a.packet(wire.ModeOpen)
	a.conn.Write(a.packet(wire.ModeEnd))
	a.conn.Close()
	eventually(t, "it is forgotten", func() bool { st := s.Stats(); return st.Sessions == 0 && st.Detached == 0 })
	closedGently(t, s.speak(older))
	if st := s.Stats(); st.Sessions != 0 || st.Detached != 0 {
		t.Errorf("it is back: %+v", st)
	}
}

// TestGoodbyeUnderARenewedKeyForgetsAtOnce also on the connection that has the session under
// the former one: a goodbye holds whichever connection it comes on (protocol.md section 4.4).
func TestGoodbyeUnderARenewedKeyForgetsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	renewed := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	s.SetApp(appID, []hub.Key{renewed, {Generation: 1, Secret: s.key}})
	a.key = renewed.Secret
	a.conn.Write(a.packet(wire.ModeEnd))
	eventually(t, "it is forgotten", func() bool { st := s.Stats(); return st.Sessions == 0 && st.Detached == 0 })
	if n := s.Stats().Refused[hub.ReasonStale]; n != 0 {
		t.Errorf("%d stale packets were counted", n)
	}
}

func TestASessionIsForgottenWhenItsWindowEnds(t *testing.T) {
	t.Parallel()
	short := lasting
	short.ResumeWindow = 50 * time.Millisecond
	s := start(t, hub.Options{Limits: short})
	a := s.addin("ann")
	a.connect()
	a.conn.(*net.TCPConn).SetLinger(0) // its window may end before anybody sees that it is away
	a.conn.Close()
	eventually(t, "it is forgotten", func() bool { st := s.Stats(); return st.Detached == 0 && st.Closed["not_resumed"] == 1 })
	if n := s.Publish(appID, toAll("ib"), topic("x")); n != 0 {
		t.Errorf("a message reached %d sessions", n)
	}
	a.connect()
	s.send("1")
	a.gets("1")
}

func TestWhatIsKeptIsMadeAnewUnderAnotherKey(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a, b := s.addin("ann"), s.addin("bob")
	a.connect()
	b.connect()
	s.send("1", "2")
	a.gets("1")
	a.breaks()
	s.send("3")
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	if n := s.SetApp(appID, []hub.Key{next}); n != 1 {
		t.Errorf("%d sessions ended with their key, and not the one that is connected", n)
	}
	if n := s.Stats().Detached; n != 1 {
		t.Fatalf("%d detached sessions stayed when their key ended", n)
	}
	s.send("4")
	a.key = next.Secret
	a.connect()
	a.gets("2", "3", "4")
}

func TestAFurtherPacketSendsNothingAgain(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	s.send("1")
	a.gets("1")
	before := s.judged()
	a.conn.Write(a.packet(wire.ModeAgain))
	eventually(t, "the packet was judged", func() bool { return s.judged() > before })
	s.send("2")
	a.gets("2")
	a.breaks()
	a.connect()
	s.send("3")
	a.gets("3")
}

// TestNumbersGoOnFromWhatTheClientCounted: also where nothing is remembered, for the hub was
// killed, or the window has ended.
func TestNumbersGoOnFromWhatTheClientCounted(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.turn, a.received, a.from = 7, 5, 3
	a.connect()
	s.send("1", "2")
	a.gets("1")
	a.breaks()
	a.connect()
	a.gets("2")
}

// TestWhatTheSendBufferHoldsIsKept: however small resume_bytes is, for the peer may not have it.
func TestWhatTheSendBufferHoldsIsKept(t *testing.T) {
	t.Parallel()
	little := lasting
	little.ResumeBytes = 1
	s := start(t, hub.Options{Limits: little})
	a := s.addin("ann")
	a.connect()
	s.send("1", "2", "3", "4")
	eventually(t, "all is written", func() bool {
		page, _ := s.Sessions(hub.Query{})
		return page.Sessions[0].Delivered == 4
	})
	a.breaks()
	a.connect()
	a.gets("1", "2", "3", "4")
	if n := s.Stats().Missed; n != 0 {
		t.Errorf("%d messages were missed", n)
	}
}

func TestAFurtherPacketOnAnotherConnectionIsStale(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	closedGently(t, s.speak(a.packet(wire.ModeAgain))) // nobody has it
	a.connect()
	closedGently(t, s.speak(a.packet(wire.ModeAgain))) // somebody else has it
	s.send("1")
	a.gets("1")
	if n := s.Stats().Refused[hub.ReasonStale]; n != 2 {
		t.Errorf("%d stale packets were counted", n)
	}
}

func TestADetachedSessionThatIsFullMisses(t *testing.T) {
	t.Parallel()
	few := lasting
	few.QueueBytes = 100
	s := start(t, hub.Options{Limits: few})
	a := s.addin("ann")
	a.connect()
	s.send("1")
	a.gets("1")
	a.breaks()
	s.send("2")
	for n := 1; ; n++ {
		if s.Publish(appID, toAll("ib"), topic("3")) == 0 {
			break
		}
		if n > 100 {
			t.Fatal("it never fills")
		}
	}
	page, _ := s.Sessions(hub.Query{})
	if len(page.Sessions) != 1 || page.Sessions[0].Missed != 1 || s.Stats().Missed != 1 {
		t.Errorf("%+v", page.Sessions)
	}
}

func TestAConnectionMayBecomeAnotherSession(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a, b := s.addin("ann"), s.addin("bob")
	a.connect()
	s.send("1")
	a.gets("1")
	before := s.judged()
	packet := b.packet(wire.ModeOpen)
	b.opened, b.conn = b.turn, a.conn
	b.conn.Write(packet)
	eventually(t, "the packet was judged", func() bool { return s.judged() > before })
	if st := s.Stats(); st.Sessions != 1 || st.Detached != 1 {
		t.Fatalf("%d connected, %d detached", st.Sessions, st.Detached)
	}
	s.send("2")
	b.gets("2")
	a.connect()
	a.gets("2")
	s.send("3")
	a.gets("3")
	b.gets("3")
}

func TestAKickedSessionIsForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	a.breaks()
	a.connect()
	if _, ok := s.CloseSession(1, time.Time{}); !ok {
		t.Fatal("there is no such session")
	}
	eventually(t, "it is gone", func() bool { st := s.Stats(); return st.Sessions == 0 && st.Detached == 0 })
	a.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := wire.ReadFrame(a.conn, a.key, 100); !errors.Is(err, io.EOF) {
		t.Errorf("it ended with %v", err)
	}
}

// listens has a hub that took sessions over accept new ones.
func (s *service) listens() {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.ln, s.addr = ln, ln.Addr().String()
	go s.Serve(ln)
}

// TestRememberedSessionsAreHandedOver: twice, and the second time under another key.
func TestRememberedSessionsAreHandedOver(t *testing.T) {
	first, served := open(t, hub.Options{Limits: lasting})
	here, away, ended := first.addin("here"), first.addin("away"), first.addin("ended")
	for _, a := range []*addin{here, away, ended} {
		a.connect()
	}
	older := ended.packet(wire.ModeOpen)
	ended.conn.Write(ended.packet(wire.ModeEnd))
	eventually(t, "one has ended", func() bool { return first.Stats().Sessions == 2 })
	first.send("1", "2", "3")
	here.gets("1")
	away.gets("1", "2")
	away.breaks()
	first.send("4")
	eventually(t, "all is written", func() bool {
		page, _ := first.Sessions(hub.Query{UserID: "here"})
		return page.Sessions[0].Delivered == 4
	})
	before, _ := first.Sessions(hub.Query{UserID: "away"})

	old := hub.Key{Generation: 1, Secret: first.key}
	second, became := successorWith(t, handOver(t, first, served), lasting, old)
	second.listens()
	if st := second.Stats(); became.Sessions != 1 || st.Sessions != 1 || st.Detached != 1 {
		t.Fatalf("%+v; %d connected, %d detached", became, st.Sessions, st.Detached)
	}
	after, _ := second.Sessions(hub.Query{UserID: "away"})
	if b, a := before.Sessions[0], after.Sessions[0]; a.ID != b.ID || a.Addr != b.Addr || a.Waiting != b.Waiting || a.Away.Before(b.Away) {
		t.Errorf("it was %+v and is %+v", b, a)
	}
	second.send("5")
	for _, a := range []*addin{here, away, ended} {
		a.s = second
	}
	closedGently(t, second.speak(older))
	here.gets("2")
	here.breaks()
	away.connect()
	away.gets("3", "4")

	// The key ends for the one that is away, which comes back under the next.
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	second.SetApp(appID, []hub.Key{next, old})
	second.ln.Close()
	third, _ := successorWith(t, journey(t, second.HandOver()), lasting, next)
	third.listens()
	third.send("6")
	here.s, here.key = third, next.Secret
	here.connect()
	here.gets("3", "4", "5", "6")
	if st := third.Stats(); st.Sessions != 1 || st.Detached != 0 || st.Missed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestRememberedSessionsAreTakenBack: as if nothing had been handed over.
func TestRememberedSessionsAreTakenBack(t *testing.T) {
	s, served := open(t, hub.Options{Limits: lasting})
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	here, away := s.addin("here"), s.addin("away")
	here.connect()
	away.connect()
	s.send("1", "2")
	here.gets("1")
	away.gets("1")
	away.breaks()
	handOver(t, s, served)
	s.TakeBack()
	s.listens()
	s.send("3")
	here.gets("2", "3")
	away.connect()
	away.gets("2", "3")
	here.breaks()
	here.connect()
	s.send("4")
	here.gets("4")
	away.gets("4")
}

// TestNumbersOfSessionsOnOneConnectionDiffer: an administrator who ends the one that was left ends that.
func TestNumbersOfSessionsOnOneConnectionDiffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		stays func(*service, *addin) []byte // packet
	}{
		{"a remembered one", func(_ *service, a *addin) []byte { return a.packet(wire.ModeOpen) }},
		{"one of nobody who is remembered", func(s *service, _ *addin) []byte {
			return s.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "stays"}, wire.Attributes{})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: lasting})
			left, stays := s.addin("left"), s.addin("stays")
			left.connect()
			stays.conn = left.conn
			stays.say(c.stays(s, stays))
			page, err := s.Sessions(hub.Query{})
			if err != nil || len(page.Sessions) != 2 || page.Sessions[0].ID == page.Sessions[1].ID {
				t.Fatalf("%+v, %v", page, err)
			}
			for _, one := range page.Sessions {
				if one.UserID == "stays" {
					continue
				}
				if last, ok := s.CloseSession(one.ID, one.Since); !ok || last.UserID != "left" {
					t.Errorf("ended %+v, %t", last, ok)
				}
			}
			s.send("1")
			stays.gets("1")
		})
	}
}

// TestASessionThatLosesItsConnectionInAFrameIsHandedOver: the connection registers as another
// session while a frame is half written. It is sent the rest; the session that it had before is
// sent that frame whole when it comes back, to another process too.
func TestASessionThatLosesItsConnectionInAFrameIsHandedOver(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.QueueBytes, limits.WriteTimeout = 64<<20, time.Hour
	first, served := open(t, hub.Options{Limits: limits})
	large := strings.Repeat("x", 8<<20) // more than the sockets take
	a, b := first.addin("ann"), first.addin("bob")
	a.connect()
	first.send(large, "2")
	first.blocked()
	before := first.judged()
	b.conn = a.conn
	if _, err := b.conn.Write(b.packet(wire.ModeOpen)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is another session's", func() bool { return first.judged() > before })

	state := handOver(t, first, served)
	second, became := successorWith(t, state, limits, hub.Key{Generation: 1, Secret: first.key})
	if became.Sessions != 1 || second.Stats().Detached != 1 {
		t.Fatalf("%+v, %+v", became, second.Stats())
	}
	a.s, b.s = second, second
	second.send("3")
	b.gets(large, "3")
	a.conn = second.piped().say(second, a.packet(wire.ModeOpen))
	a.gets(large, "2", "3")
	if missed := second.Stats().Missed; missed != 0 {
		t.Errorf("%d messages are missed", missed)
	}
}

// TestItIsSaidOnceThatASessionIsUsedTwice: two clients with one session take it from each other.
func TestItIsSaidOnceThatASessionIsUsedTwice(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	warnings := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})
	s := start(t, hub.Options{Limits: lasting, Logger: slog.New(warnings)})
	a, rarely := s.addin("ann"), s.addin("bob")
	const most = 5 // replacements
	for range 1 + most {
		rarely.connect()
	}
	for range 1 + 4*most {
		a.connect()
	}
	if st := s.Stats(); st.Sessions != 2 || st.Resumed != most+4*most {
		t.Errorf("%+v", st)
	}
	s.Shutdown(context.Background())
	said := log.String()
	if strings.Count(said, "take a session from each other") != 1 || !strings.Contains(said, "user_id=ann") {
		t.Errorf("the log says\n%s", said)
	}
	if strings.Contains(said, a.session) {
		t.Error("the log has the secret of the session")
	}
}

// TestNumbersGoOnWhereNothingIsRemembered: the service was killed, say. It is said once.
func TestNumbersGoOnWhereNothingIsRemembered(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := start(t, hub.Options{Limits: lasting, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a, first := s.addin("ann"), s.addin("bob")
	first.connect() // it has counted nothing yet
	a.turn, a.received, a.from = 17, 9, 16
	a.connect()
	s.send("10", "11")
	a.gets("10")
	a.breaks()
	a.connect() // 11 is remembered under its number
	a.gets("11")
	s.Shutdown(context.Background())
	if said := regexp.MustCompile(`its numbers go on.*received=\d+`).FindAllString(log.String(), -1); len(said) != 1 ||
		!strings.Contains(said[0], "user_id=ann") || !strings.HasSuffix(said[0], "received=9") {
		t.Errorf("the log says %q", said)
	}
	if st := s.Stats(); st.Missed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestWhatTheClientCountedElsewhereAcknowledgesNothing: the last frame that it counted came on a
// connection that this memory knows nothing of.
func TestWhatTheClientCountedElsewhereAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		received, from uint64
		twice          bool // it has come back in between
		want           []string
	}{
		{"on one before", 5, 4, false, []string{"4", "5", "6"}},
		{"on one to come", 5, 7, false, []string{"4", "5", "6"}},
		{"on this one", 4, 5, false, []string{"5", "6"}},
		{"on the first of this memory", 4, 5, true, []string{"5", "6"}},
		{"on this one, and more than there was", 50, 5, false, []string{"6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: lasting})
			a := s.addin("ann")
			a.turn, a.received, a.from = 4, 3, 2
			a.connect() // with turn 5
			s.send("4", "5")
			eventually(t, "they are written", func() bool { return s.Stats().Delivered == 2 })
			a.breaks()
			if c.twice {
				a.connect()
				a.breaks()
			}
			a.received, a.from = c.received, c.from
			a.connect()
			s.send("6")
			a.gets(c.want...)
		})
	}
}

// TestAConnectionInAFrameDoesNotBecomeASessionThatWasAway: a session that is not remembered
// asks to go on with one that is while its peer takes nothing of a frame, which would be
// counted as one of that. The connection ends, and the session comes back on another.
func TestAConnectionInAFrameDoesNotBecomeASessionThatWasAway(t *testing.T) {
	t.Parallel()
	s, l := startPiped(t, hub.Options{Limits: sizeBound(1 << 40)})
	l.away(s, "bob")
	a := s.addin("ann")
	a.conn = l.say(s, a.packet(wire.ModeOpen))
	a.opened = a.turn
	a.conn.Close()
	eventually(t, "the session is detached", func() bool { return s.Stats().Detached == 2 })
	plain := l.silent(s, "carl")
	s.Publish(appID, toUser("carl"), topic("0"))
	s.Publish(appID, toUser("ann"), topic("1"))
	s.blocked()
	plain.SetDeadline(time.Now().Add(patience))
	if _, err := plain.Write(a.packet(wire.ModeOpen)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its connection ended", func() bool { return s.Stats().Sessions == 0 })
	if st := s.Stats(); st.Detached != 2 || st.Resumed != 0 {
		t.Errorf("%d are detached, %d came back", st.Detached, st.Resumed)
	}
	a.conn = l.say(s, a.packet(wire.ModeOpen))
	a.gets("1")
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
