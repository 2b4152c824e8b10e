package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pns4ones/pns4ones/config"
)

func open(t *testing.T, a config.Address, log io.Writer) *Service {
	t.Helper()
	s, err := Open(context.Background(), a, Options{
		Service: "listen", Exhausted: func() bool { return false }, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatalf("opening %s: %v", a, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// serve accepts connections until the service is closed, and greets each. stop
// closes it and waits for that.
func serve(s *Service) (stop func()) {
	var accepting sync.WaitGroup
	for _, ln := range s.Listeners() {
		accepting.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				c.Write([]byte("hello"))
				c.Close()
			}
		})
	}
	return func() {
		s.Close()
		accepting.Wait()
	}
}

// greeting connects from one address to another and returns what is said there.
func greeting(t *testing.T, from, to string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatalf("connecting from %s to %s: %v", from, to, err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	return string(text)
}

func TestServesOnlyPeersFromTheNetwork(t *testing.T) {
	t.Parallel()
	log := new(bytes.Buffer)
	s := open(t, config.Address{Network: netip.MustParsePrefix("127.1.0.0/16")}, log)
	stop := serve(s)
	port := strconv.Itoa(s.Port())
	if got := greeting(t, "127.1.2.3", "127.1.0.1:"+port); got != "hello" {
		t.Errorf("a peer inside got %q", got)
	}
	if got := greeting(t, "127.0.0.1", "127.0.0.1:"+port); got != "" {
		t.Errorf("a peer outside got %q", got)
	}
	if got := s.Rejected(); got != 1 {
		t.Errorf("%d peers rejected, want 1", got)
	}
	stop() // what it logs is complete then
	if want := "peer=127.0.0.1 service=listen allowed=127.1.0.0/16"; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, log)
	}
}

func TestLocalhostIsBothLoopbacks(t *testing.T) {
	t.Parallel()
	s := open(t, config.Address{Host: "localhost"}, io.Discard)
	defer serve(s)()
	if got := greeting(t, "127.0.0.1", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port()))); got != "hello" {
		t.Errorf("127.0.0.1 got %q", got)
	}
	if len(s.Listeners()) < 2 {
		t.Skip("no IPv6 here")
	}
	if got := greeting(t, "::1", net.JoinHostPort("::1", strconv.Itoa(s.Port()))); got != "hello" {
		t.Errorf("::1 got %q", got)
	}
}

func TestTellsWhyAnAddressCannotBeHad(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name    string
		address config.Address
		is      func(*OpenError) bool
	}{
		{"in use", config.Address{Host: "127.0.0.1", Port: taken.Addr().(*net.TCPAddr).Port}, (*OpenError).InUse},
		{"not ours", config.Address{Host: "192.0.2.1"}, (*OpenError).NotOurs},
	}
	for _, tt := range tests {
		_, err := Open(context.Background(), tt.address, Options{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			t.Errorf("%s: opened", tt.name)
			continue
		}
		if !tt.is(&OpenError{Err: err}) {
			t.Errorf("%s: not recognised: %v", tt.name, err)
		}
	}
}

func TestANameWithoutAnAddressIsTold(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), config.Address{Host: "no-such-host.invalid", Port: 1},
		Options{Logger: slog.New(slog.DiscardHandler)})
	if !(&OpenError{Err: err}).Unresolved() {
		t.Errorf("not recognised: %v", err)
	}
}

func TestCloseEndsAccept(t *testing.T) {
	t.Parallel()
	s := open(t, config.Address{Host: "127.0.0.1"}, io.Discard)
	ended := make(chan error)
	go func() {
		_, err := s.Listeners()[0].Accept()
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("accept ended with %v", err)
	}
}

// shortOf is a listener that fails with the errors given, then is closed.
type shortOf struct{ errs []error }

func (l *shortOf) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return nil, net.ErrClosed
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}
func (l *shortOf) Close() error   { return nil }
func (l *shortOf) Addr() net.Addr { return &net.TCPAddr{} }

func TestMakesRoomWhenDescriptorsRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exhausted := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errExhausted)}
		log := new(bytes.Buffer)
		evictions := 0
		s := &Service{turn: newTurn(), options: Options{
			Logger: slog.New(slog.NewTextHandler(log, nil)),
			Exhausted: func() bool {
				evictions++
				return evictions <= 2 // then there is nobody left to evict: it has to wait
			},
		}}
		s.network.Store(&netip.Prefix{})
		g := &guarded{Listener: &shortOf{errs: []error{exhausted, exhausted, exhausted, exhausted}}, service: s,
			turn: s.turn}
		if _, err := g.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("accept ended with %v", err)
		}
		if evictions != 4 {
			t.Errorf("asked for room %d times, want 4", evictions)
		}
		if got := strings.Count(log.String(), "\n"); got != 1 {
			t.Errorf("complained %d times, want once:\n%s", got, log)
		}
	})
}

// accepting is what a service that is served accepts, and whether its listeners have
// ended.
type accepting struct {
	conns chan net.Conn
	ended chan error
	n     int
}

func accept(s *Service) *accepting {
	a := &accepting{conns: make(chan net.Conn, 10), ended: make(chan error, 10)}
	for _, ln := range s.Listeners() {
		a.n++
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					a.ended <- err
					return
				}
				a.conns <- conn
			}
		}()
	}
	return a
}

// end waits until nobody accepts any more.
func (a *accepting) end(t *testing.T) {
	t.Helper()
	for range a.n {
		if err := <-a.ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept ended with %v", err)
		}
	}
}

func dial(t *testing.T, s *Service) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// gets checks that the service has accepted that connection, and no other.
func (a *accepting) gets(t *testing.T, conn net.Conn) {
	t.Helper()
	accepted := <-a.conns
	defer accepted.Close()
	if accepted.RemoteAddr().String() != conn.LocalAddr().String() {
		t.Errorf("it has accepted %v, want %v", accepted.RemoteAddr(), conn.LocalAddr())
	}
}

func TestWhoeverConnectsWhileDetachedIsServedAfterwards(t *testing.T) {
	t.Parallel()
	s := open(t, config.Address{Host: "localhost"}, io.Discard)
	port := s.Port()
	for range 3 {
		a := accept(s)
		conn := dial(t, s)
		a.gets(t, conn)
		sockets := s.Detach()
		a.end(t)
		if len(sockets) != a.n {
			t.Errorf("%d sockets are detached, %d listened", len(sockets), a.n)
		}
		if again := s.Detach(); again != nil {
			t.Errorf("%d are detached twice", len(again))
		}
		// What is served, or closed, of the time before changes nothing.
		waiting := dial(t, s)
		for _, ln := range s.Listeners() {
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("accept ended with %v", err)
			}
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
		}
		s.Resume()
		if s.Port() != port {
			t.Errorf("the port is %d and was %d", s.Port(), port)
		}
		a = accept(s)
		a.gets(t, waiting)
		a.gets(t, dial(t, s))
		s.Detach()
		a.end(t)
		s.Resume()
	}
	a := accept(s)
	s.Close()
	a.end(t)
	if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
		conn.Close()
		t.Error("it listens still")
	}
	if sockets := s.Detach(); sockets != nil {
		t.Errorf("%d sockets are detached after Close", len(sockets))
	}
}

// TestAListenerOfTheTimeBeforeClosesNothing of the time after Resume.
func TestAListenerOfTheTimeBeforeClosesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, config.Address{Host: "127.0.0.1"}, io.Discard)
	before := s.Listeners()[0]
	s.Detach()
	s.Resume()
	a := accept(s)
	if err := before.Close(); err != nil {
		t.Error(err)
	}
	a.gets(t, dial(t, s))
	s.Close()
	a.end(t)
}

// TestWhatIsDetachedIsNotClosed: another process has it.
func TestWhatIsDetachedIsNotClosed(t *testing.T) {
	t.Parallel()
	s := open(t, config.Address{Host: "127.0.0.1"}, io.Discard)
	sockets := s.Detach()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	waiting := dial(t, s)
	adopted := Adopt([]net.Listener{sockets[0]}, s.Address(),
		Options{Service: "listen", Logger: slog.New(slog.DiscardHandler)})
	if adopted.String() != s.String() {
		t.Errorf("it listens on %s, the one before on %s", adopted, s)
	}
	adopted.Resume()
	a := accept(adopted)
	a.gets(t, waiting)
	adopted.Close()
	a.end(t)
}

// TestADetachWakesWhoMakesRoom: accepting may be pausing over a lack of descriptors.
func TestADetachWakesWhoMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exhausted := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errExhausted)}
		asked := make(chan struct{})
		s := &Service{turn: newTurn(), options: Options{
			Logger: slog.New(slog.DiscardHandler), Exhausted: func() bool { asked <- struct{}{}; return false },
		}}
		s.network.Store(&netip.Prefix{})
		ln := &guarded{Listener: &shortOf{errs: []error{exhausted, exhausted, exhausted}}, service: s, turn: s.turn}
		ended := make(chan error)
		go func() {
			_, err := ln.Accept()
			ended <- err
		}()
		<-asked
		s.Detach()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept ended with %v", err)
		}
	})
}
