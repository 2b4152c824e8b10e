package hub_test

import (
	"fmt"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestAUserHasNotMoreSessionsThanAllowed: who replays a recorded registration cannot
// fill the service. The newest is refused; those that are there go on.
func TestAUserHasNotMoreSessionsThanAllowed(t *testing.T) {
	t.Parallel()
	const most = 3
	s := start(t, hub.Options{Limits: hub.Limits{MaxSessionsPerUser: most}})
	as := func(ib, user string) wire.Registration {
		return wire.Registration{AppID: appID, IbID: ib, UserID: user}
	}
	var first *wire.Client
	for i := range most {
		c := s.register(as("ib", "u"), s.key)
		if i == 0 {
			first = c
		}
	}
	for range 2 {
		c, err := wire.Dial(t.Context(), s.addr, as("ib", "u"), s.key)
		if err != nil {
			t.Fatal(err)
		}
		ends(t, c)
		c.Close()
	}
	if got := s.Stats().Refused[hub.ReasonTooManySessions]; got != 2 {
		t.Errorf("counted %d times, want 2", got)
	}
	// Another user, infobase, or nobody in particular may.
	s.register(as("ib", "v"), s.key)
	s.register(as("ib2", "u"), s.key)
	for range most + 1 {
		s.register(as("ib", ""), s.key)
	}
	// Whoever is there may register again, and nobody may become that user.
	if err := first.Register(wire.Registration{AppID: appID, IbID: "ib", UserID: "u", UserGroup: "g"}, s.key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the group", func() bool {
		page, err := s.Sessions(hub.Query{UserGroup: "g"})
		return err == nil && page.Total == 1
	})
	if got := s.Stats().Sessions; got != most+2+most+1 {
		t.Errorf("%d sessions are there", got)
	}
	first.Close()
	eventually(t, "room", func() bool {
		page, err := s.Sessions(hub.Query{IbID: "ib", UserID: "u"})
		return err == nil && page.Total == most-1
	})
	s.register(as("ib", "u"), s.key)
}

func TestTheBoundOfSessionsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{MaxSessionsPerUser: 0}})
	for i := range 1100 {
		s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "u", UserGroup: fmt.Sprint(i)}, s.key)
	}
}
