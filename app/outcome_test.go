package app_test

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
)

// errDisk is what a disk says that fails.
var errDisk = errors.New("input/output error")

// neverWrites fails before the meta page, without which nothing is stored.
func neverWrites(db *bbolt.DB, body func(*bbolt.Tx) error) error {
	return db.Update(func(tx *bbolt.Tx) error {
		if err := body(tx); err != nil {
			return err
		}
		return errDisk
	})
}

// failsInTheEnd writes everything into the cache of the system, the meta page, too,
// and then fails, as the second fsync of a commit may. The next one who opens the
// file sees the change, unless power is lost before.
func failsInTheEnd(db *bbolt.DB, body func(*bbolt.Tx) error) error {
	db.NoSync = true
	defer func() { db.NoSync = false }()
	if err := db.Update(body); err != nil {
		return err
	}
	return errDisk
}

func works(db *bbolt.DB, body func(*bbolt.Tx) error) error { return db.Update(body) }

func TestWhatAFailedCommitLeftInTheFileHolds(t *testing.T) {
	t.Parallel()
	change := map[string]func(r *app.Registry, id string) error{
		"create":     func(r *app.Registry, _ string) error { return second(r.Create("b")) },
		"rename":     func(r *app.Registry, id string) error { return second(r.Rename(id, "b")) },
		"remove":     func(r *app.Registry, id string) error { return r.Remove(id) },
		"tokens":     func(r *app.Registry, id string) error { return second(r.ResetToken(id)) },
		"server key": func(r *app.Registry, id string) error { return second(r.RotateServerKey(id, time.Minute)) },
		"client key": func(r *app.Registry, id string) error { return second(r.RotateClientKey(id, 0)) },
		"expire":     func(r *app.Registry, _ string) error { return second(r.Expire()) },
	}
	for name, do := range change {
		for _, c := range []struct {
			name   string
			disk   func(*bbolt.DB, func(*bbolt.Tx) error) error
			want   error
			stored bool
		}{
			{"never written", neverWrites, app.ErrNotStored, false},
			{"in the cache", failsInTheEnd, app.ErrOutcomeUnknown, true},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				path, clock, told := dbPath(t), newClock(), 0
				r := open(t, path, app.Options{Now: clock.now, Changed: func(string, *app.App) { told++ }})
				a := create(t, r, "a")
				must[*app.App](t)(r.RotateServerKey(a.ID, time.Second))
				clock.advance(2 * time.Second)
				told = 0
				before := r.List()

				app.BeforeDisk(r, c.disk)
				err := do(r, a.ID)
				want(t, "the answer", err, c.want)
				want(t, "its reason", err, errDisk)
				if wrong := map[bool]error{true: app.ErrNotStored,
					false: app.ErrOutcomeUnknown}[c.stored]; errors.Is(err, wrong) {
					t.Errorf("the answer is also %v", wrong)
				}
				app.BeforeDisk(r, works)
				visible := r.List()
				if same := reflect.DeepEqual(visible, before); same == c.stored || (told != 0) != c.stored {
					t.Errorf("as before: %v, told: %d", same, told)
				}
				create(t, r, "after")
				visible = r.List()
				closeRegistry(t, r)
				if after := open(t, path, app.Options{Now: clock.now}).List(); !reflect.DeepEqual(after, visible) {
					t.Error("what was visible is not what is in the file")
				}
			})
		}
	}
}

// The meta page of the change is there, but half of it: that proves nothing.
func TestATornMetaPageIsNoProof(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	create(t, r, "a")
	app.BeforeDisk(r, func(db *bbolt.DB, body func(*bbolt.Tx) error) error {
		before := readFile(t, path)
		err := failsInTheEnd(db, body)
		file := must[*os.File](t)(os.OpenFile(path, os.O_RDWR, 0))
		defer file.Close()
		after := readFile(t, path)
		for _, at := range []int{0, pageSize} {
			if string(before[at:at+pageSize]) != string(after[at:at+pageSize]) {
				must[int](t)(file.WriteAt(make([]byte, 8), int64(at+72))) // its checksum
			}
		}
		return err
	})
	want(t, "create", second(r.Create("b")), app.ErrOutcomeUnknown)
	if list := r.List(); len(list) != 1 {
		t.Errorf("visible: %v", list)
	}
}

// What cannot be read after a failure is not known, and nothing else is tried on it.
func TestAFailedCommitInAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	a := create(t, r, "a")
	app.BeforeDisk(r, func(db *bbolt.DB, body func(*bbolt.Tx) error) error {
		err := db.Update(func(tx *bbolt.Tx) error {
			return errors.Join(body(tx), tx.Bucket([]byte("apps")).Put([]byte(a.ID), []byte("garbage")))
		})
		return errors.Join(err, errDisk)
	})
	err := second(r.Create("b"))
	want(t, "create", err, app.ErrOutcomeUnknown)
	want(t, "create", err, errDisk)
	want(t, "create", err, app.ErrDamaged)
	want(t, "later", second(r.Create("c")), app.ErrDamaged)
	want(t, "backup", second(r.Backup()), app.ErrDamaged)
	want(t, "release", r.Release(t.Context()), app.ErrDamaged)
	noError(t, "still open", r.Unavailable())
	if list := r.List(); len(list) != 1 || list[0] != a {
		t.Errorf("visible: %v", list)
	}
}
