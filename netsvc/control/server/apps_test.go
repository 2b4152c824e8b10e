package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const unknownID = "11111111-2222-3333-4444-555555555555"

func TestAppsAreCreatedListedShownAndRenamed(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	ctx := t.Context()
	if apps, err := d.Apps(ctx); err != nil || len(apps) != 0 {
		t.Fatalf("got %v and %v, want no apps", apps, err)
	}
	first, second := d.newApp("Бухгалтерия «Ромашка» <1>"), d.newApp("ЗУП")
	if first.Title != "Бухгалтерия «Ромашка» <1>" || !first.CreatedAt.Equal(now) || first.Sessions != 0 {
		t.Errorf("created %+v", first)
	}
	if len(first.ServerKey) != 64 || len(first.ClientKey) != 76 || len(first.ID) != 36 {
		t.Errorf("created an app with keys of another form: %+v", first)
	}
	if shown, err := d.App(ctx, strings.ToUpper(first.ID)); err != nil || !reflect.DeepEqual(shown, first) {
		t.Errorf("shown %+v and %v, want %+v", shown, err, first)
	}
	renamed, err := d.RenameApp(ctx, first.ID, "  Торговля ")
	if want := first; err != nil || renamed.Title != "Торговля" || renamed.ServerKey != want.ServerKey {
		t.Errorf("renamed to %+v and %v", renamed, err)
	}
	apps, err := d.Apps(ctx)
	want := []control.App{renamed, second}
	// created in the same instant
	slices.SortFunc(want, func(a, b control.App) int { return strings.Compare(a.ID, b.ID) })
	if err != nil || !reflect.DeepEqual(apps, want) {
		t.Errorf("listed %+v and %v, want %+v", apps, err, want)
	}
}

func TestAnAppIsTheObjectOfTheDesign(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	fields := func() (names []string, object map[string]any) {
		text := d.do("GET", "/v1/apps/"+a.ID, "").body
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for name := range object {
			names = append(names, name)
		}
		slices.Sort(names)
		return names, object
	}
	plain := []string{"client_key", "client_key_since", "created_at", "id", "server_key", "server_key_since",
		"server_key_tokens", "sessions", "title"}
	got, object := fields()
	if !slices.Equal(got, plain) {
		t.Errorf("has %v, want %v", got, plain)
	}
	if object["created_at"] != "2026-03-01T09:05:00Z" {
		t.Errorf("created_at is %v", object["created_at"])
	}
	if _, err := d.RotateClientKey(t.Context(), a.ID, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateServerKey(t.Context(), a.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	got, object = fields()
	inGrace := append(slices.Clone(plain), "old_client_key_sessions", "old_client_key_until", "old_client_keys",
		"old_server_key_until", "old_server_keys")
	slices.Sort(inGrace)
	if !slices.Equal(got, inGrace) {
		t.Errorf("in grace it has %v, want %v", got, inGrace)
	}
	if object["old_client_key_until"] != "2026-03-02T09:05:00Z" ||
		object["old_server_key_until"] != "2026-03-01T10:05:00Z" {
		t.Errorf("old keys until %v and %v", object["old_client_key_until"], object["old_server_key_until"])
	}
}

func TestTheLatestEndOfSeveralOldKeysIsShown(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	for _, grace := range []time.Duration{time.Hour, 3 * time.Hour, 2 * time.Hour} {
		if _, err := d.RotateServerKey(t.Context(), a.ID, grace); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := d.App(t.Context(), a.ID)
	if err != nil || shown.OldServerKeyUntil == nil || !shown.OldServerKeyUntil.Equal(now.Add(3*time.Hour)) {
		t.Errorf("old_server_key_until is %v (%v), want three hours from now", shown.OldServerKeyUntil, err)
	}
}

func TestANewClientKeyClosesTheSessionsUnderTheOldOne(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "ib", "ann", "")
	change, err := d.RotateClientKey(t.Context(), strings.ToUpper(a.ID), 0)
	if err != nil || change.ClosedSessions != 1 || change.Sessions != 0 {
		t.Errorf("got %+v and %v, want one closed session", change, err)
	}
	if change.ClientKey == a.ClientKey || change.ServerKey != a.ServerKey || change.OldClientKeyUntil != nil {
		t.Errorf("got %+v, want another client key and no old one", change)
	}
	ended(t, c)
	d.log.Line(t, "level=INFO", `action="new client key"`, "closed_sessions=1")
}

func TestInAGraceTheSessionsUnderTheOldKeyStay(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	old := d.connect(a, "ib", "ann", "")
	change, err := d.RotateClientKey(t.Context(), a.ID, 24*time.Hour)
	if err != nil || change.ClosedSessions != 0 {
		t.Fatalf("got %+v and %v, want no closed session", change, err)
	}
	d.connect(change.App, "ib", "ben", "")
	shown, err := d.App(t.Context(), a.ID)
	if err != nil || shown.Sessions != 2 || shown.OldClientKeySessions == nil || *shown.OldClientKeySessions != 1 {
		t.Errorf("shown %+v (%v), want two sessions, one of them under the old key", shown, err)
	}
	if got := d.do("POST", "/v1/messages",
		fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{"topic":"t"}}`,
			a.ID)); got.body != "{\"sessions\":2}\n" {
		t.Errorf("sent: %s", got.body)
	}
	expect(t, old, `{"topic":"t"}`)
}

func TestANewServerKeyEndsTheOldOne(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	token, err := d.apps.Authorize(a.ServerKey, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	change, err := d.RotateServerKey(t.Context(), a.ID, 0)
	if err != nil || change.ServerKey == a.ServerKey || change.ClientKey != a.ClientKey || change.ClosedSessions != 0 {
		t.Errorf("got %+v and %v", change, err)
	}
	if _, err := d.apps.CheckToken(token.Value); !errors.Is(err, app.ErrTokenInvalid) {
		t.Errorf("the old key's token: %v, want it invalid", err)
	}
}

func TestGraceIsADurationOrSeconds(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for name, test := range map[string]struct {
		body  string
		grace time.Duration // -1: refused
	}{
		"no body":      {"", 0},
		"blanks":       {" \r\n", 0},
		"empty object": {"{}", 0},
		"null":         {`{"grace":null}`, 0},
		"zero":         {`{"grace":0}`, 0},
		"duration":     {`{"grace":"1h30m"}`, 90 * time.Minute},
		"seconds":      {`{"grace":7200}`, 2 * time.Hour},
		"byte order":   {"\uFEFF{\"grace\":60}", time.Minute},
		"negative":     {`{"grace":-1}`, -1},
		"negative too": {`{"grace":"-1s"}`, -1},
		"huge":         {`{"grace":1e300}`, -1},
		"huge too":     {`{"grace":"200000h"}`, -1},
		"no unit":      {`{"grace":"24"}`, -1},
		"empty":        {`{"grace":""}`, -1},
		"bool":         {`{"grace":true}`, -1},
		"object":       {`{"grace":{"hours":1}}`, -1},
	} {
		for _, kind := range []string{"server-key", "client-key"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				a := d.newApp(name)
				got := d.do("POST", "/v1/apps/"+a.ID+"/"+kind, test.body)
				if test.grace < 0 {
					if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadGrace {
						t.Errorf("answered %d %s", got.status, got.body)
					}
					return
				}
				var change control.AppChange
				if err := json.Unmarshal([]byte(got.body), &change); err != nil || got.status != http.StatusOK {
					t.Fatalf("answered %d %s (%v)", got.status, got.body, err)
				}
				until := change.OldServerKeyUntil
				if kind == "client-key" {
					until = change.OldClientKeyUntil
				}
				if test.grace == 0 && until != nil || test.grace > 0 &&
					(until == nil || !until.Equal(now.Add(test.grace))) {
					t.Errorf("the old key works until %v, want %v from now", until, test.grace)
				}
			})
		}
	}
}

func TestTooManyOldKeysAreRefused(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	for range 100 {
		if _, err := d.RotateServerKey(t.Context(), a.ID, time.Hour); err != nil {
			refused(t, err, http.StatusConflict, control.CodeTooManyKeys)
			return
		}
	}
	t.Error("a hundred old keys were kept")
}

func TestResettingTokensEndsThem(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	token, err := d.apps.Authorize(a.ServerKey, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	same, err := d.ResetToken(t.Context(), a.ID)
	if err != nil || same.ID != a.ID || same.ServerKey != a.ServerKey || same.ClientKey != a.ClientKey ||
		same.ServerKeyTokens != 1 {
		t.Errorf("got %+v and %v, want %+v", same, err, a)
	}
	if _, err := d.apps.CheckToken(token.Value); !errors.Is(err, app.ErrTokenInvalid) {
		t.Errorf("the token: %v, want it invalid", err)
	}
}

func TestRemovingAnAppClosesItsSessions(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a, other := d.newApp("one"), d.newApp("two")
	c := d.connect(a, "ib", "ann", "")
	d.connect(other, "ib", "ann", "")
	change, err := d.RemoveApp(t.Context(), a.ID)
	if err != nil || change.ClosedSessions != 1 || change.ID != a.ID || change.Title != "one" {
		t.Errorf("got %+v and %v, want the app and one closed session", change, err)
	}
	ended(t, c)
	_, err = d.App(t.Context(), a.ID)
	refused(t, err, http.StatusNotFound, control.CodeAppNotFound)
	if kept, err := d.App(t.Context(), other.ID); err != nil || kept.Sessions != 1 {
		t.Errorf("the other app: %+v, %v", kept, err)
	}
}

// What a change closed is counted, whoever comes or goes at the same time.
func TestClosedSessionsAreThoseThatTheChangeClosed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *daemon, id string) (control.AppChange, error){
		"new client key": func(d *daemon, id string) (control.AppChange, error) {
			return d.RotateClientKey(t.Context(), id, 0)
		},
		"removal": func(d *daemon, id string) (control.AppChange, error) { return d.RemoveApp(t.Context(), id) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, nil)
			a := d.newApp("one")
			d.connect(a, "ib", "ann", "")
			leaving := []*wire.Client{d.connect(a, "ib", "ben", ""), d.connect(a, "ib", "carl", "")}
			d.told = func() { // while the change is under way
				for _, c := range leaving {
					c.Close()
				}
				for deadline := time.Now().Add(patience); d.hub.Stats().Sessions > 1; runtime.Gosched() {
					if time.Now().After(deadline) {
						t.Error("they do not leave")
						return
					}
				}
			}
			got, err := change(d, a.ID)
			if err != nil || got.ClosedSessions != 1 || got.Sessions != 0 {
				t.Errorf("got %d closed, %d left, %v", got.ClosedSessions, got.Sessions, err)
			}
		})
	}
}

func TestAnUnknownAppIsNotFound(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	ctx := t.Context()
	for _, id := range []string{unknownID, "x", "..", "a/b", "%", "Моя", strings.Repeat("x", 4000)} {
		_, show := d.App(ctx, id)
		_, rename := d.RenameApp(ctx, id, "t")
		_, remove := d.RemoveApp(ctx, id)
		_, server := d.RotateServerKey(ctx, id, 0)
		_, client := d.RotateClientKey(ctx, id, time.Hour)
		_, reset := d.ResetToken(ctx, id)
		for _, err := range []error{show, rename, remove, server, client, reset} {
			refused(t, err, http.StatusNotFound, control.CodeAppNotFound)
		}
	}
}

func TestABadTitleIsRefused(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	for _, title := range []string{"", "  ", "two\nlines", "tab\x07", strings.Repeat("я", 201), "koi8 \xcb"} {
		_, err := d.CreateApp(t.Context(), title)
		refused(t, err, http.StatusBadRequest, control.CodeBadTitle)
		_, err = d.RenameApp(t.Context(), a.ID, title)
		refused(t, err, http.StatusBadRequest, control.CodeBadTitle)
	}
	if apps, err := d.Apps(t.Context()); err != nil || len(apps) != 1 || !reflect.DeepEqual(apps[0], a) {
		t.Errorf("there is %+v (%v), want only %+v", apps, err, a)
	}
}

func TestEveryChangeIsLoggedWithWhoMadeItButNoSecret(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	ctx := t.Context()
	a := d.newApp("Склад")
	id := "app=" + a.ID
	d.connect(a, "ib", "ann", "")
	page, err := d.Sessions(ctx, control.SessionQuery{})
	if err != nil || len(page.Sessions) != 1 {
		t.Fatalf("sessions: %+v, %v", page, err)
	}
	var keys strings.Builder
	secrets := []string{a.ServerKey, a.ClientKey, "сумма-42"}
	steps := []struct {
		action string
		do     func() error
	}{
		{"send message", func() error {
			body := fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{"topic":"сумма-42"}}`,
				a.ID)
			d.do("POST", "/v1/messages", body)
			d.do("POST", "/v1/messages", body+"x")
			return nil
		}},
		{"close session", func() error { return d.CloseSession(ctx, page.Sessions[0].ID, time.Time{}) }},
		{"rename app", func() error { _, err := d.RenameApp(ctx, a.ID, "Склад"); return err }},
		{"export keys file", func() error { return d.Export(ctx, &keys) }},
		{"new server key", func() error {
			b, err := d.RotateServerKey(ctx, a.ID, time.Hour)
			secrets = append(secrets, b.ServerKey)
			return err
		}},
		{"new client key", func() error {
			b, err := d.RotateClientKey(ctx, a.ID, 0)
			secrets = append(secrets, b.ClientKey)
			return err
		}},
		{"reset tokens", func() error { _, err := d.ResetToken(ctx, a.ID); return err }},
		{"remove app", func() error { _, err := d.RemoveApp(ctx, a.ID); return err }},
		{"import keys file", func() error { _, err := d.Import(ctx, strings.NewReader(keys.String())); return err }},
		{"import app", func() error { return nil }},
		{"create app", func() error { return nil }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.action, err)
		}
		parts := []string{"level=INFO", "msg=administration", fmt.Sprintf("action=%q", step.action), "user="}
		if os.Getuid() >= 0 {
			parts = append(parts, fmt.Sprintf("uid=%d", os.Getuid()))
		}
		if !strings.HasSuffix(step.action, "file") && step.action != "close session" {
			parts = append(parts, id, "title=Склад")
		}
		d.log.Line(t, parts...)
	}
	d.stop()
	for _, secret := range secrets {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, d.log)
		}
	}
}
