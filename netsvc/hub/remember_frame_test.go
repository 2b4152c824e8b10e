package hub_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestAConnectionMayChangeInAFrame, which it is sent to the end; and that is nobody's concern but of the session that
// it was begun for.
func TestAConnectionMayChangeInAFrame(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 8<<20) // more than the sockets take
	for _, c := range []struct {
		name string
		do   func(s *service, plain, ann, bob *addin)
	}{
		{"of nobody who is remembered to a new session", func(s *service, plain, ann, _ *addin) {
			s.inFrame(plain, large)
			ann.takes(plain)
			s.Publish(appID, toUser("ann"), topic("1"))
			s.Publish(appID, toUser("ann"), topic("2"))
			plain.gets(large)
			ann.gets("1")
			eventually(s.t, "all is written", func() bool { return s.Stats().Delivered == 3 })
			ann.breaks()
			ann.connect()
			ann.gets("2")
		}},
		{"to a new session that comes back elsewhere", func(s *service, plain, ann, _ *addin) {
			s.inFrame(plain, large)
			ann.takes(plain)
			s.Publish(appID, toUser("ann"), topic("1"))
			ann.connect()
			s.Publish(appID, toUser("ann"), topic("2"))
			ann.gets("1", "2")
		}},
		{"to a new session, and to another", func(s *service, plain, ann, bob *addin) {
			s.inFrame(plain, large)
			ann.takes(plain)
			s.Publish(appID, toUser("ann"), topic("1"))
			bob.takes(plain)
			s.Publish(appID, toUser("bob"), topic("2"))
			page, _ := s.Sessions(hub.Query{UserID: "ann"})
			if got, want := page.Sessions[0].Queued, len(s.key.AppendFrame(nil, topic("1").AppendJSON(nil))); got != want {
				s.t.Errorf("%d bytes wait for ann, not %d", got, want)
			}
			plain.gets(large)
			bob.gets("2")
			ann.connect()
			ann.gets("1")
		}},
		{"to a session that was away", func(s *service, plain, ann, _ *addin) {
			ann.connect()
			ann.breaks()
			s.Publish(appID, toUser("ann"), topic("1"))
			s.inFrame(plain, large)
			s.Publish(appID, toUser("carl"), topic("0")) // which ends with carl
			ann.takes(plain)
			page, _ := s.Sessions(hub.Query{UserID: "ann"})
			if got, least := page.Sessions[0].Queued, 1<<20; got < least {
				s.t.Errorf("%d bytes wait for ann, without the rest of the frame", got)
			}
			if n := s.Stats().Resumed; n != 1 {
				s.t.Errorf("%d came back", n)
			}
			plain.gets(large)
			ann.gets("1")
			s.Publish(appID, toUser("ann"), topic("2"))
			eventually(s.t, "all is written", func() bool { return s.Stats().Delivered == 3 })
			ann.breaks()
			ann.connect()
			ann.gets("2")
		}},
		{"of a session to another", func(s *service, _, ann, bob *addin) {
			ann.connect()
			s.inFrame(ann, large)
			s.Publish(appID, toUser("ann"), topic("1"))
			bob.takes(ann)
			s.Publish(appID, toUser("bob"), topic("2"))
			(&addin{t: s.t, key: s.key, conn: bob.conn}).gets(large)
			bob.gets("2")
			ann.connect()
			ann.gets(large, "1")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limits := lasting
			limits.QueueBytes, limits.WriteTimeout = 64<<20, time.Hour
			s := start(t, hub.Options{Limits: limits})
			plain, ann, bob := s.addin("carl"), s.addin("ann"), s.addin("bob")
			plain.conn = s.speak(s.registers(wire.Registration{AppID: appID, IbID: "ib", UserID: "carl"}, wire.Attributes{}))
			c.do(s, plain, ann, bob)
			eventually(t, "all is written", func() bool {
				page, _ := s.Sessions(hub.Query{})
				return !slices.ContainsFunc(page.Sessions, func(one hub.Session) bool { return one.Queued > 0 })
			})
			for _, a := range []*addin{ann, bob} {
				if a.turn > 0 {
					a.say(a.packet(wire.ModeAgain))
				}
			}
			if st := s.Stats(); st.QueueMemory.Bytes != 0 || st.Missed != 0 {
				t.Errorf("%d bytes are taken when all is counted, %d messages were missed", st.QueueMemory.Bytes, st.Missed)
			}
		})
	}
}

// inFrame sends a message to a session that does not read, and waits until it is begun.
func (s *service) inFrame(a *addin, text string) {
	s.t.Helper()
	s.Publish(appID, toUser(a.user), topic(text))
	s.blocked()
}

// takes registers on another one's connection.
func (a *addin) takes(from *addin) {
	a.t.Helper()
	a.conn = from.conn
	a.say(a.packet(wire.ModeOpen))
	a.opened = a.turn
}
