package hub_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestResumeBytesBoundWhatIsKept, the oldest first, but what the send buffer may hold: as much as it is asked for
// twice, and what leaves in one write. The peer reads all, and 1C accepts none of it.
func TestResumeBytesBoundWhatIsKept(t *testing.T) {
	t.Parallel()
	const kib = 1 << 10
	for _, c := range []struct {
		name                         string
		resumeBytes, frame, messages int
		missed                       uint64
	}{
		{"as many", 20 * 8008, 8008, 20, 0},
		{"one more", 20 * 8008, 8008, 21, 1},
		{"ten more", 20 * 8008, 8008, 30, 10},
		{"a byte fewer", 20*8008 - 1, 8008, 20, 1},
		{"the least send buffer", 1, 24, (2*4*kib + 16*kib) / 24, 0},
		{"the least send buffer, and one more", 1, 24, (2*4*kib+16*kib)/24 + 1, 1},
		{"a send buffer of a quarter", 32 * kib, 24, (2*8*kib+16*kib)/24 + 1, 0},
		{"a send buffer of a quarter, and one more", 32 * kib, 24, (2*8*kib+16*kib)/24 + 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limits := lasting
			limits.QueueBytes, limits.ResumeBytes = 64<<20, c.resumeBytes
			s := start(t, hub.Options{Limits: limits})
			a := s.addin("ann")
			text := strings.Repeat("x", max(c.frame-8-16-len(`{"topic":""}`), 2))
			if got := len(s.key.AppendFrame(nil, topic(text).AppendJSON(nil))); got != c.frame {
				t.Fatalf("a frame is %d bytes", got)
			}
			a.connect()
			all := slices.Repeat([]string{text}, c.messages)
			s.send(all...)
			a.gets(all...)
			eventually(t, "they are accounted for", func() bool { return s.Stats().Delivered == uint64(c.messages) })
			a.received = 0
			a.breaks()
			a.connect()
			if n := s.Stats().Missed; n != c.missed {
				t.Errorf("%d messages were missed, want %d", n, c.missed)
			}
			s.send("last")
			a.gets(append(all[c.missed:], "last")...)
		})
	}
}

// TestWhatTheSendBufferMayHoldFollowsTheSettings, from the next connection on.
func TestWhatTheSendBufferMayHoldFollowsTheSettings(t *testing.T) {
	t.Parallel()
	limits := lasting
	s := start(t, hub.Options{Limits: limits})
	a := s.addin("ann")
	a.connect()
	a.breaks()
	limits.ResumeBytes = 1
	s.SetLimits(limits)
	a.connect()
	all := slices.Repeat([]string{"xx"}, (2*4096+16<<10)/24+1)
	s.send(all...)
	a.gets(all...)
	eventually(t, "they are accounted for", func() bool { return s.Stats().Delivered == uint64(len(all)) })
	a.received = 0
	a.breaks()
	a.connect()
	if n := s.Stats().Missed; n != 1 {
		t.Errorf("%d messages are kept no longer", n)
	}
}

// TestWhatIsKeptNoLongerIsMissed, and said, but not what the client has counted of it. The memory begins with turn 5
// after number 3, and number 4 is kept no longer.
func TestWhatIsKeptNoLongerIsMissed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		received, from uint64
		missed         uint64
	}{
		{"nothing is counted of it", 3, 2, 1},
		{"nothing, and more than that elsewhere", 5, 4, 1},
		{"it is not counted", 3, 5, 1},
		{"it is the last that is counted", 4, 5, 0},
		{"more are counted", 9, 5, 0},
		{"more are counted than there were", 5000, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log lockedBuffer
			limits := lasting
			limits.ResumeBytes = 1
			s := start(t, hub.Options{Limits: limits, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			a := s.addin("ann")
			a.turn, a.received, a.from = 4, 3, 2
			a.connect()
			all := slices.Repeat([]string{"xx"}, (2*4096+16<<10)/24+1) // one more than the send buffer may hold
			s.send(all...)
			a.gets(all...)
			eventually(t, "they are accounted for", func() bool { return s.Stats().Delivered == uint64(len(all)) })
			a.breaks()
			a.received, a.from = c.received, c.from
			a.connect()
			page, _ := s.Sessions(hub.Query{})
			if one := page.Sessions[0]; s.Stats().Missed != c.missed || one.Missed != c.missed {
				t.Errorf("%d messages were missed, %d by the session, want %d", s.Stats().Missed, one.Missed, c.missed)
			}
			said := fmt.Sprintf("session=%d missed=%d", page.Sessions[0].ID, c.missed)
			if got := strings.Contains(log.String(), "kept no longer"); got != (c.missed > 0) ||
				got && !strings.Contains(log.String(), said) {
				t.Errorf("the log says %s", log.String())
			}
			a.breaks()
			a.connect()
			if n := s.Stats().Missed; n != c.missed {
				t.Errorf("%d messages were missed when it came back once more", n)
			}
		})
	}
}

// TestWhoIsTooSlowIsRememberedWithItsQueue: only the message that was too much is missed.
func TestWhoIsTooSlowIsRememberedWithItsQueue(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.QueueBytes = 100
	s, l := startPiped(t, hub.Options{Limits: limits})
	a := s.addin("ann")
	a.conn = l.say(s, a.packet(wire.ModeOpen))
	a.opened = a.turn
	s.send("1") // which nobody reads
	s.blocked()
	waiting := []string{"1"}
	for n := 2; s.Publish(appID, toAll("ib"), topic(strconv.Itoa(n))) > 0; n++ {
		waiting = append(waiting, strconv.Itoa(n))
		if n > 100 {
			t.Fatal("it never fills")
		}
	}
	if st := s.Stats(); st.Sessions != 0 || st.Detached != 1 || st.Missed != 1 || st.DroppedAsSlow != 1 ||
		s.AppStats()[appID].DroppedAsSlow != 1 {
		t.Errorf("%+v", st)
	}
	page, _ := s.Sessions(hub.Query{})
	if one := page.Sessions[0]; one.Missed != 1 || one.Waiting != len(waiting) {
		t.Errorf("listed: %+v", one)
	}
	a.conn = l.say(s, a.packet(wire.ModeOpen))
	a.gets(waiting...)
}

// TestAFurtherPacketFreesWhatItCounts, and no more than that.
func TestAFurtherPacketFreesWhatItCounts(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: lasting})
	a := s.addin("ann")
	a.connect()
	s.send("1", "2", "3")
	a.gets("1", "2", "3")
	eventually(t, "they are accounted for", func() bool { return s.Stats().Delivered == 3 })
	all := s.Stats().QueueMemory.Bytes
	for counted := range uint64(5) {
		a.received = counted
		a.say(a.packet(wire.ModeAgain))
		if got, want := s.Stats().QueueMemory.Bytes, all/3*int64(3-min(counted, 3)); got != want {
			t.Errorf("%d are counted, and %d bytes are kept, not %d", counted, got, want)
		}
	}
}

// TestAFurtherPacketThatCountsWhatIsBeingWritten has that written whole, and kept: no client can have counted it.
func TestAFurtherPacketThatCountsWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.QueueBytes, limits.WriteTimeout = 64<<20, time.Hour
	s := start(t, hub.Options{Limits: limits})
	large := strings.Repeat("x", 8<<20) // more than the sockets take
	a := s.addin("ann")
	a.connect()
	s.send("1", large)
	s.blocked()
	a.received, a.from = 50, a.opened
	a.say(a.packet(wire.ModeAgain))
	s.send("3")
	a.gets("1", large, "3")
	a.received, a.from = 1, a.opened
	a.breaks()
	a.connect()
	a.gets(large, "3")
}

// TestWhatWasNeverSentIsMissedWithTheSession that is forgotten for its memory; of what was sent it may have all.
func TestWhatWasNeverSentIsMissedWithTheSession(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		do     func(s *service, l *unbuffered, ann *addin)
		missed uint64
	}{
		{"nothing was sent", func(s *service, l *unbuffered, ann *addin) {
			l.say(s, ann.packet(wire.ModeOpen)) // and nothing is read
			s.send("1", "2", "3")
		}, 3},
		{"one is being sent", func(s *service, _ *unbuffered, ann *addin) {
			ann.connect()
			s.inFrame(ann, strings.Repeat("x", 8<<20)) // more than the sockets take
			s.send("2", "3")
		}, 2},
		{"one is to be sent again", func(s *service, l *unbuffered, ann *addin) {
			ann.connect()
			s.send("1")
			eventually(s.t, "it is accounted for", func() bool { return s.Stats().Delivered == 1 })
			ann.breaks()
			l.say(s, ann.packet(wire.ModeOpen))
			s.send("2", "3")
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, l := startPiped(t, hub.Options{Limits: sizeBound(1 << 40)})
			c.do(s, l, s.addin("ann"))
			s.blocked()
			s.SetLimits(sizeBound(1))
			st := s.Stats()
			if st.Sessions != 0 || st.Detached != 0 || st.Closed["too_slow_queue_memory"] != 1 || st.Missed != c.missed {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestWhatIsSentAgainDoesNotCountToTheQueue: behind it there is room for a message of any size, and for no other.
func TestWhatIsSentAgainDoesNotCountToTheQueue(t *testing.T) {
	t.Parallel()
	limits := lasting
	limits.QueueBytes, limits.WriteTimeout = 1, time.Hour
	s, l := startPiped(t, hub.Options{Limits: limits})
	a := s.addin("ann")
	a.connect()
	for n, text := range []string{"1", "2"} {
		s.send(text)
		a.gets(text)
		eventually(t, "it is accounted for", func() bool { return s.Stats().Delivered == uint64(n+1) })
	}
	a.received = 0
	a.breaks()
	a.conn = l.say(s, a.packet(wire.ModeOpen)) // and nothing is read
	s.send("3")
	if n := s.Publish(appID, toAll("ib"), topic("4")); n != 0 || s.Stats().Missed != 1 {
		t.Errorf("a message too much reached %d, and was missed by %d", n, s.Stats().Missed)
	}
	a.conn = l.say(s, a.packet(wire.ModeOpen))
	a.gets("1", "2", "3")
}
