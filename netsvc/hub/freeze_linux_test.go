package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// pausing is a listener whose accepting can be ended and begun again.
type pausing struct{ *net.TCPListener }

func (p pausing) Accept() (net.Conn, error) {
	conn, err := p.TCPListener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed
	}
	return conn, err
}

// freezable is a service that can be frozen.
type freezable struct {
	*service
	pausing
	serving bool
	served  chan error
}

func startFreezable(t testing.TB, o hub.Options) *freezable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	// Nobody is slow but this machine.
	o.Limits.RegistrationTimeout, o.Limits.WriteTimeout = time.Hour, time.Hour
	s := &freezable{
		service: &service{Hub: hub.New(o), t: t, addr: ln.Addr().String(), key: clientKey(t, 1)},
		pausing: pausing{ln.(*net.TCPListener)}, served: make(chan error, 1),
	}
	s.SetApp(appID, []hub.Key{{Generation: 1, Secret: s.key}})
	s.serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		ln.Close()
		if !s.serving {
			return
		}
		if err := <-s.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func (s *freezable) serve() {
	s.SetDeadline(time.Time{})
	s.serving = true
	go func() { s.served <- s.Serve(s.pausing) }()
}

func (s *freezable) freeze() *hub.State {
	s.t.Helper()
	s.SetDeadline(time.Unix(1, 0))
	if err := <-s.served; err != nil {
		s.t.Fatalf("serve: %v", err)
	}
	s.serving = false
	return s.HandOver()
}

func (s *freezable) takeBack() {
	s.TakeBack()
	s.serve()
}

// registered opens a session without a client, whose bytes the test sees.
func (s *freezable) registered(user string) net.Conn {
	s.t.Helper()
	before := s.Stats().Registrations
	conn := s.dial()
	send(s.t, conn, packet(32, fields(appID, "ib", user, "")))
	eventually(s.t, "the session is registered", func() bool { return s.Stats().Registrations > before })
	return conn
}

func send(t testing.TB, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// isOpen reports whether nothing has come from the service, and not its end either.
func isOpen(t testing.TB, conn net.Conn) bool {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peeked error
	if err := raw.Control(func(fd uintptr) {
		_, _, peeked = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	}); err != nil {
		t.Fatal(err)
	}
	return peeked == unix.EAGAIN
}

// closed waits for the service to end a connection.
func closed(t testing.TB, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
		t.Errorf("got %d bytes and %v, want the connection to end", n, err)
	}
}

// hubGoroutines is how many goroutines hubs have, but those that publish.
func hubGoroutines() (n int) {
	var stacks strings.Builder
	pprof.Lookup("goroutine").WriteTo(&stacks, 2)
	for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
		for _, f := range []string{"(*flusher).run(", "(*watch).run(", "(*Hub).greet(", "(*Hub).attend(",
			"(*Hub).flushBlocking(", "(*Hub).forget("} {
			if strings.Contains(stack, "netsvc/hub."+f) {
				n++
				break
			}
		}
	}
	return n
}

// TestTakeBackGoesOnAsIfNothingHadHappened runs alone, for it counts goroutines.
func TestTakeBackGoesOnAsIfNothingHadHappened(t *testing.T) {
	s := startFreezable(t, hub.Options{Limits: roomy})
	ann, slow := s.connect("ib", "ann", ""), s.connect("ib", "slow", "")
	half, again := s.dial(), s.registered("before")
	registration := packet(32, fields(appID, "ib", "half", ""))
	// More than the sockets take: it stops in the middle of a frame.
	large := strings.Repeat("x", 6<<20)
	toSlow := wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "slow"}
	for i := range 3 {
		s.Publish(appID, toSlow, topic(fmt.Sprint(i, large)))
	}
	const rounds = 4
	cuts := []int{0, 1, 2, 30, len(registration)} // where the registration is cut by the freezes
	toAnn := wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "ann"}
	for round := range rounds {
		for _, conn := range []net.Conn{half, again} {
			send(t, conn, registration[cuts[round]:cuts[round+1]-btoi(round == rounds-1)])
		}
		s.Publish(appID, toAnn, topic(fmt.Sprint("before ", round)))
		state := s.freeze()
		if n := hubGoroutines(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
		if !s.Frozen() || len(state.Sessions) != 4 {
			t.Fatalf("frozen %v, with %d sessions", s.Frozen(), len(state.Sessions))
		}
		if !slices.IsSortedFunc(state.Sessions, func(a, b hub.SavedSession) int { return int(a.ID) - int(b.ID) }) {
			t.Error("the sessions are in another order than that of their numbers")
		}
		// Queues are moved elsewhere; where they were is somebody else's.
		for i := range state.Frames {
			before := state.Frames[i].Bytes
			state.Frames[i].Move(bytes.Clone(before), nil)
			clear(before)
		}
		published := make(chan int)
		go func() { published <- s.Publish(appID, toAnn, topic(fmt.Sprint("meanwhile ", round))) }()
		s.takeBack()
		if n := <-published; n != 1 {
			t.Errorf("what was published meanwhile reached %d sessions", n)
		}
		for _, want := range []string{"before ", "meanwhile "} {
			if got, want := receive(t, ann), fmt.Sprintf(`{"topic":"%s%d"}`, want, round); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	if s.Frozen() {
		t.Error("it is frozen still")
	}
	for i := range 3 {
		if got, want := receive(t, slow), fmt.Sprintf(`{"topic":"%d%s"}`, i, large); got != want {
			t.Fatalf("slow got %.80s of %d bytes", got, len(got))
		}
	}
	for _, conn := range []net.Conn{half, again} {
		send(t, conn, registration[len(registration)-1:])
	}
	eventually(t, "both are registered", func() bool {
		page, err := s.Sessions(hub.Query{UserID: "half"})
		return err == nil && page.Total == 2 && s.Stats().Registrations == 5 // counted, too
	})
	s.connect("ib", "late", "")
	if n := s.Publish(appID, toAll("ib"), topic("end")); n != 5 {
		t.Errorf("reached %d sessions", n)
	}
	for _, c := range []*wire.Client{ann, slow} {
		if got := receive(t, c); got != `{"topic":"end"}` {
			t.Errorf("got %.80s", got)
		}
	}
	ann.Close()
	eventually(t, "its end is noticed", func() bool { return s.Stats().Sessions == 4 })
	eventually(t, "the sessions rest", func() bool { return attending() == 0 })
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// meanwhile has everything happen to a frozen hub that ends or changes a session. It
// returns what must not be noticed before somebody goes on.
type meanwhile struct {
	revoked, left, administrated, refused, entering, silent net.Conn
}

func nextKey(t testing.TB) hub.Key { return hub.Key{Generation: 2, Secret: clientKey(t, 2)} }

func (m *meanwhile) begin(s *freezable) {
	m.revoked, m.left = s.registered("revoked"), s.registered("left")
	m.administrated = s.registered("administrated")
	m.silent, m.refused, m.entering = s.dial(), s.dial(), s.dial()
	eventually(s.t, "all are there", func() bool { return s.Stats().Unregistered == 3 })
}

func (m *meanwhile) happen(s *freezable, state *hub.State) {
	t := s.t
	t.Helper()
	before := s.Stats()
	if n := s.SetApp(appID, []hub.Key{nextKey(t)}); n != 0 {
		t.Errorf("%d sessions were closed", n)
	}
	m.left.Close()
	send(t, m.refused, packet(31, fields(appID, "ib", "refused", "")))
	send(t, m.entering, packet(32, fields(appID, "ib", "entering", "")))
	for i := range state.Sessions {
		if _, closed := s.CloseSession(state.Sessions[i].ID, time.Time{}); closed {
			t.Errorf("session %d was closed", state.Sessions[i].ID)
		}
	}
	if s.EvictUnregistered() {
		t.Error("somebody was evicted")
	}
	after := s.Stats()
	if after.Sessions != before.Sessions || after.Unregistered != before.Unregistered ||
		after.Registrations != before.Registrations ||
		fmt.Sprint(after.Closed, after.Refused) != fmt.Sprint(before.Closed, before.Refused) {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	for name, conn := range map[string]net.Conn{"revoked": m.revoked, "administrated": m.administrated,
		"refused": m.refused, "entering": m.entering, "silent": m.silent} {
		if !isOpen(t, conn) {
			t.Errorf("the connection of %s was ended", name)
		}
	}
}

func TestNothingHappensWhileFrozen(t *testing.T) {
	t.Parallel()
	var seen events
	s := startFreezable(t, hub.Options{Observe: seen.observe})
	var m meanwhile
	m.begin(s)
	state := s.freeze()
	told := len(seen.lines())
	m.happen(s, state)
	if now := seen.lines(); len(now) != told {
		t.Errorf("it was told: %v", now[told:])
	}
	if len(state.Sessions) != 6 {
		t.Fatalf("%d connections are handed over", len(state.Sessions))
	}

	// Then each comes to its end, for its own reason. All keys are gone but one that
	// nobody has; whoever left is closed as revoked or as left, whatever is seen first.
	s.takeBack()
	for _, conn := range []net.Conn{m.revoked, m.administrated, m.refused, m.entering} {
		closed(t, conn)
	}
	eventually(t, "all but the silent one are gone", func() bool {
		st := s.Stats()
		return st.Sessions == 0 && st.Unregistered == 1
	})
	st := s.Stats()
	if n := st.Closed["key_revoked"]; n+st.Closed["closed_by_peer"] != 3 || n < 2 ||
		st.Refused[wire.ReasonHashLength] != 1 || st.Refused[hub.ReasonWrongHMAC] != 1 {
		t.Errorf("closed %v, refused %v", st.Closed, st.Refused)
	}
	if !isOpen(t, m.silent) || !s.EvictUnregistered() {
		t.Error("the silent one is gone")
	}
	closed(t, m.silent)
	eventually(t, "no connection is left", func() bool { return s.connections() == 0 })
}

func (s *service) connections() (n int) {
	s.Connections(func(uint64, net.Conn) { n++ })
	return n
}

func TestWhatHappenedWhileFrozenIsFoundByAnotherHub(t *testing.T) {
	t.Parallel()
	s := startFreezable(t, hub.Options{})
	var m meanwhile
	m.begin(s)
	old := hub.Key{Generation: 1, Secret: s.key}
	state := s.freeze()
	m.happen(s, state)
	second, became := successor(t, journey(t, state), nextKey(t), old)
	if became != (hub.TakenOver{Sessions: 3, Unregistered: 3}) {
		t.Fatalf("%+v", became)
	}
	closed(t, m.refused)
	eventually(t, "one has left, one has entered", func() bool {
		page, err := second.Sessions(hub.Query{Sort: "user"})
		return err == nil && users(page) == "administrated entering revoked"
	})
	if n := second.SetApp(appID, []hub.Key{nextKey(t)}); n != 3 {
		t.Errorf("%d sessions were closed", n)
	}
	for _, conn := range []net.Conn{m.revoked, m.administrated, m.entering} {
		closed(t, conn)
	}
	if !second.EvictUnregistered() {
		t.Error("the silent one is gone")
	}
	closed(t, m.silent)
}

// TestKeysThatEndedMeanwhileCloseTheirSessions, and no others.
func TestKeysThatEndedMeanwhileCloseTheirSessions(t *testing.T) {
	t.Parallel()
	s := startFreezable(t, hub.Options{})
	underOld := s.registered("old")
	s.SetApp(appID, []hub.Key{nextKey(t), {Generation: 1, Secret: s.key}})
	underNext := s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "next"}, nextKey(t).Secret)
	s.freeze()
	s.SetApp(appID, []hub.Key{nextKey(t)})
	s.takeBack()
	closed(t, underOld)
	if n := s.Publish(appID, toAll("ib"), topic("x")); n != 1 {
		t.Errorf("reached %d sessions", n)
	}
	receive(t, underNext)
	if st := s.Stats(); st.Sessions != 1 || st.Closed["key_revoked"] != 1 {
		t.Errorf("%d sessions, closed %v", st.Sessions, st.Closed)
	}
}

// TestAClosedSessionEndsThoughAnotherProcessHasACopy of its descriptor.
func TestAClosedSessionEndsThoughAnotherProcessHasACopy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		registered bool
		end        func(t *testing.T, s *freezable, conn net.Conn, id uint64)
	}{
		"by an administrator": {true,
			func(_ *testing.T, s *freezable, _ net.Conn, id uint64) { s.CloseSession(id, time.Time{}) }},
		"by the end of its key": {true, func(t *testing.T, s *freezable, _ net.Conn, _ uint64) {
			s.SetApp(appID, []hub.Key{nextKey(t)})
		}},
		"by the end of its app": {true, func(_ *testing.T, s *freezable, _ net.Conn, _ uint64) { s.RemoveApp(appID) }},
		"by eviction":           {false, func(_ *testing.T, s *freezable, _ net.Conn, _ uint64) { s.EvictUnregistered() }},
		"by a refusal": {false, func(t *testing.T, _ *freezable, conn net.Conn, _ uint64) {
			send(t, conn, packet(31, fields(appID, "ib", "u", "")))
		}},
		"by the end of its key in another hub": {true, func(t *testing.T, s *freezable, _ net.Conn, _ uint64) {
			if _, became := successor(t, journey(t, s.freeze()), nextKey(t)); became.Revoked != 1 {
				t.Errorf("%+v", became)
			}
		}},
		"by the end of its key while frozen": {true, func(t *testing.T, s *freezable, _ net.Conn, _ uint64) {
			s.freeze()
			s.SetApp(appID, []hub.Key{nextKey(t)})
			s.takeBack()
		}},
		"by a stop": {true, func(t *testing.T, s *freezable, _ net.Conn, _ uint64) {
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startFreezable(t, hub.Options{})
			conn := s.dial()
			if test.registered {
				conn = s.registered("u")
			}
			var id uint64
			var copied *os.File
			eventually(t, "the connection is there", func() bool { return s.connections() > 0 })
			s.Connections(func(number uint64, conn net.Conn) {
				if id < number {
					f, err := conn.(*net.TCPConn).File()
					if err != nil {
						t.Error(err)
						return
					}
					copied.Close()
					id, copied = number, f
				}
			})
			defer copied.Close()
			test.end(t, s, conn, id)
			closed(t, conn)
		})
	}
}

func TestSessionsThatDidNotComeAreMissing(t *testing.T) {
	t.Parallel()
	var latencies sync.WaitGroup
	s := startFreezable(t, hub.Options{Limits: roomy})
	clients := map[string]*wire.Client{"a": s.connect("ib", "a", ""), "b": s.connect("ib", "b", "")}
	s.dial()
	eventually(t, "the other one is there", func() bool { return s.Stats().Unregistered == 1 })
	// It fills what sockets take, so that the next one waits for both.
	s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", 12<<20)))
	s.Publish(appID, toAll("ib"), topic("waits"))
	state := journey(t, s.freeze())
	if len(state.Frames) != 2 {
		t.Fatalf("%d messages wait", len(state.Frames))
	}
	for i := range state.Sessions {
		if state.Sessions[i].UserID != "b" {
			state.Sessions[i].Conn = nil
		}
	}
	second := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler),
		Latency: func(time.Duration) { latencies.Done() }})
	second.SetApp(appID, []hub.Key{{Generation: 1, Secret: s.key}})
	latencies.Add(2) // each message is told of once, though one of its copies is missing
	if became := second.TakeOver(state); became != (hub.TakenOver{Sessions: 1, Missing: 2}) {
		t.Fatalf("%+v", became)
	}
	if got := receive(t, clients["b"]); len(got) < 12<<20 {
		t.Errorf("got %.80s", got)
	}
	if got := receive(t, clients["b"]); got != `{"topic":"waits"}` {
		t.Errorf("got %.80s", got)
	}
	latencies.Wait()
	if st := second.Stats(); st.Sessions != 1 || st.Unregistered != 0 {
		t.Errorf("%+v", st)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFreezesWhileThousandsComeAndGo is for the race detector, and for what happens in the
// very moment of the freeze: no hub hangs, no session is forgotten.
func TestFreezesWhileThousandsComeAndGo(t *testing.T) {
	t.Parallel()
	s := startFreezable(t, hub.Options{})
	stop := make(chan struct{})
	var others, clients sync.WaitGroup
	background := func(f func(i int)) {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		})
	}
	background(func(i int) { s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", i%1000))) })
	background(func(int) { s.EvictUnregistered() })
	background(func(i int) {
		if page, err := s.Sessions(hub.Query{}); i%10 == 0 && err == nil && len(page.Sessions) > 0 {
			s.CloseSession(page.Sessions[0].ID, time.Time{})
		}
	})
	registration := packet(32, fields(appID, "ib", "u", ""))
	for n := range 8 {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				cut := (n + i) % len(registration)
				conn.Write(registration[:cut])
				conn.Write(registration[cut:])
				conn.SetReadDeadline(time.Now().Add(time.Duration(i%3) * time.Millisecond))
				conn.Read(make([]byte, 100))
				conn.Write(registration[:cut])
				conn.Close()
			}
		})
	}
	for range 200 {
		state := s.freeze()
		for i := range state.Sessions {
			if state.Sessions[i].Conn == nil {
				t.Fatal("a session has no connection")
			}
		}
		if _, err := hub.ParseState(state.AppendBinary(nil)); err != nil {
			t.Fatal(err)
		}
		s.takeBack()
	}
	close(stop)
	clients.Wait()
	others.Wait()
	eventually(t, "all are gone", func() bool {
		st := s.Stats()
		return st.Sessions == 0 && st.Unregistered == 0 && s.connections() == 0
	})
}

// TestWhoIsClosedAtTheVeryTakeBackIsForgotten as at any other time.
func TestWhoIsClosedAtTheVeryTakeBackIsForgotten(t *testing.T) {
	t.Parallel()
	const connections = 300
	s := startFreezable(t, hub.Options{})
	for range connections {
		s.dial()
	}
	eventually(t, "all are there", func() bool { return s.Stats().Unregistered == connections })
	s.freeze()
	var evicting sync.WaitGroup
	for range 2 {
		evicting.Go(func() {
			for n := 0; n < connections/3; {
				if s.EvictUnregistered() {
					n++
				}
			}
		})
	}
	s.takeBack()
	evicting.Wait()
	eventually(t, "nobody is remembered who is gone", func() bool { return s.connections() == s.Stats().Unregistered })
}
