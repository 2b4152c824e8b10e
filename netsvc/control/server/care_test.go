package server_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestABackupOpensAsADatabase(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("Склад")
	var content bytes.Buffer
	if err := d.Backup(t.Context(), &content); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	apps, err := app.Open(path, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer apps.Close()
	if got, ok := apps.Get(a.ID); !ok || got.Title != "Склад" || got.ServerKeys[0].Key != a.ServerKey {
		t.Errorf("the backup has %v", got)
	}
	if log := d.log.String(); !strings.Contains(log, `action="back up database"`) {
		t.Errorf("no audit record of the backup:\n%s", log)
	}
}

func TestReloadTellsWhatItDid(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	want := control.ReloadReport{Applied: []string{"log_level"}, RestartNeeded: []string{"listen"},
		Warnings: []string{"w"}}
	d.reload = func(lang locale.Lang) (control.ReloadReport, error) { return want, nil }
	got, err := d.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if log := d.log.String(); !strings.Contains(log, `action="reload settings"`) ||
		!strings.Contains(log, "applied=log_level restart_needed=listen") {
		t.Errorf("no audit record of the reload:\n%s", log)
	}
}

func TestReloadSaysWhatIsWrongInTheCallersLanguage(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.reload = func(lang locale.Lang) (control.ReloadReport, error) {
		return control.ReloadReport{}, &control.Error{Status: http.StatusConflict, Code: control.CodeBadSettings,
			Message: "in " + string(lang)}
	}
	for lang, want := range map[locale.Lang]string{"": "in en", locale.English: "in en", locale.Russian: "in ru"} {
		client := control.NewClient(d.path)
		client.Lang = lang
		_, err := client.Reload(t.Context())
		if refusal := refused(t, err, http.StatusConflict, control.CodeBadSettings); refusal.Message != want {
			t.Errorf("%s: got %q", lang, refusal.Message)
		}
		client.Close()
	}
}

func TestTheLogLevelChanges(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	if err := d.SetLogLevel(t.Context(), "debug"); err != nil {
		t.Fatal(err)
	}
	if d.level != config.LevelDebug {
		t.Errorf("the level is %v", d.level)
	}
	if log := d.log.String(); !strings.Contains(log, `action="change log level"`) ||
		!strings.Contains(log, "log_level=Debug") {
		t.Errorf("no audit record of the change:\n%s", log)
	}
}

func TestExplainsWhoIsConnectedAndWhatIsNear(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a, b := d.newApp("a"), d.newApp("b")
	d.connect(a, "ib1", "ivanov", "Склад")
	d.connect(a, "ib2", "Ivanov", "")
	d.connect(a, "ib2", "petrov", "Цех")
	d.connect(b, "ib1", "ivanov", "")

	got, err := d.Explain(t.Context(), a.ID, "ib1", "ivanov", "")
	if err != nil {
		t.Fatal(err)
	}
	if got.ConnectedTotal != 1 || len(got.Connected) != 1 || got.Connected[0].UserGroup != "Склад" ||
		got.Connected[0].KeyGeneration != 1 {
		t.Errorf("connected: %+v", got.Connected)
	}
	if len(got.OtherPlaces) != 2 || got.InfobaseSessions != 1 || got.Infobases != nil || got.LastClosed != nil ||
		got.LastRefused != nil {
		t.Errorf("near: %+v", got)
	}

	// Connected, but in another group than was asked about.
	if got, err = d.Explain(t.Context(), a.ID, "ib1", "ivanov", "Цех"); err != nil {
		t.Fatal(err)
	}
	if got.ConnectedTotal != 0 || len(got.OtherPlaces) != 3 || !cmp.Equal(got.OtherGroups, map[string]int{"Склад": 1}) {
		t.Errorf("in another group: %+v", got)
	}

	// A group, and the groups that there are.
	if got, err = d.Explain(t.Context(), a.ID, "ib2", "", "Склад"); err != nil {
		t.Fatal(err)
	}
	if got.ConnectedTotal != 0 || len(got.OtherPlaces) != 0 ||
		!cmp.Equal(got.OtherGroups, map[string]int{"": 1, "Цех": 1}) || got.InfobaseSessions != 2 {
		t.Errorf("a group: %+v", got)
	}

	// An infobase without sessions.
	if got, err = d.Explain(t.Context(), a.ID, "ib3", "ivanov", ""); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(got.Infobases, map[string]int{"ib1": 1, "ib2": 2}) || got.InfobaseSessions != 0 ||
		len(got.OtherPlaces) != 3 {
		t.Errorf("no such infobase: %+v", got)
	}
	_, err = d.Explain(t.Context(), "elsewhere", "ib", "ivanov", "")
	refused(t, err, http.StatusNotFound, control.CodeAppNotFound)
}

func TestExplainsWhatHappenedBefore(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("a")
	c := d.connect(a, "ib", "ivanov", "")
	if _, err := d.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"},
		wire.Message{Topic: "x"}); err != nil {
		t.Fatal(err)
	}
	expect(t, c, `{"topic":"x"}`)
	// The peer has a message before the hub has counted it, and what is closed in
	// between has not been delivered.
	var page control.SessionPage
	var err error
	eventually(t, "the delivery is counted", func() bool {
		if page, err = d.Sessions(t.Context(), control.SessionQuery{}); err != nil {
			t.Fatal(err)
		}
		return page.Sessions[0].Delivered == 1
	})
	if err := d.CloseSession(t.Context(), page.Sessions[0].ID, time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	// The same user with a wrong key, twice, and for another infobase; and somebody
	// who says nothing of himself.
	old := parseKey(t, a.ClientKey)
	if _, err := d.RotateClientKey(t.Context(), a.ID, 0); err != nil {
		t.Fatal(err)
	}
	for _, ib := range []string{"ib", "ib", "other"} {
		c, err := wire.Dial(t.Context(), d.sessions, wire.Registration{AppID: strings.ToUpper(a.ID), IbID: ib,
			UserID: "ivanov"}, old)
		if err != nil {
			t.Fatal(err)
		}
		ended(t, c)
		c.Close()
	}

	var got control.Explanation
	eventually(t, "the end of the session is known", func() bool {
		if got, err = d.Explain(t.Context(), a.ID, "ib", "ivanov", ""); err != nil {
			t.Fatal(err)
		}
		return got.LastClosed != nil
	})
	if e := got.LastClosed; e.Reason != "closed_by_admin" || e.Session.Delivered != 1 ||
		e.Session.LastDeliveryAt == nil ||
		e.Time.IsZero() {
		t.Errorf("closed: %+v", e)
	}
	if r := got.LastRefused; r == nil || r.Reason != "wrong_hmac" || r.Count != 2 || r.Peer.Addr == "" ||
		r.First.After(r.Time) {
		t.Errorf("refused: %+v", r)
	}
	if len(got.RefusedElsewhere) != 1 || got.RefusedElsewhere[0].Peer.IbID != "other" {
		t.Errorf("refused elsewhere: %+v", got.RefusedElsewhere)
	}
	if got.ConnectedTotal != 0 || len(got.Nameless) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestSessionsWithoutAConnectionAreNotTakenForConnected: an infobase is no advice where nobody is connected.
func TestSessionsWithoutAConnectionAreNotTakenForConnected(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.hub.SetLimits(hub.Limits{ResumeWindow: time.Hour, ResumeBytes: 1 << 16, QueueBytes: 1 << 20,
		QueueMemory: 1 << 30, MaxUnregistered: 10, RegistrationTimeout: time.Minute})
	a := d.newApp("one")
	said := wire.Attributes{Session: wire.NewSessionID(), Turn: 1}
	d.connect(a, "ib2", "petrov", "")
	d.connect(a, "ib", "ivanov", "", said.List()...).Close()
	var got control.Explanation
	eventually(t, "the session is away", func() bool {
		var err error
		if got, err = d.Explain(t.Context(), a.ID, "ib", "ivanov", ""); err != nil {
			t.Fatal(err)
		}
		return len(got.Detached) == 1
	})
	if !cmp.Equal(got.Infobases, map[string]int{"ib2": 1}) || got.ConnectedTotal != 0 || got.InfobaseSessions != 0 {
		t.Errorf("%+v", got)
	}
}

// TestExplainsWhatIsSpeltOtherwise: ids that look alike to people and are not.
func TestExplainsWhatIsSpeltOtherwise(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	d.connect(a, "{IB}", "Ivanov ", "Склад")
	d.connect(a, "ib2", "ivanov", "")
	for _, asked := range [][3]string{
		{"ib", "ivanov", ""}, {"IB", "Ivanov", ""}, {"{IB}", "Ivanov", ""}, {" {ib}", "{IVANOV}", ""},
		{"ib", "", "склад"},
		{"{IB}", "", "Склад "}, {"ib", "ivanov", "Склад"},
	} {
		got, err := d.Explain(t.Context(), a.ID, asked[0], asked[1], asked[2])
		if err != nil {
			t.Fatal(err)
		}
		if got.ConnectedTotal != 0 || len(got.OtherSpelling) != 1 || got.OtherSpelling[0].UserID != "Ivanov " {
			t.Errorf("%q: %+v", asked, got)
		}
		for _, s := range got.OtherPlaces {
			if s.IbID != "ib2" {
				t.Errorf("%q: %s in %s is called elsewhere", asked, s.UserID, s.IbID)
			}
		}
	}
	got, err := d.Explain(t.Context(), a.ID, "{IB}", "Ivanov ", "")
	if err != nil || got.ConnectedTotal != 1 || len(got.OtherSpelling) != 0 || len(got.OtherPlaces) != 1 {
		t.Errorf("exactly: %+v, %v", got, err)
	}
}
