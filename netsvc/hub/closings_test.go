package hub_test

import (
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestRemembersWhatAChangeOfKeysClosed(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	first := hub.Key{Generation: 1, Secret: s.key}
	second, third := hub.Key{Generation: 2, Secret: clientKey(t, 2)}, hub.Key{Generation: 3, Secret: clientKey(t, 3)}
	closedBy := func(generation, want int) {
		t.Helper()
		if n := s.ClosedBy(appID, generation); n != want {
			t.Errorf("key %d closed %d sessions, want %d", generation, n, want)
		}
	}
	closedBy(1, 0)
	old := s.connect("ib", "old", "")
	s.SetApp(appID, []hub.Key{second, first})
	newer := s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "new"}, second.Secret)
	if all, on := s.KeySessions(appID, 1), s.KeySessions(appID, 2); all != 1 || on != 1 {
		t.Errorf("%d and %d sessions on the keys, want one on each", all, on)
	}
	s.SetApp(appID, []hub.Key{second}) // the old key's time is over
	ends(t, old)
	closedBy(2, 0)
	s.SetApp(appID, []hub.Key{third})
	ends(t, newer)
	closedBy(3, 1)
	closedBy(2, 0)
	last := s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "new"}, third.Secret)
	s.RemoveApp(appID)
	ends(t, last)
	closedBy(0, 1)
	s.SetApp(appID, []hub.Key{first}) // imported again
	s.RemoveApp(appID)
	closedBy(0, 0)
	if n := s.KeySessions(appID, 1); n != 0 {
		t.Errorf("an app that is gone has %d sessions", n)
	}
}
