//go:build unix

package netsvc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc"
)

func TestRefusesADatabaseThatEverybodyCanRead(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "pns")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	o := netsvc.Options{Config: settings(folder)}
	d := start(t, o)
	d.create("app")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(o.Config.DataDir, "pns4ones.db")
	for _, path := range []string{folder, o.Config.DataDir, database} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err = netsvc.Open(context.Background(), o)
	var problem *netsvc.DatabaseError
	if !errors.As(err, &problem) || !errors.Is(err, netsvc.ErrExposed) || problem.Path != database {
		t.Errorf("opened with %v", err)
	}
}
