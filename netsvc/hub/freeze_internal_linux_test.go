package hub

import (
	"log/slog"
	"net"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// loopback returns our side of a connection whose peer says nothing.
func loopback(t *testing.T) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestASessionThatComesToRestAtTheVeryFreeze has a session lie down to rest after HandOver
// has seen that it rests, and before it is among those that the watch waits for: then
// nobody but itself can see to it that no goroutine waits for its peer.
func TestASessionThatComesToRestAtTheVeryFreeze(t *testing.T) {
	t.Parallel()
	conn := loopback(t)
	h := New(Options{Logger: slog.New(slog.DiscardHandler)})
	s := &session{id: 1, conn: conn, raw: rawOf(conn)}
	h.sessions[s.id] = s
	s.resting = true
	h.HandOver()
	s.resting = false

	h.rest(s, nil) // as whoever had gone that far by then
	ended := make(chan struct{})
	go func() {
		h.goroutines.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		conn.Close()
		t.Fatal("a goroutine waits for the peer of a session that is handed over")
	}
	if s.closeReason() != "" || h.sessions[s.id] != s {
		t.Error("the session was closed")
	}
	conn.Close()
}

// tracedConn tells when its deadlines are taken off, and of each reader that comes to it.
type tracedConn struct {
	*net.TCPConn
	deadlines func() // nil: nobody is told
	readers   chan struct{}
}

func (c *tracedConn) SetDeadline(at time.Time) error {
	if at.IsZero() && c.deadlines != nil {
		c.deadlines()
	}
	return c.TCPConn.SetDeadline(at)
}

func (c *tracedConn) Read(b []byte) (int, error) {
	c.readers <- struct{}{}
	return c.TCPConn.Read(b)
}

// TestASessionThatIsWokenAtTheVeryTakeBackHasOneOwner has the watch wake a session when TakeBack is about to go on with
// it, for something came while it was frozen. Whoever reads it then is seen by the next HandOver: else that
// would take it for resting, and wait for its reader for ever. It runs alone, for it looks at goroutines.
func TestASessionThatIsWokenAtTheVeryTakeBackHasOneOwner(t *testing.T) {
	p := newPacketless(t)
	conn := &tracedConn{TCPConn: loopback(t).(*net.TCPConn), readers: make(chan struct{}, 10)}
	s := &session{id: p.lastID.Add(1), conn: conn, raw: rawOf(conn)}
	p.sessions[s.id] = s
	if err := p.enterOnce(s, "ann"); err != nil {
		t.Fatal(err)
	}
	p.rest(s, nil)
	p.HandOver()
	conn.deadlines = func() {
		woken := make(chan struct{})
		go func() {
			p.wakeSession(s.id)
			close(woken)
		}()
		for !isClosed(woken) && !wakingWaits() {
			runtime.Gosched()
		}
	}
	p.TakeBack()
	<-conn.readers
	if !s.waits() {
		t.Error("somebody reads a session that rests")
	}
}

// wakingWaits reports whether whoever wakes a session waits for a lock.
func wakingWaits() bool {
	var stacks strings.Builder
	pprof.Lookup("goroutine").WriteTo(&stacks, 2)
	for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
		if strings.Contains(stack, "(*Hub).wakeSession(") && strings.Contains(stack, "(*RWMutex).RLock(") {
			return true
		}
	}
	return false
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
