package hub_test

import (
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Which session a packet is of, and what it makes of that (protocol.md section 4.4).

// say sends a further packet on the connection, and waits until it was judged.
func (a *addin) say(packet []byte) {
	a.t.Helper()
	before := a.s.judged()
	if _, err := a.conn.Write(packet); err != nil {
		a.t.Fatal(err)
	}
	eventually(a.t, "the packet was judged", func() bool { return a.s.judged() > before })
}

// registers is a packet of anybody who says anything of himself.
func (s *service) registers(r wire.Registration, said wire.Attributes) []byte {
	s.t.Helper()
	packet, err := wire.AppendRegistration(nil, r, s.key, said.List()...)
	if err != nil {
		s.t.Fatal(err)
	}
	return packet
}

// TestTheSessionOfSomebodyElseIsAnother, whatever it is called: nobody gets what waits for another one.
func TestTheSessionOfSomebodyElseIsAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		who  wire.Registration
		same bool // session
	}{
		{"of another user", wire.Registration{AppID: appID, IbID: "ib", UserID: "bob"}, true},
		{"of another infobase", wire.Registration{AppID: appID, IbID: "ib 2", UserID: "ann"}, true},
		{"of another app", wire.Registration{AppID: otherID, IbID: "ib", UserID: "ann"}, true},
		{"another one of the same user", wire.Registration{AppID: appID, IbID: "ib", UserID: "ann"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: lasting})
			s.SetApp(otherID, []hub.Key{{Generation: 1, Secret: s.key}})
			a := s.addin("ann")
			a.connect()
			a.breaks()
			s.send("1")
			said := wire.Attributes{Session: a.session, Turn: 7}
			if !c.same {
				said.Session = wire.NewSessionID()
			}
			s.speak(s.registers(c.who, said))
			if st := s.Stats(); st.Sessions != 1 || st.Detached != 1 || st.Resumed != 0 {
				t.Errorf("%d are connected, %d detached, %d came back", st.Sessions, st.Detached, st.Resumed)
			}
			a.connect()
			a.gets("1")
		})
	}
}

// TestNothingIsRememberedIfNobodyIsToBe: resume_window is 0.
func TestNothingIsRememberedIfNobodyIsToBe(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.ResumeWindow = 0
	s := start(t, hub.Options{Limits: limits})
	a := s.addin("ann")
	a.connect()
	s.send("1")
	a.gets("1")
	a.conn.Close()
	eventually(t, "it has ended", func() bool { st := s.Stats(); return st.Sessions == 0 && st.Detached == 0 })
	if n := s.Stats().Closed["closed_by_peer"]; n != 1 {
		t.Errorf("the sessions ended for %v", s.Stats().Closed)
	}
	a.turn = 0 // which would be stale
	a.connect()
	s.send("2")
	a.gets("2")
}

// TestGoodbyeHoldsOnWhicheverConnectionItComes, and of whichever session: what is older is stale, what is newer begins.
func TestGoodbyeHoldsOnWhicheverConnectionItComes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		is   func(*service, *addin) // before the goodbye comes on a connection of its own
		ends uint64                 // sessions
	}{
		{"it is connected", func(_ *service, a *addin) { a.connect() }, 1},
		{"it is away", func(_ *service, a *addin) { a.connect(); a.breaks() }, 1},
		{"nobody knows it", func(_ *service, a *addin) { a.packet(wire.ModeOpen) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: lasting})
			a := s.addin("ann")
			c.is(s, a)
			late := a.packet(wire.ModeOpen)
			goodbye := a.packet(wire.ModeEnd)
			conn := s.dial()
			if _, err := conn.Write(goodbye); err != nil {
				t.Fatal(err)
			}
			closedGently(t, conn)
			if st := s.Stats(); st.Sessions != 0 || st.Detached != 0 || st.Closed["goodbye"] != c.ends {
				t.Errorf("%d are connected, %d detached, %d said goodbye", st.Sessions, st.Detached, st.Closed["goodbye"])
			}
			if total, _ := s.AppSessions(appID); total != 0 {
				t.Errorf("the app has %d sessions", total)
			}
			if s.Publish(appID, toAll("ib"), topic("0")) != 0 {
				t.Error("a message reached somebody")
			}
			for _, packet := range [][]byte{late, goodbye} {
				closedGently(t, s.speak(packet))
			}
			if st := s.Stats(); st.Sessions != 0 || st.Refused[hub.ReasonStale] != 2 {
				t.Errorf("%d are connected, %d were stale", st.Sessions, st.Refused[hub.ReasonStale])
			}
			a.connect()
			s.send("1")
			a.gets("1")
		})
	}
}

// TestAFurtherPacketChangesNamesAndGroups, and the session is remembered as before, with the turn of that.
func TestAFurtherPacketChangesNamesAndGroups(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	late := a.packet(wire.ModeOpen)
	a.turn++
	who := wire.Registration{AppID: appID, IbID: "ib", UserID: "ann", UserGroup: "staff"}
	a.say(s.registers(who, wire.Attributes{
		Session: a.session, Turn: a.turn, Mode: wire.ModeAgain, Groups: []string{"sales"}, Host: "ws-17", User: "Анна",
	}))
	closedGently(t, s.speak(late))
	a.breaks()
	for n, group := range []string{"staff", "sales"} {
		reach := s.Send(appID, toGroup(group), topic(strconv.Itoa(n+1)))
		if reach != (hub.Reach{Sessions: 1, Waiting: 1}) {
			t.Errorf("a message to %s reached %+v", group, reach)
		}
	}
	page, _ := s.Sessions(hub.Query{})
	if len(page.Sessions) != 1 || page.Sessions[0].Host != "ws-17" || page.Sessions[0].UserName != "Анна" {
		t.Errorf("listed: %+v", page.Sessions)
	}
	// So does the packet that goes on.
	a.turn++
	a.conn = s.speak(s.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "ann"}, wire.Attributes{
		Session: a.session, Turn: a.turn, Groups: []string{"storage"},
	}))
	a.gets("1", "2")
	for group, want := range map[string]int{"staff": 0, "sales": 0, "storage": 1} {
		if n := s.Publish(appID, toGroup(group), topic("3")); n != want {
			t.Errorf("a message to %s reached %d", group, n)
		}
	}
	a.gets("3")
}

// TestAConnectionMayGoOnWithASessionThatWasAway: whoever had it before has ended.
func TestAConnectionMayGoOnWithASessionThatWasAway(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	a.breaks()
	if total, _ := s.AppSessions(appID); total != 0 {
		t.Errorf("the app has %d sessions", total)
	}
	s.send("1")
	bob := wire.Registration{AppID: appID, IbID: "ib", UserID: "bob", UserGroup: "staff"}
	a.conn = s.speak(s.registers(bob, wire.Attributes{}))
	a.say(a.packet(wire.ModeOpen))
	a.opened = a.turn
	total, _ := s.AppSessions(appID)
	if st := s.Stats(); st.Sessions != 1 || st.Detached != 0 || total != 1 {
		t.Errorf("%d are connected, %d of the app, %d detached", st.Sessions, total, st.Detached)
	}
	if n := s.Publish(appID, toUser("bob"), topic("0")) + s.Publish(appID, toGroup("staff"), topic("0")); n != 0 {
		t.Errorf("a message reached %d", n)
	}
	s.send("2")
	a.gets("1", "2")
}

// TestOneThatGoesOnIsNeverTooMany: the newest of a user is refused, and is not remembered; those that are away count.
func TestOneThatGoesOnIsNeverTooMany(t *testing.T) {
	t.Parallel()
	var seen events
	limits := lasting
	limits.MaxSessionsPerUser = 2
	s := start(t, hub.Options{Limits: limits, Observe: seen.observe})
	a, b, third := s.addin("ann"), s.addin("ann"), s.addin("ann")
	a.connect()
	a.breaks()
	b.connect()
	bytes := s.Stats().QueueMemory.Bytes
	third.connect()
	closedGently(t, third.conn)
	if st := s.Stats(); st.Refused[hub.ReasonTooManySessions] != 1 || st.Sessions != 1 || st.Detached != 1 ||
		st.QueueMemory.Bytes != bytes {
		t.Errorf("%+v", st)
	}
	limits.MaxSessionsPerUser = 1
	s.SetLimits(limits)
	a.connect()
	b.say(b.packet(wire.ModeAgain))
	s.send("1")
	a.gets("1")
	b.gets("1")
	if st := s.Stats(); st.Refused[hub.ReasonTooManySessions] != 1 || st.Sessions != 2 || st.Detached != 0 {
		t.Errorf("%+v", st)
	}
	third.connect() // its turn is not remembered either: it is the number that it is refused for
	closedGently(t, third.conn)
	if n := s.Stats().Refused[hub.ReasonTooManySessions]; n != 2 {
		t.Errorf("%d were too many", n)
	}
}

// TestWhatASessionIsForPeopleStays over all its connections: its number, since when it is there, what it got.
func TestWhatASessionIsForPeopleStays(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	s.send("1", "2")
	a.gets("1", "2")
	eventually(t, "they are accounted for", func() bool { return s.Stats().Delivered == 2 })
	a.received = 1 // 2 is sent once more
	list := func() hub.Session {
		t.Helper()
		page, _ := s.Sessions(hub.Query{})
		if len(page.Sessions) != 1 {
			t.Fatalf("listed: %+v", page.Sessions)
		}
		return page.Sessions[0]
	}
	before := list()
	if age := time.Since(before.Since); age < 0 || age > patience {
		t.Errorf("it is there since %v", before.Since)
	}
	a.breaks()
	away := list()
	if away.Away.Before(before.Since) || time.Since(away.Away) > patience {
		t.Errorf("it is away since %v", away.Away)
	}
	a.connect()
	a.gets("2")
	eventually(t, "it is accounted for", func() bool { return list().Bytes > before.Bytes })
	after := list()
	for _, one := range []hub.Session{away, after} {
		if one.ID != before.ID || !one.Since.Equal(before.Since) || one.Delivered != 2 ||
			!one.LastDeliveryAt.Equal(before.LastDeliveryAt) {
			t.Errorf("it was %+v and is %+v", before, one)
		}
	}
	if !after.Away.IsZero() || after.Resumed != 1 {
		t.Errorf("it is %+v", after)
	}
	eventually(t, "one connection is left", func() bool {
		connections := 0
		s.Connections(func(uint64, net.Conn) { connections++ })
		return connections == 1
	})
}

// TestASessionWithoutASecretIsAsBefore, however much it says of itself: its end is the end, and it may come again.
func TestASessionWithoutASecretIsAsBefore(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	for n := range 2 {
		c := s.introduce("ann", "", wire.Attributes{Groups: []string{"staff"}, Host: "ws-17"})
		if reach := s.Send(appID, toGroup("staff"), topic("1")); reach != (hub.Reach{Sessions: 1}) {
			t.Errorf("a message reached %+v", reach)
		}
		receive(t, c)
		c.Close()
		eventually(t, "it has ended", func() bool { return s.Stats().Sessions == 0 })
		if st := s.Stats(); st.Detached != 0 || st.Closed["closed_by_peer"] != uint64(n+1) {
			t.Errorf("%d are detached, sessions ended for %v", st.Detached, st.Closed)
		}
	}
}

// TestAConnectionMayBecomeThatOfNobodyWhoIsRemembered: the session that it had stays, detached.
func TestAConnectionMayBecomeThatOfNobodyWhoIsRemembered(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a, plain := s.addin("ann"), s.addin("bob")
	a.connect()
	s.send("1")
	a.gets("1")
	eventually(t, "it is accounted for", func() bool { return s.Stats().Delivered == 1 })
	before := s.Stats().QueueMemory.Bytes
	a.say(s.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "bob"}, wire.Attributes{}))
	plain.conn = a.conn
	if away := s.Stats().QueueMemory.Bytes; away != before+1024 {
		t.Errorf("%d bytes were taken, and %d when it is away", before, away)
	}
	if reach := s.Send(appID, toAll("ib"), topic("2")); reach != (hub.Reach{Sessions: 2, Waiting: 1}) {
		t.Errorf("a message reached %+v", reach)
	}
	plain.gets("2")
	if total, _ := s.AppSessions(appID); total != 1 {
		t.Errorf("the app has %d sessions", total)
	}
	eventually(t, "it is accounted for", func() bool { return s.Stats().Delivered == 2 })
	before = s.Stats().QueueMemory.Bytes
	plain.conn.Close()
	eventually(t, "that has ended", func() bool { return s.Stats().Sessions == 0 })
	if after := s.Stats().QueueMemory.Bytes; after != before {
		t.Errorf("%d bytes were taken, and %d without the one of which nothing is kept", before, after)
	}
	a.connect()
	a.gets("2")
}

// TestSaysThatASessionIsAwayAndBack, and not that it was closed before it is.
func TestSaysThatASessionIsAwayAndBack(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	var seen events
	s := start(t, hub.Options{Limits: lasting, Observe: seen.observe, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a := s.addin("ann")
	a.connect()
	a.breaks()
	a.connect()
	a.say(a.packet(wire.ModeAgain))
	a.connect() // it was not away
	a.conn.Write(a.packet(wire.ModeEnd))
	closedGently(t, a.conn)
	eventually(t, "all is said", func() bool { return len(seen.lines()) == 6 })
	for n, want := range []string{
		"session_opened ", "session_detached ", "session_resumed ", "session_changed ", "session_resumed ", "session_closed ",
	} {
		if got := seen.lines()[n]; !strings.HasPrefix(got, want) {
			t.Errorf("it is said that %q, and not that %q", got, want)
		}
	}
	for text, want := range map[string]int{
		"session opened": 1, "session detached": 1, "session resumed": 2, "session registered again": 1, "session closed": 1,
	} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("the log says %d times %q, not %d", n, text, want)
		}
	}
	if strings.Contains(log.String(), a.session) {
		t.Error("the log has the secret of the session")
	}
}

// TestASessionWhoseAppIsGoneIsForgotten, connected or not; the app may come back without it.
func TestASessionWhoseAppIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	here, away := s.addin("ann"), s.addin("bob")
	here.connect()
	away.connect()
	away.breaks()
	if n := s.RemoveApp(appID); n != 2 {
		t.Errorf("%d sessions ended", n)
	}
	closedGently(t, here.conn)
	s.SetApp(appID, []hub.Key{{Generation: 1, Secret: s.key}})
	away.connect()
	away.breaks()
	if n := s.RemoveApp(appID); n != 1 {
		t.Errorf("%d sessions ended when nobody was connected", n)
	}
	s.SetApp(appID, []hub.Key{{Generation: 1, Secret: s.key}})
	if st := s.Stats(); st.Sessions != 0 || st.Detached != 0 || st.Closed["key_revoked"] != 3 {
		t.Errorf("%+v", st)
	}
	away.connect()
	s.send("1")
	away.gets("1")
	if n := s.Stats().Resumed; n != 0 {
		t.Errorf("%d came back", n)
	}
}
