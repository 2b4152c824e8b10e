package hub_test

import (
	"io"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// breakingConn breaks when so many bytes of what is written to it were taken: its reader sees
// the end before its writer knows how many they were.
type breakingConn struct {
	*memoryConn
	takes  int // at most; -1: all
	broken func()
}

func (c *breakingConn) Write(b []byte) (int, error) {
	n := len(b)
	if c.takes >= 0 {
		n = min(n, c.takes)
	}
	c.written.Add(int64(n))
	c.Close()
	c.broken()
	return n, io.ErrClosedPipe
}

// TestWhatIsToldOfALostConnectionIsWhatWasWritten, though it is lost before that is known.
func TestWhatIsToldOfALostConnectionIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		takes     int
		delivered uint64
		queued    func(frame int) int
	}{
		{"a frame that was written whole", -1, 1, func(int) int { return 0 }},
		{"a frame that was cut", 10, 0, func(frame int) int { return frame - 10 }},
		{"a frame of which nothing was written", 0, 0, func(frame int) int { return frame }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			told := make(chan hub.Session, 1)
			s := start(t, hub.Options{Limits: lasting, Observe: func(e hub.Event) {
				if e.Kind == hub.SessionDetached {
					told <- e.Session
				}
			}})
			said := wire.Attributes{Session: wire.NewSessionID(), Turn: 1}
			packet := s.registers(wire.Registration{AppID: appID, IbID: "ib"}, said)
			conn := &breakingConn{takes: c.takes, memoryConn: &memoryConn{packet: packet, closed: make(chan struct{}),
				written: new(atomic.Int64)}}
			conn.broken = func() {
				eventually(t, "whoever reads knows that it broke", func() bool { return s.Stats().Detached == 1 })
			}
			defer serveOne(s, conn)()
			eventually(t, "the session is registered", func() bool { return s.Stats().Sessions == 1 })
			s.send("text")
			frame := len(s.key.AppendFrame(nil, []byte(`{"topic":"text"}`)))
			one := <-told
			if one.Delivered != c.delivered || one.Bytes != uint64(conn.written.Load()) || one.Waiting != 1 ||
				one.Queued != c.queued(frame) || one.Away.IsZero() {
				t.Errorf("%d of %d bytes were written, and it is told of %+v", conn.written.Load(), frame, one)
			}
		})
	}
}

// TestThatASessionIsAwayIsToldBeforeItIsBack, or has ended, however long that takes.
func TestThatASessionIsAwayIsToldBeforeItIsBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		then func(*service, *addin)
		want []hub.EventKind
	}{
		{"it comes back", func(s *service, a *addin) {
			a.connect()
		}, []hub.EventKind{hub.SessionOpened, hub.SessionDetached, hub.SessionResumed}},
		{"it is ended", func(s *service, a *addin) {
			page, _ := s.Sessions(hub.Query{})
			s.CloseSession(page.Sessions[0].ID, time.Time{})
		}, []hub.EventKind{hub.SessionOpened, hub.SessionDetached, hub.SessionClosed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{}) // what became of the session
			var mu sync.Mutex
			var told []hub.Event
			s := start(t, hub.Options{Limits: lasting, Observe: func(e hub.Event) {
				if e.Kind == hub.SessionDetached {
					<-done
				}
				mu.Lock()
				defer mu.Unlock()
				told = append(told, e)
			}})
			a := s.addin("ann")
			a.connect()
			a.breaks()
			all := func() []hub.Event {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(told)
			}
			c.then(s, a)
			eventually(t, "who tells of that waits", func() bool { return telling() > 1 || len(all()) > 1 })
			close(done)
			eventually(t, "all is told", func() bool { return len(all()) == len(c.want) })
			for n, e := range all() {
				if e.Kind != c.want[n] || e.Session.ID != 1 {
					t.Errorf("%s is told of session %d, and not %s of 1", e.Kind, e.Session.ID, c.want[n])
				}
			}
		})
	}
}

// telling is how many tell that a session is away, or wait for who does.
func telling() int {
	var stacks strings.Builder
	pprof.Lookup("goroutine").WriteTo(&stacks, 2)
	return strings.Count(stacks.String(), "netsvc/hub.(*Hub).tellLoss(")
}

// TestASessionThatEndsWhileItIsWrittenIsNotToldToBeAway: what it was when it lost its connection is known when whoever
// writes to it has counted what he wrote, and then it has ended.
func TestASessionThatEndsWhileItIsWrittenIsNotToldToBeAway(t *testing.T) {
	t.Parallel()
	var seen events
	s, served := open(t, hub.Options{Limits: lasting, Observe: seen.observe})
	said := wire.Attributes{Session: wire.NewSessionID(), Turn: 1}
	packet := s.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "ann"}, said)
	conn := &breakingConn{takes: -1, memoryConn: &memoryConn{packet: packet, closed: make(chan struct{}),
		written: new(atomic.Int64)}}
	ended := make(chan struct{})
	conn.broken = func() {
		eventually(t, "whoever reads knows that it broke", func() bool { return s.Stats().Detached == 1 })
		s.CloseSession(1, time.Time{})
		close(ended)
	}
	end := serveOne(s, conn)
	eventually(t, "the session is registered", func() bool { return s.Stats().Sessions == 1 })
	s.send("text")
	<-ended
	end()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	want := []string{"session_opened ib/ann/", "session_closed ib/ann/ closed_by_admin"}
	if got := seen.lines(); !slices.Equal(got, want) {
		t.Errorf("it is told %q, want %q", got, want)
	}
}

// TestASessionWhoseConnectionIsAnothersIsToldToBeAway: it is no less so than one whose connection broke.
func TestASessionWhoseConnectionIsAnothersIsToldToBeAway(t *testing.T) {
	t.Parallel()
	var seen events
	s := start(t, hub.Options{Limits: lasting, Observe: seen.observe})
	a := s.addin("ann")
	a.connect()
	a.say(s.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "bob"}, wire.Attributes{}))
	eventually(t, "it is told", func() bool {
		return slices.Contains(seen.lines(), "session_detached ib/ann/ closed_by_peer")
	})
	if n := s.Stats().Detached; n != 1 {
		t.Errorf("%d are away", n)
	}
}
