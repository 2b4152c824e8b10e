package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

var start = time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC)

func refused(minute int, reason, addr, app, ib, user string) hub.Event {
	return hub.Event{
		Time: start.Add(time.Duration(minute) * time.Minute), Kind: hub.RegistrationRefused, Reason: reason,
		Session: hub.Session{AppID: app, IbID: ib, UserID: user, Addr: addr},
	}
}

func TestCountsRefusalsThatAreAlike(t *testing.T) {
	t.Parallel()
	h := history.New()
	h.Observe(refused(0, "wrong_hmac", "10.0.0.7:1", "A", "ib", "u"))
	h.Observe(refused(1, "wrong_hmac", "10.0.0.7:2", "a", "ib", "u"))
	h.Observe(refused(2, "unknown_app", "10.0.0.8:3", "a", "ib", "u"))
	got, known := h.LastRefused("a", "ib", "u")
	if !known || got.Count != 3 || got.Reason != "unknown_app" || got.Session.Addr != "10.0.0.8:3" ||
		!got.First.Equal(start) || got.Time.Equal(start) {
		t.Errorf("got %+v", got)
	}
	if _, known := h.LastRefused("a", "ib", "U"); known {
		t.Error("another user is refused, too")
	}
}

func TestNamelessRefusalsAreKeptByAddressAndReason(t *testing.T) {
	t.Parallel()
	h := history.New()
	h.Observe(refused(0, "bad_hash_length", "10.0.0.7:1", "", "", ""))
	h.Observe(refused(1, "packet_too_large", "10.0.0.8:1", "", "", ""))
	h.Observe(refused(2, "bad_hash_length", "10.0.0.7:2", "", "", ""))
	all := h.Nameless()
	if len(all) != 2 || all[0].Reason != "bad_hash_length" || all[0].Count != 2 ||
		all[0].Session.Addr != "10.0.0.7:2" ||
		all[1].Count != 1 {
		t.Errorf("got %+v", all)
	}
}

func TestFindsTheUserElsewhere(t *testing.T) {
	t.Parallel()
	h := history.New()
	for i, place := range [][2]string{{"a", "ib"}, {"a", "ib2"}, {"b", "ib"}} {
		h.Observe(refused(i, "wrong_hmac", "10.0.0.7:1", place[0], place[1], "u"))
	}
	h.Observe(refused(9, "wrong_hmac", "10.0.0.7:1", "a", "ib2", "v"))
	got := h.RefusedElsewhere("a", "ib", "u")
	if len(got) != 2 || got[0].Session.AppID != "b" || got[1].Session.IbID != "ib2" {
		t.Errorf("got %+v", got)
	}
}

func TestRemembersTheLastEndOfASession(t *testing.T) {
	t.Parallel()
	h := history.New()
	if _, known := h.LastClosed("a", "ib", "u"); known {
		t.Error("known from the start")
	}
	for _, reason := range []string{"closed_by_peer", "shutdown"} {
		h.Observe(hub.Event{Time: start, Kind: hub.SessionClosed, Reason: reason,
			Session: hub.Session{AppID: "a", IbID: "ib", UserID: "u"}})
	}
	h.Observe(hub.Event{Time: start, Kind: hub.SessionOpened,
		Session: hub.Session{AppID: "a", IbID: "ib", UserID: "u"}})
	if got, known := h.LastClosed("a", "ib", "u"); !known || got.Reason != "shutdown" {
		t.Errorf("got %+v", got)
	}
	last, _ := h.Events().Last(10, func(*history.Event) bool { return true })
	if len(last) != 3 {
		t.Errorf("%d events, want 3", len(last))
	}
}

// Strangers choose what they claim to be; whatever it is, memory is bounded.
func TestIsBounded(t *testing.T) {
	t.Parallel()
	h := history.New()
	for i := range 30_000 {
		h.Observe(refused(0, "unknown_app", "10.0.0.7:1", fmt.Sprint(i), "ib", "u"))
		h.Observe(refused(0, "bad_hash_length", fmt.Sprintf("10.%d.%d.1:1", i/250, i%250), "", "", ""))
	}
	if got := len(h.Nameless()); got != 500 {
		t.Errorf("%d nameless refusals are kept", got)
	}
	if got := len(h.RefusedElsewhere("", "", "u")); got != 2000 {
		t.Errorf("%d refusals are kept", got)
	}
}
