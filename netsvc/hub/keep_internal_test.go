package hub

import (
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"
)

// heldConn is a connection whose peer takes nothing until the test lets it.
type heldConn struct {
	net.Conn
	writing chan struct{} // closed when somebody writes
	goOn    chan struct{}
}

func (c *heldConn) Write([]byte) (int, error) {
	close(c.writing)
	<-c.goOn
	return 0, net.ErrClosed
}

// TestAMappedFrameStaysWhileItIsWritten closes a session whose writer waits for the peer:
// what the frame lies in, a memory file, must stay until the writer has let go of it.
func TestAMappedFrameStaysWhileItIsWritten(t *testing.T) {
	h := New(Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Shutdown(t.Context())
	here, there := net.Pipe()
	defer there.Close()
	conn := &heldConn{here, make(chan struct{}), make(chan struct{})}
	s := &session{id: 1, conn: conn}
	gone := make(chan struct{})
	queueMapped(s, gone)

	h.startWriting()
	written := make(chan struct{})
	go func() {
		defer close(written)
		h.flushBlocking(s)
	}()
	<-conn.writing
	h.closeSession(s, closedByAdmin)
	collectGarbage()
	select {
	case <-gone:
		t.Error("the memory of a frame is gone while somebody writes it")
	default:
	}
	close(conn.goOn)
	<-written
	for deadline := time.Now().Add(2 * time.Minute); ; {
		collectGarbage()
		select {
		case <-gone:
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the memory of a frame that nobody has any more stays")
		}
	}
}

// queueMapped queues a frame whose bytes lie in something that tells when it is gone.
func queueMapped(s *session, gone chan struct{}) {
	memory := &struct{ bytes [64]byte }{}
	runtime.AddCleanup(memory, func(gone chan struct{}) { close(gone) }, gone)
	d := &delivery{}
	d.open.Store(publishing)
	// The bytes themselves do not keep the memory, as those of a mapped file do not.
	k := &key{tenant: &tenant{budget: new(budget)}}
	s.out.put(&frame{key: k, delivery: d, bytes: make([]byte, 64), keep: memory}, 64)
	s.out.begin()
}

// collectGarbage returns when what was unreachable before has been cleaned up after.
func collectGarbage() {
	cleaned := make(chan struct{})
	runtime.AddCleanup(&struct{ bytes [64]byte }{}, func(c chan struct{}) { close(c) }, cleaned)
	for range 3 {
		runtime.GC()
	}
	<-cleaned
}
