package hub_test

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// attending is how many goroutines wait for what a registered session sends.
func attending() int {
	var stacks strings.Builder
	pprof.Lookup("goroutine").WriteTo(&stacks, 2)
	return strings.Count(stacks.String(), "netsvc/hub.(*Hub).attend(")
}

// TestARestingSessionHasNoGoroutine runs alone, for it counts goroutines.
func TestARestingSessionHasNoGoroutine(t *testing.T) {
	s, served := open(t, hub.Options{})
	rest := func(what string) {
		t.Helper()
		eventually(t, what+" and no goroutine waits for a session", func() bool { return attending() == 0 })
	}
	var clients []*wire.Client
	for i := range 40 {
		clients = append(clients, s.connect("ib", fmt.Sprint(i), ""))
	}
	rest("all are registered")

	// One that speaks again is heard, as often as it likes.
	for round := range 3 {
		for i, c := range clients {
			if err := c.Register(wire.Registration{AppID: appID, IbID: "ib", UserID: fmt.Sprint(i),
				UserGroup: fmt.Sprint(round)}, s.key); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all are registered again", func() bool {
			page, err := s.Sessions(hub.Query{UserGroup: fmt.Sprint(round)})
			return err == nil && page.Total == len(clients)
		})
		rest("all are registered again")
	}

	// One that begins to speak has a goroutine until it has spoken, or its time is over.
	half := s.dial()
	half.Write(packet(32, fields(appID, "ib", "half", "")))
	eventually(t, "it is registered", func() bool { return s.Stats().Sessions == len(clients)+1 })
	rest("it is registered")
	again := packet(32, fields(appID, "ib", "whole", ""))
	half.Write(again[:40])
	eventually(t, "somebody reads it", func() bool { return attending() == 1 })
	half.Write(again[40:])
	eventually(t, "it is registered again", func() bool {
		page, err := s.Sessions(hub.Query{UserID: "whole"})
		return err == nil && page.Total == 1
	})
	rest("it is registered again")

	// Each way to end it is noticed.
	half.Close()
	eventually(t, "the peer's end is seen", func() bool { return s.Stats().Sessions == len(clients) })
	page, err := s.Sessions(hub.Query{UserID: "7"})
	if err != nil || len(page.Sessions) != 1 {
		t.Fatalf("session 7: %+v, %v", page, err)
	}
	s.CloseSession(page.Sessions[0].ID, time.Time{})
	ends(t, clients[7])
	s.SetApp(appID, []hub.Key{{Generation: 2, Secret: clientKey(t, 2)}})
	for _, c := range clients {
		ends(t, c)
	}
	eventually(t, "all are gone", func() bool { return s.Stats().Sessions == 0 })
	rest("all are gone")
	last := s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "last"}, clientKey(t, 2))
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	ends(t, last)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

// TestWhatFollowsARegistrationIsHeard: in one segment, and in the next.
func TestWhatFollowsARegistrationIsHeard(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	first, second := packet(32, fields(appID, "ib", "first", "")), packet(32, fields(appID, "ib", "second", ""))
	for cut := 0; cut <= len(second); cut += 10 {
		c := s.dial()
		if _, err := c.Write(append(append([]byte(nil), first...), second[:cut]...)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is registered", func() bool { return s.Stats().Sessions == 1 })
		c.Write(second[cut:])
		eventually(t, "it is registered again", func() bool {
			page, err := s.Sessions(hub.Query{UserID: "second"})
			return err == nil && page.Total == 1
		})
		c.Close()
		eventually(t, "it is gone", func() bool { return s.Stats().Sessions == 0 })
	}
}
