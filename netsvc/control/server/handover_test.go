package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
)

func TestAnUpgradeIsAnsweredWithItsID(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.upgrade = func(context.Context) (string, error) { return "7f3a", nil }
	if id, err := d.Upgrade(t.Context()); err != nil || id != "7f3a" {
		t.Errorf("got %q and %v", id, err)
	}
	if got := d.do("POST", "/v1/upgrade", ""); got.status != http.StatusOK || got.body != `{"id":"7f3a"}`+"\n" {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	d.log.Line(t, "action=upgrade", "id=7f3a")
}

func TestARefusalTellsWhetherItMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
		says   string
	}{
		"on the way": {fmt.Errorf("create: %w", app.ErrHandingOver), http.StatusServiceUnavailable,
			control.CodeHandingOver, "handed over"},
		"no database": {fmt.Errorf("%w: %w", app.ErrUnavailable, app.ErrDamaged), http.StatusServiceUnavailable,
			control.CodeDatabaseUnavailable, "damaged"},
		"no cluster": {fmt.Errorf("%w: %w", app.ErrNotAgreed, app.ErrNotStored), http.StatusServiceUnavailable,
			control.CodeClusterUnavailable, "could not agree"},
		"others are faster": {fmt.Errorf("rename: %w", app.ErrConflict), http.StatusConflict,
			control.CodeClusterConflict, "somebody else"},
		"unknown, without a database": {fmt.Errorf("%w: %w", app.ErrOutcomeUnknown, app.ErrUnavailable),
			http.StatusInternalServerError, control.CodeOutcomeUnknown, "list or show"},
		"unknown": {fmt.Errorf("%w: i/o error", app.ErrOutcomeUnknown), http.StatusInternalServerError,
			control.CodeOutcomeUnknown, "list or show"},
		"unknown, not stored": {fmt.Errorf("%w: %w", app.ErrOutcomeUnknown, app.ErrNotStored),
			http.StatusInternalServerError, control.CodeOutcomeUnknown, "list or show"},
		"another reason": {errors.New("another upgrade is under way"), http.StatusConflict, control.CodeCannotUpgrade,
			"under way"},
	} {
		t.Run(name, func(t *testing.T) {
			d.upgrade = func(context.Context) (string, error) { return "", test.err }
			_, err := d.Upgrade(t.Context())
			if refusal := refused(t, err, test.status, test.code); !strings.Contains(refusal.Message, test.says) {
				t.Errorf("says %q, want %q in it", refusal.Message, test.says)
			}
		})
	}
}

func TestStatusTellsOfTheLastHandover(t *testing.T) {
	t.Parallel()
	want := control.Handover{
		ID: "7f3a", Way: control.WayUpgrade, FromVersion: "1.2.2", ToVersion: "1.2.3", FromPID: 10, ToPID: 20,
		At: now, Seconds: 0.035, Sessions: 5000, Lost: 2, Revoked: 3, Why: "two reasons", Done: true,
	}
	d := start(t, func() server.Info {
		return server.Info{LastHandover: &want, DatabaseUnavailable: fmt.Errorf("/var/lib/pns4ones/pns4ones.db: %w",
			app.ErrDamaged)}
	})
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, s.LastHandover); diff != "" {
		t.Error(diff)
	}
	if s.DatabaseUnavailable != "/var/lib/pns4ones/pns4ones.db: the database is damaged" {
		t.Errorf("the database: %q", s.DatabaseUnavailable)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(d.do("GET", "/v1/status", "").body), &object); err != nil {
		t.Fatal(err)
	}
	const text = `{"id":"7f3a","way":"upgrade","from_version":"1.2.2","to_version":"1.2.3","from_pid":10,"to_pid":20,` +
		`"at":"2026-03-01T09:05:00Z","seconds":0.035,"sessions":5000,"lost":2,"revoked":3,"why":"two reasons","done":true}`
	if got := string(object["last_handover"]); got != text {
		t.Errorf("the object is\n%s, want\n%s", got, text)
	}
}

func TestStatusIsSilentOnWhatThereWasNot(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for _, name := range []string{"last_handover", "database_unavailable", "upgrade_failed"} {
		if body := d.do("GET", "/v1/status", "").body; strings.Contains(body, name) {
			t.Errorf("%s is in %s", name, body)
		}
	}
}
