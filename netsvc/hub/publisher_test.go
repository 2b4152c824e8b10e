package hub_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestAPlaintextArrivesAsItsMessageWould(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.connect("ib", "ann", "")
	m := wire.Message{Topic: "заказы", Notification: wire.Notification{Title: "T", Important: true}}
	text := m.AppendJSON(nil)
	before := slices.Clone(text)
	if got := s.PublishText(appID, toAll("ib"), text); got != (hub.Reach{Sessions: 1}) {
		t.Errorf("reached %+v, want one session", got)
	}
	if got := s.Alone(t.Context(), appID, toAll("ib"), m); got.Sessions != 1 || got.Unconfirmed != nil {
		t.Errorf("alone: %+v, want one session", got)
	}
	for range 2 {
		if got := receive(t, c); got != string(before) {
			t.Errorf("got %s, want %s", got, before)
		}
	}
	if !slices.Equal(text, before) {
		t.Errorf("the plaintext was changed to %q", text)
	}
}

// In a cluster a message is counted by the node that took it, and by those that had
// somebody for it.
func TestWhoCountsAMessageOfACluster(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var unmet []string
	s := start(t, hub.Options{Unmet: func(_ string, to wire.Recipient) {
		mu.Lock()
		defer mu.Unlock()
		unmet = append(unmet, to.IbID)
	}})
	s.connect("ib", "ann", "")
	text := []byte("{}")
	check := func(step, want string) {
		t.Helper()
		stats := s.AppStats()[appID]
		messages, unmatched := uint64(0), uint64(0)
		for _, ib := range s.Infobases(appID) {
			messages += ib.Messages
			unmatched += ib.Unmatched
		}
		mu.Lock()
		defer mu.Unlock()
		got := fmt.Sprintf("%d %d, %d %d, %v", stats.Messages, stats.NoRecipient, messages, unmatched, unmet)
		if got != want {
			t.Errorf("%s: counted %s, want %s", step, got, want)
		}
	}
	s.PublishText(appID, toAll("ib"), text)
	check("somebody here", "1 0, 1 0, []")
	s.PublishText(appID, toAll("away"), text)
	check("nobody here", "1 0, 1 0, []")
	s.CountElsewhere(appID, toAll("away"), 3)
	check("somebody elsewhere", "2 0, 2 0, []")
	s.CountElsewhere(appID, toAll("nowhere"), 0)
	check("nobody at all", "3 1, 3 1, [nowhere]")
	s.CountElsewhere("no such app", toAll("nowhere"), 0)
	check("an app that is gone", "3 1, 3 1, [nowhere nowhere]")
}
