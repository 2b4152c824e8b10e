package app_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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
	if id := must[app.Identity](t)(app.Look(path)); id != r.Identity() {
		t.Errorf("got %v, want %v", id, r.Identity())
	}
	if after := fingerprint(t, path); after != before {
		t.Error("the file changed")
	}
	create(t, r, "b")
	closeRegistry(t, r)
	older(t, path)
	if id := must[app.Identity](t)(app.Look(path)); !id.IsZero() {
		t.Errorf("an identity from nowhere: %v", id)
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
		if got, err := app.Look(path); err != nil || got != r.Identity() {
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
	must[app.Identity](t)(app.Look(path))
	disk.thaw()
	noError(t, "create", <-underWay)
}

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
		{name: "a newer schema with records unknown to us", content: good, want: app.ErrNewer, edit: func(tx *bbolt.Tx) error {
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
