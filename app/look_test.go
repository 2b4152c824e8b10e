package app_test

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
)

func TestLookAtADatabaseThatIsOpen(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	fill(t, r, 300)
	create(t, r, "a")
	before := fingerprint(t, path)
	if seen := must[app.Seen](t)(app.Look(path)); seen != (app.Seen{Identity: r.Identity()}) {
		t.Errorf("got %v, want %v", seen, r.Identity())
	}
	if after := fingerprint(t, path); after != before {
		t.Error("the file changed")
	}
	create(t, r, "b")
	closeRegistry(t, r)
	older(t, path)
	if seen := must[app.Seen](t)(app.Look(path)); seen != (app.Seen{}) {
		t.Errorf("an identity from nowhere: %v", seen)
	}
}

// Whatever a commit under way leaves half done at the moment, it is not damage.
func TestLookWhileTheDatabaseChanges(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	fill(t, r, 200)
	id := r.List()[100].ID
	app.BeforeDisk(r, func(db *bbolt.DB, body func(*bbolt.Tx) error) error { // faster than any disk
		db.NoSync = true
		return db.Update(body)
	})
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.Rename(id, strings.Repeat("x", n%app.MaxTitleRunes+1)); err != nil {
				t.Errorf("rename: %v", err)
				return
			}
		}
	})
	for range 200 {
		if got, err := app.Look(path); err != nil || got != (app.Seen{Identity: r.Identity()}) {
			t.Errorf("got %v, %v", got, err)
			break
		}
	}
	close(stop)
	writer.Wait()
}

func TestLookWhileACommitIsInTheDisk(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	disk := stall(t, r)
	underWay := creating(r, "a")
	<-disk.given
	must[app.Seen](t)(app.Look(path))
	disk.thaw()
	noError(t, "create", <-underWay)
}

// bbolt opens a file whose newer meta page is damaged one change back, without a word.
func TestADamagedMetaPagePutsTheLastChangeInDoubt(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	a := create(t, r, "a")
	key := a.ServerKeys[0].Key
	must[*app.App](t)(r.RotateServerKey(a.ID, 0)) // the old key is revoked
	if r.LastChangeInDoubt() {
		t.Error("a sound file is in doubt")
	}
	closeRegistry(t, r)
	whole := readFile(t, path)
	for _, c := range []struct {
		name   string
		damage func(pages []byte, newer, older int)
		back   bool // it is one change back
	}{
		{"a bit of the newer one", func(b []byte, newer, _ int) { b[newer+40] ^= 1 }, true},
		{"the newer one zeroed", func(b []byte, newer, _ int) { clear(b[newer : newer+pageSize]) }, true},
		{"a bit of the older one", func(b []byte, _, older int) { b[older+40] ^= 1 }, false},
	} {
		damaged := bytes.Clone(whole)
		newer := 0
		if transaction(whole[pageSize:]) > transaction(whole) {
			newer = pageSize
		}
		c.damage(damaged, newer, pageSize-newer)
		writeFile(t, path, damaged)
		if seen := must[app.Seen](t)(app.Look(path)); !seen.LastChangeInDoubt {
			t.Errorf("%s: not seen", c.name)
		}
		if !bytes.Equal(readFile(t, path), damaged) {
			t.Errorf("%s: the file was changed by looking", c.name)
		}
		r := open(t, path, app.Options{})
		if !r.LastChangeInDoubt() {
			t.Errorf("%s: not noticed at open", c.name)
		}
		_, err := r.Authorize(key, time.Hour)
		if back := err == nil; back != c.back {
			t.Errorf("%s: the revoked key works: %v", c.name, back)
		}
		must[*app.App](t)(r.Rename(a.ID, "b")) // makes the page whole
		if !r.LastChangeInDoubt() {
			t.Errorf("%s: the doubt is gone", c.name)
		}
		closeRegistry(t, r)
		if seen := must[app.Seen](t)(app.Look(path)); seen.LastChangeInDoubt {
			t.Errorf("%s: still seen after a change", c.name)
		}
	}
	writeFile(t, path, whole)
	again := app.FromMemory(nil, app.Identity{}, app.Options{})
	noError(t, "reopen", again.Reopen(path))
	if again.LastChangeInDoubt() {
		t.Error("a sound file that was reopened is in doubt")
	}
	closeRegistry(t, again)
	writeFile(t, path, append(make([]byte, pageSize), whole[pageSize:]...))
	again = app.FromMemory(nil, app.Identity{}, app.Options{})
	noError(t, "reopen", again.Reopen(path))
	if !again.LastChangeInDoubt() {
		t.Error("not noticed by reopening")
	}
	closeRegistry(t, again)
}

// transaction is the number in a meta page: 16 bytes of head, then 48 before it.
func transaction(page []byte) uint64 { return binary.NativeEndian.Uint64(page[16+48:]) }

func TestLookRefusals(t *testing.T) {
	t.Parallel()
	good := goodFile(t, 100)
	for _, c := range []struct {
		name    string
		content []byte // nil: nothing is there
		edit    func(*bbolt.Tx) error
		want    error
	}{
		{name: "nothing is there", want: fs.ErrNotExist},
		{name: "empty", content: []byte{}, want: app.ErrDamaged},
		{name: "garbage", content: bytes.Repeat([]byte("pns4ones "), 1000), want: app.ErrDamaged},
		{name: "cut short", content: good[:len(good)/2], want: app.ErrDamaged},
		{name: "metas zeroed", content: append(make([]byte, 2*pageSize), good[2*pageSize:]...), want: app.ErrDamaged},
		{name: "newer schema", content: good, want: app.ErrNewer, edit: func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("schema_version"), []byte("2"))
		}},
		{name: "a newer schema with records unknown to us", content: good, want: app.ErrNewer,
			edit: func(tx *bbolt.Tx) error {
				_, err := tx.Bucket([]byte("apps")).CreateBucket([]byte("x"))
				if err == nil {
					err = tx.Bucket([]byte("meta")).Put([]byte("schema_version"), []byte("2"))
				}
				return err
			}},
		{name: "another bolt file", content: good, want: app.ErrDamaged, edit: func(tx *bbolt.Tx) error {
			return tx.DeleteBucket([]byte("meta"))
		}},
		{name: "no list of apps", content: good, want: app.ErrDamaged, edit: func(tx *bbolt.Tx) error {
			return tx.DeleteBucket([]byte("apps"))
		}},
		{name: "a broken record", content: good, want: app.ErrDamaged, edit: func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("apps")).Put([]byte(idA), []byte("garbage"))
		}},
		{name: "a record that is a bucket", content: good, want: app.ErrDamaged, edit: func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("apps")).CreateBucket([]byte(idA))
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := dbPath(t)
			if c.content != nil {
				writeFile(t, path, c.content)
			}
			if c.edit != nil {
				edit(t, path, c.edit)
			}
			before := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(path)))
			_, err := app.Look(path)
			want(t, "look", err, c.want)
			if err == nil || strings.Count(err.Error(), path) != 1 {
				t.Errorf("the path is not said once: %v", err)
			}
			if after := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(path))); len(after) != len(before) {
				t.Errorf("it left %v", after)
			}
		})
	}
	if _, err := app.Look(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}
