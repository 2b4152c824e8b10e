package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/app"
)

func TestABackupIsADatabase(t *testing.T) {
	t.Parallel()
	r, err := app.Open(filepath.Join(t.TempDir(), "pns4ones.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, title := range []string{"Склад", "Зарплата"} {
		if _, err := r.Create(title); err != nil {
			t.Fatal(err)
		}
	}
	content, err := r.Backup()
	if err != nil {
		t.Fatal(err)
	}
	want := r.List()
	if _, err := r.Create("later"); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	restored, err := app.Open(path, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	got := restored.List()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *app.App) bool {
		return a.ID == b.ID && a.Title == b.Title && a.ServerKeys[0].Key == b.ServerKeys[0].Key &&
			a.ClientKeys[0].Key == b.ClientKeys[0].Key
	})); diff != "" {
		t.Error(diff)
	}
	// Tokens of the one are good with the other.
	token, err := r.Authorize(want[0].ServerKeys[0].Key, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restored.CheckToken(token.Value); err != nil {
		t.Errorf("a token is not good after the restore: %v", err)
	}
}

func TestAClosedDatabaseCannotBeBackedUp(t *testing.T) {
	t.Parallel()
	r, err := app.Open(filepath.Join(t.TempDir(), "pns4ones.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Backup(); !errors.Is(err, app.ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
}
