package app_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
)

// older makes the file what the first versions made: without an identity.
func older(t testing.TB, path string) {
	t.Helper()
	edit(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("identity")) })
}

func edit(t testing.TB, path string, how func(*bbolt.Tx) error) {
	t.Helper()
	db := must[*bbolt.DB](t)(bbolt.Open(path, 0o600, nil))
	if err := errors.Join(db.Update(how), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	id := r.Identity()
	if id.IsZero() || len(id.String()) != 32 {
		t.Fatalf("identity %v", id)
	}
	noError(t, "ensure", r.EnsureIdentity())
	create(t, r, "a")
	backup := must[[]byte](t)(r.Backup())
	noError(t, "release", r.Release(t.Context()))
	noError(t, "reopen", r.Reopen(path))
	if r.Identity() != id {
		t.Error("another one after all that")
	}
	closeRegistry(t, r)
	copied := dbPath(t)
	writeFile(t, copied, backup)
	for what, path := range map[string]string{"the file": path, "its backup": copied} {
		r := open(t, path, app.Options{Expect: id})
		if r.Identity() != id {
			t.Errorf("%s has another identity", what)
		}
	}
	if open(t, dbPath(t), app.Options{}).Identity() == id {
		t.Error("two databases with one identity")
	}
}

func TestAnOlderFileGetsAnIdentityOnlyWhenAskedTo(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	first := r.Identity()
	closeRegistry(t, r)
	older(t, path)
	r = open(t, path, app.Options{Changed: func(string, *app.App) { t.Error("Changed was called") }})
	if !r.Identity().IsZero() {
		t.Error("an identity from nowhere")
	}
	noError(t, "ensure", r.EnsureIdentity())
	id := r.Identity()
	noError(t, "ensure again", r.EnsureIdentity())
	if id.IsZero() || id == first || r.Identity() != id {
		t.Errorf("identity %v", id)
	}
	closeRegistry(t, r)
	if open(t, path, app.Options{}).Identity() != id {
		t.Error("it was not stored")
	}
}

func TestEnsureIdentityInAFreezeOrWithoutADisk(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	closeRegistry(t, open(t, path, app.Options{}))
	older(t, path)
	r := open(t, path, app.Options{})
	noError(t, "pause", r.Pause(t.Context()))
	want(t, "in a freeze", r.EnsureIdentity(), app.ErrHandingOver)
	r.Resume()
	app.BeforeDisk(r, neverWrites)
	want(t, "not stored", r.EnsureIdentity(), app.ErrNotStored)
	if !r.Identity().IsZero() {
		t.Error("an identity that is not in the file")
	}
	app.BeforeDisk(r, failsInTheEnd)
	want(t, "in the cache", r.EnsureIdentity(), app.ErrOutcomeUnknown)
	if r.Identity().IsZero() {
		t.Error("what is in the file holds")
	}
}

func TestOpenOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	closeRegistry(t, open(t, path, app.Options{}))
	expected := app.Identity{1, 2, 3}
	before := fingerprint(t, path)
	err := second(app.Open(path, app.Options{Expect: expected}))
	want(t, "open", err, app.ErrAnother)
	if after := fingerprint(t, path); after != before {
		t.Error("the file changed")
	}
	older(t, path)
	r := open(t, path, app.Options{Expect: expected})
	noError(t, "ensure", r.EnsureIdentity())
	closeRegistry(t, r)
	if open(t, path, app.Options{}).Identity() != expected {
		t.Error("it is not the expected identity that was stored")
	}
}

func TestOpenThatMustNotCreate(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]app.Options{
		"never":     {NeverCreate: true},
		"expecting": {Expect: app.Identity{1}},
	} {
		folder := t.TempDir()
		for _, path := range []string{filepath.Join(folder, "pns4ones.db"),
			filepath.Join(folder, "new", "pns4ones.db")} {
			err := second(app.Open(path, o))
			want(t, name, err, fs.ErrNotExist)
		}
		if left := must[[]os.DirEntry](t)(os.ReadDir(folder)); len(left) != 0 {
			t.Errorf("%s: it left %v", name, left)
		}
	}
}

func TestABrokenIdentityIsDamage(t *testing.T) {
	t.Parallel()
	for name, value := range map[string][]byte{"short": {1, 2, 3}, "zero": make([]byte, 16), "long": make([]byte, 17)} {
		path := dbPath(t)
		closeRegistry(t, open(t, path, app.Options{}))
		edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("identity")).Put([]byte("id"), value) })
		t.Run(name, func(t *testing.T) { wantRefused(t, path, app.ErrDamaged) })
	}
}

func TestIdentityAsText(t *testing.T) {
	t.Parallel()
	id := app.Identity{0xab, 15: 0x01}
	text := must[[]byte](t)(json.Marshal(map[string]app.Identity{"id": id}))
	if string(text) != `{"id":"ab000000000000000000000000000001"}` {
		t.Errorf("got %s", text)
	}
	var back map[string]app.Identity
	if err := json.Unmarshal(text, &back); err != nil || back["id"] != id {
		t.Errorf("got %v, %v", back, err)
	}
	for _, bad := range []string{"", "ab", "zz000000000000000000000000000001", "ab00000000000000000000000000000100"} {
		kept := id
		if err := kept.UnmarshalText([]byte(bad)); err == nil || kept != id {
			t.Errorf("%q: %v, %v", bad, kept, err)
		}
	}
}
