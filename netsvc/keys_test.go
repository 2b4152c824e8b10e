package netsvc_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// An app whose old key ended while nobody served is no new one.
func TestAKeyThatEndedBeforeTheStartIsToldAsThat(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := settings(folder)
	back := 3 * time.Hour
	earlier := app.Options{Now: func() time.Time { return time.Now().Add(-back) }}
	apps, err := app.Open(filepath.Join(c.DataDir, "pns4ones.db"), earlier)
	if err != nil {
		t.Fatal(err)
	}
	for title, rotate := range map[string]func(string, time.Duration) (*app.App, error){
		"client": apps.RotateClientKey, "server": apps.RotateServerKey,
	} {
		a, err := apps.Create(title)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rotate(a.ID, back-time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := apps.Close(); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Result, error) { return &config.Result{Config: c}, nil }
	d := start(t, netsvc.Options{Config: c, Load: load})
	changes := map[string]string{}
	eventually(t, "both apps have changed", func() bool {
		clear(changes)
		if err := d.Events(t.Context(), control.EventQuery{Tail: 100}, false, func(e control.Event) error {
			changes[e.Title] += e.Change
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return len(changes) == 2
	})
	if changes["client"] != "old_keys_gone" || changes["server"] != "old_keys_gone" {
		t.Errorf("told %v", changes)
	}
}
