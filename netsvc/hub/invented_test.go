//go:build !race

package hub_test

import (
	"io"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestInventedSessions: who has the client key, or records a packet's worth of it, can have
// sessions remembered that never were. They are bounded in number and in memory, the oldest
// go, and who is connected stays. (The race detector would look at it for a minute, and has
// nothing to find: one connection says it all.)
func TestInventedSessions(t *testing.T) {
	t.Parallel()
	all := 100_000
	if testing.Short() {
		all = 2000
	}
	const maxDetached = 65_536
	for _, c := range []struct {
		name     string
		user     string
		invented int
		limits   func(*hub.Limits)
		refused  uint64
		detached int
	}{
		{"of nobody", "", all, nil, 0, min(all-1, maxDetached)},
		{"of a user", "ann", 2000, func(l *hub.Limits) { l.MaxSessionsPerUser = 1000 }, 1, 1000},
		{"in little memory", "", 2000, func(l *hub.Limits) { l.QueueMemory = 1 << 20 }, 0, 1024},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limits := lasting
			if c.limits != nil {
				c.limits(&limits)
			}
			s := start(t, hub.Options{Limits: limits})
			bystander := s.addin("eve")
			bystander.connect()
			// Each packet leaves the session before it detached.
			conn := s.dial()
			refused := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, conn)
				refused <- err
			}()
			var all []*addin
			for range c.invented {
				a := s.addin(c.user)
				all = append(all, a)
				if _, err := conn.Write(a.packet(wire.ModeOpen)); err != nil {
					break
				}
			}
			if c.refused > 0 {
				<-refused
			}
			taken := uint64(c.invented + 1)
			if c.refused > 0 {
				taken = uint64(c.detached + 1 + 1)
			}
			eventually(t, "all are judged", func() bool { return s.judged() >= taken })
			s.SetLimits(limits) // makes room, if it has not been made
			eventually(t, "as many are remembered as may be", func() bool { return s.Stats().Detached <= c.detached })
			st := s.Stats()
			if st.Refused[hub.ReasonTooManySessions] != c.refused {
				t.Errorf("%d are refused, want %d", st.Refused[hub.ReasonTooManySessions], c.refused)
			}
			if st.QueueMemory.Bytes > int64(c.detached)<<10 || st.Detached < c.detached/2 {
				t.Errorf("%d are remembered in %d bytes", st.Detached, st.QueueMemory.Bytes)
			}
			s.Publish(appID, toUser("eve"), topic("1"))
			bystander.gets("1")
			if c.limits == nil {
				if st.Detached != c.detached {
					t.Errorf("%d are remembered, not %d", st.Detached, c.detached)
				}
				oldest := len(all) - 1 - c.detached // the last one has the connection
				for _, a := range all[max(oldest-1, 0) : oldest+1] {
					a.connect() // the one that was forgotten last, and the one that was not
				}
				if n := s.Stats().Resumed; n != 1 {
					t.Errorf("%d came back, not the oldest that is remembered alone", n)
				}
			}
		})
	}
}
