package hub_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// events collects what a hub announces, as short lines.
type events struct {
	mu  sync.Mutex
	all []hub.Event
}

func (e *events) observe(event hub.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *events) lines() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, event := range e.all {
		s := event.Session
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s/%s/%s %s", event.Kind, s.IbID, s.UserID, s.UserGroup,
			event.Reason)))
	}
	return lines
}

func TestTellsWhatHappensToSessions(t *testing.T) {
	t.Parallel()
	var seen events
	s := start(t, hub.Options{Observe: seen.observe})
	c := s.connect("ib", "u", "g")
	if err := c.Register(wire.Registration{AppID: appID, IbID: "ib2", UserID: "v"}, s.key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is registered again", func() bool { return s.Stats().Registrations == 2 })
	s.Publish(appID, toAll("ib2"), topic("x"))
	receive(t, c)
	c.Close()
	eventually(t, "it is closed", func() bool { return len(seen.lines()) == 3 })
	want := []string{"session_opened ib/u/g", "session_changed ib2/v/", "session_closed ib2/v/ closed_by_peer"}
	if diff := cmp.Diff(want, seen.lines()); diff != "" {
		t.Error(diff)
	}
	last := seen.all[2].Session
	if last.AppID != appID || last.Delivered != 1 || last.Bytes == 0 || last.LastDeliveryAt.IsZero() ||
		last.KeyGeneration != 1 || last.Addr == "" {
		t.Errorf("the closed session is described as %+v", last)
	}
}

func TestTellsEveryReasonOfTheHubsOwn(t *testing.T) {
	t.Parallel()
	var seen events
	s := start(t, hub.Options{Observe: seen.observe, Limits: hub.Limits{QueueBytes: 1000}})
	for range 3 {
		s.connect("ib", "u", "")
	}
	page, err := s.Sessions(hub.Query{})
	if err != nil {
		t.Fatal(err)
	}
	s.CloseSession(page.Sessions[0].ID, time.Time{})
	slow := page.Sessions[1]
	big := topic(strings.Repeat("x", 4<<20)) // more than any socket buffers
	for range 3 {
		s.Publish(appID, toAll("ib"), big)
	}
	s.SetApp(appID, nil)
	eventually(t, "all three are closed", func() bool {
		return len(slices.DeleteFunc(seen.lines(),
			func(l string) bool { return !strings.HasPrefix(l, "session_closed") })) == 3
	})
	for _, want := range []string{"session_closed ib/u/ closed_by_admin", "session_closed ib/u/ too_slow_queue_full"} {
		if !slices.Contains(seen.lines(), want) {
			t.Errorf("%s is not among %q (slow: %d)", want, seen.lines(), slow.ID)
		}
	}
	closed := s.Stats().Closed
	if closed["closed_by_admin"] != 1 || closed["too_slow_queue_full"] != 2 || len(closed) != len(hub.CloseReasons()) {
		t.Errorf("closed: %v", closed)
	}
	if got := s.AppStats()[appID]; got.DroppedAsSlow != 2 || got.Sessions != 0 {
		t.Errorf("the app's counts: %+v", got)
	}
}

func TestTellsWhoARefusedRegistrationClaimedToBe(t *testing.T) {
	t.Parallel()
	var seen events
	s := start(t, hub.Options{Observe: seen.observe})
	wrong := append(packet(32, fields(appID, "ib", "u", "g"))[:40], packet(32, fields(appID, "ib", "v", "g"))[40:]...)
	c := s.dial()
	c.Write(wrong)
	closedGently(t, c)
	c = s.dial()
	c.Write(packet(32, fields(otherID, "ib", strings.Repeat("я", 1000), "")))
	closedGently(t, c)
	c = s.dial()
	c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	closedGently(t, c)
	want := []string{
		"registration_refused ib/v/g wrong_hmac",
		"registration_refused ib/" + strings.Repeat("я", 64) + "/ unknown_app",
		"registration_refused // packet_too_large",
	}
	if diff := cmp.Diff(want, seen.lines()); diff != "" {
		t.Error(diff)
	}
	if got := s.AppStats()[appID].Refused; got != 1 {
		t.Errorf("%d refused in the app's name, want 1", got)
	}
}

func TestCountsEachAppApart(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.SetApp(otherID, []hub.Key{{Generation: 1, Secret: s.key}})
	a := s.connect("ib", "u", "")
	b := s.register(wire.Registration{AppID: otherID, IbID: "ib", UserID: "u"}, s.key)
	s.Publish(appID, toAll("ib"), topic("x"))
	s.Publish(appID, toAll("nobody"), topic("x"))
	s.Publish(otherID, toAll("ib"), topic("xyz"))
	receive(t, a)
	receive(t, b)
	eventually(t, "both are delivered", func() bool { return s.Stats().Delivered == 2 })
	got := s.AppStats()
	first, second := got[appID], got[otherID]
	if first.Messages != 2 || first.NoRecipient != 1 || first.Delivered != 1 || first.Registrations != 1 ||
		first.Sessions != 1 {
		t.Errorf("the first app's counts: %+v", first)
	}
	if second.Messages != 1 || second.NoRecipient != 0 || second.Delivered != 1 {
		t.Errorf("the second app's counts: %+v", second)
	}
	if sum := first.DeliveredBytes + second.DeliveredBytes; sum != s.Stats().DeliveredBytes || first.DeliveredBytes == 0 {
		t.Errorf("%d and %d bytes, %d in all", first.DeliveredBytes, second.DeliveredBytes, s.Stats().DeliveredBytes)
	}
	s.RemoveApp(otherID)
	if _, known := s.AppStats()[otherID]; known {
		t.Error("a removed app is still counted")
	}
}

func TestMeasuresEachMessageOnce(t *testing.T) {
	t.Parallel()
	var measured atomic.Int64
	s := start(t, hub.Options{Latency: func(d time.Duration) {
		if d <= 0 {
			t.Errorf("a message took %v", d)
		}
		measured.Add(1)
	}})
	s.SetApp(appID, []hub.Key{{Generation: 2, Secret: clientKey(t, 2)}, {Generation: 1, Secret: s.key}})
	var clients []*wire.Client
	for i := range 20 {
		key := s.key
		if i%2 == 0 {
			key = clientKey(t, 2)
		}
		clients = append(clients, s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: fmt.Sprint(i)}, key))
	}
	const messages = 200
	for range messages {
		s.Publish(appID, toAll("ib"), topic("x"))
		s.Publish(appID, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "7"}, topic("y"))
		s.Publish(appID, toAll("nobody"), topic("z"))
	}
	for i, c := range clients {
		for n := messages; n > 0; {
			if strings.Contains(receive(t, c), "x") {
				n--
			} else if i != 7 {
				t.Fatal("a message for another")
			}
		}
	}
	// Those without a recipient are not measured.
	eventually(t, "all are measured", func() bool { return measured.Load() == 2*messages })
}

func TestLimitsHoldAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{QueueBytes: 64 << 20}})
	stalled := s.connect("ib", "u", "")
	big := topic(strings.Repeat("x", 4<<20))
	for range 3 {
		if s.Publish(appID, toAll("ib"), big) != 1 {
			t.Fatal("dropped although the queue has room")
		}
	}
	s.SetLimits(hub.Limits{QueueBytes: 1000, KeepAlive: time.Minute, MaxUnregistered: 1})
	if s.Publish(appID, toAll("ib"), big) != 0 {
		t.Error("queued although the queue has no room any more")
	}
	stalled.Close()
	first, second := s.dial(), s.dial()
	closedGently(t, first)
	second.Write(bytes.Repeat([]byte{0}, 2))
	closedGently(t, second)
}

func TestWalksOverEverySession(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	for i := range 10 {
		s.connect("ib", fmt.Sprint(i), "")
	}
	s.dial() // not registered
	seen := make(map[string]bool)
	s.Walk(func(session *hub.Session) bool {
		seen[session.UserID] = true
		return true
	})
	if len(seen) != 10 {
		t.Errorf("walked over %d sessions, want 10", len(seen))
	}
	visits := 0
	s.Walk(func(*hub.Session) bool {
		visits++
		return visits < 3
	})
	if visits != 3 {
		t.Errorf("it went on to %d after it was to stop at 3", visits)
	}
}
