//go:build unix

package netsvc_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
)

func TestLooksAtWhatAStartNeedsAndTouchesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := config.Config{DataDir: filepath.Join(folder, "data"), Control: filepath.Join(folder, "run", "control.sock")}
	path := filepath.Join(c.DataDir, "pns4ones.db")
	look := func(what string, want error) {
		t.Helper()
		if _, err := netsvc.Look(&c); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	look("nothing is there yet", nil)
	if _, err := os.Stat(c.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder was made")
	}
	apps, err := app.Open(path, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	look("a daemon has the database open", nil)
	if err := apps.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	look("the database is damaged", app.ErrDamaged)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Control = filepath.Join(path+".file", "control.sock")
	var channel *netsvc.ControlError
	if _, err := netsvc.Look(&c); !errors.As(err, &channel) {
		t.Errorf("a file where the folder of the channel should be: %v", err)
	}
}
