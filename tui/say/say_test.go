package say_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/tui/say"
)

var now = time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC)

func words(lang locale.Lang) say.Words {
	return say.Words{Text: locale.New(lang), Titles: map[string]string{"a": "Склад"}}
}

// TestEveryWordHasAText goes through all that the daemon can say.
func TestEveryWordHasAText(t *testing.T) {
	t.Parallel()
	for _, lang := range []locale.Lang{locale.Russian, locale.English} {
		w := words(lang)
		reasons := hub.CloseReasons()
		for _, reason := range hub.RefusalReasons() {
			reasons = append(reasons, string(reason))
		}
		for _, reason := range httpapi.Reasons() {
			reasons = append(reasons, string(reason))
		}
		for _, reason := range reasons {
			if got := w.Reason(reason); !strings.HasSuffix(got, " ("+reason+")") {
				t.Errorf("%s: %s is said as %q", lang, reason, got)
			}
		}
		age := int64(7)
		for _, e := range []control.Event{
			{Event: "session_opened", Session: new(control.Session)},
			{Event: "session_changed", Session: new(control.Session)},
			{Event: "session_closed", Session: new(control.Session), Reason: "shutdown", AgeSeconds: &age},
			{Event: "registration_refused", Peer: new(control.Peer), Reason: "evicted"},
			{Event: "registration_refused", Peer: &control.Peer{AppID: "a"}, Reason: "wrong_hmac"},
			{Event: "statistics", Statistics: new(control.Statistics)},
			{Event: "lost", Lost: 5},
			{
				Event:  "app_changed",
				Change: "created",
			}, {Event: "app_changed", Change: "removed"}, {Event: "app_changed", Change: "renamed"},
			{Event: "app_changed", Change: "server_key"}, {Event: "app_changed", Change: "client_key"},
			{Event: "app_changed", Change: "old_keys_gone"}, {Event: "app_changed", Change: "tokens_reset"},
			{Event: "app_changed", Change: "names"},
		} {
			if got := w.Event(e); got == "" || strings.Contains(got, "live.") || strings.Contains(got, "<no value>") ||
				strings.Contains(got, "_") && !strings.Contains(got, "("+e.Reason+")") {
				t.Errorf("%s: %s is said as %q", lang, e.Event, got)
			}
		}
	}
}

func TestWordsOfANewerDaemonAreSaidAsTheyAre(t *testing.T) {
	t.Parallel()
	w := words(locale.Russian)
	if got := w.Reason("of_tomorrow\x1b[2J"); got != `of_tomorrow\x1b[2J` {
		t.Errorf("got %q", got)
	}
	if got := w.Event(control.Event{Event: "session_frozen", Session: new(control.Session)}); got != "session_frozen" {
		t.Errorf("got %q", got)
	}
	if got := w.Event(control.Event{Event: "eclipse"}); got != "eclipse" {
		t.Errorf("got %q", got)
	}
}

func TestWhatComesFromOutsideIsHarmless(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\u202e\n"
	w := words(locale.English)
	w.Titles["evil"] = evil
	s := control.Session{
		ID:        "1",
		AppID:     "evil",
		IbID:      evil,
		UserID:    evil,
		UserGroup: evil,
		Groups:    []string{evil},
		Addr:      "10.0.0.7:1",
		Since:     now,
	}
	refusal := control.Refusal{Peer: control.Peer{AppID: evil, IbID: evil, UserID: evil}, Reason: evil, Count: 2}
	texts := w.Explanation(control.Explanation{
		AppID:            "evil",
		IbID:             evil,
		UserID:           evil,
		UserGroup:        evil,
		OtherPlaces:      []control.Session{s},
		OtherGroups:      map[string]int{evil: 1},
		Infobases:        map[string]int{evil: 1},
		RefusedElsewhere: []control.Refusal{refusal},
		LastRefused:      &refusal,
	}, now)
	texts = append(texts,
		w.Event(control.Event{Event: "session_opened", Session: &s}),
		w.Event(control.Event{Event: "registration_refused", Peer: &refusal.Peer, Reason: evil}),
		w.Event(control.Event{Event: "app_changed", Change: "renamed", Title: evil}),
	)
	for _, text := range texts {
		if strings.ContainsAny(text, "\x1b\u202e\n") {
			t.Errorf("%q", text)
		}
	}
}

func TestExplains(t *testing.T) {
	t.Parallel()
	last := now.Add(-time.Minute)
	s := control.Session{
		ID:             "7",
		AppID:          "a",
		IbID:           "ib",
		UserID:         "u",
		Addr:           "10.0.0.7:1",
		Since:          now.Add(-2 * time.Hour),
		Delivered:      3,
		LastDeliveryAt: &last,
		KeyGeneration:  2,
	}
	elsewhere := s
	elsewhere.IbID, elsewhere.UserGroup = "ib2", "g"
	away := s
	away.State, away.DetachedAt, away.Waiting = control.SessionDetached, &last, 2
	for _, tt := range []struct {
		name        string
		explanation control.Explanation
		want, not   string
	}{
		{"connected", control.Explanation{
			UserID:           "u",
			Connected:        []control.Session{s},
			ConnectedTotal:   1,
			InfobaseSessions: 1,
		},
			"would reach 1 session:\n  No. 7, 10.0.0.7:1, connected for 2 h 0 min, key generation 2, delivered 3, last: ",
			"never"},
		{"more than are listed", control.Explanation{
			UserID:           "u",
			Connected:        []control.Session{s},
			ConnectedTotal:   3,
			InfobaseSessions: 3,
		}, "… and 2 more", ""},
		{"never seen", control.Explanation{
			UserID:           "u",
			InfobaseSessions: 5,
			IbID:             "ib",
		}, "5 other sessions of the infobase ib", "Nobody is connected"},
		{"no sessions at all", control.Explanation{UserID: "u"}, "No session of the app is connected now", ""},
		{"away", control.Explanation{UserID: "u", Detached: []control.Session{away}, Infobases: map[string]int{"ib2": 1}},
			", at most 2 messages wait.\n  No. 7, was at 10.0.0.7:1, first connected 2 h 0 min ago, key generation 2",
			"Nobody is connected"},
		{"closed", control.Explanation{
			UserID:     "u",
			LastClosed: &control.Event{Time: now, Reason: "key_revoked", Session: &s},
		},
			"the client key was renewed or the app removed (key_revoked). Messages delivered: 3",
			"no such session, and nobody"},
		{"spelt otherwise", control.Explanation{
			UserID:        "U ",
			OtherSpelling: []control.Session{elsewhere},
		},
			"spelt otherwise: ids are compared letter by letter, with case, blanks and braces, so a message does not reach:\n" +
				"  user “u”, infobase “ib2”, group “g”; No. 7", "elsewhere"},
		{"elsewhere", control.Explanation{
			UserID:      "u",
			OtherPlaces: []control.Session{elsewhere},
		}, "  u in ib2, app “Склад”, group “g”; No. 7", ""},
		{"a group", control.Explanation{
			UserGroup:        "g",
			InfobaseSessions: 5,
			OtherGroups:      map[string]int{"": 3, "h": 2},
		},
			"  no group: 3 sessions\n  group “h”: 2 sessions\nThe released builds", "no such session, and nobody"},
		{"nameless", control.Explanation{
			UserID: "u",
			Nameless: []control.Refusal{{
				Time:   now,
				Reason: "evicted",
				Peer:   control.Peer{Addr: "10.0.0.9:1"},
				Count:  812,
			}},
		},
			"10.0.0.9:1  too many connections that have not registered (evicted)  ×812", ""},
		{"refused senders",
			control.Explanation{UserID: "u",
				RefusedRequests: []control.RefusedRequest{{Time: now, Reason: "bad_request",
					Detail: "Message.Data: \x1b", Addr: "10.0.0.9", Count: 2}}},
			`10.0.0.9  a mistake in the message (bad_request): Message.Data: \x1b  ×2`, ""},
	} {
		got := strings.Join(words(locale.English).Explanation(tt.explanation, now), "\n")
		if !strings.Contains(got, tt.want) || tt.not != "" && strings.Contains(got, tt.not) {
			t.Errorf("%s:\n%s\nwant in it: %s\nnot in it: %s", tt.name, got, tt.want, tt.not)
		}
	}
}

func TestWritesNumbersForPeople(t *testing.T) {
	t.Parallel()
	w := words(locale.English)
	for got, want := range map[string]string{
		w.Age(3*24*time.Hour + 5*time.Hour): "3 d 5 h", w.Age(time.Minute): "1 min 0 s", w.Age(0): "0 s",
		w.Seconds(0.000285): "285 µs", w.Seconds(0.0042): "4.2 ms", w.Seconds(12.34): "12.3 s",
		w.Seconds(0.9997): "1 s",
		w.Bytes(512):      "512 B", w.Bytes(1536): "1.5 KiB", w.Bytes(3 << 30): "3.0 GiB",
		words(locale.Russian).Bytes(5 << 20): "5.0 МиБ",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
