//go:build unix

package app_test

import (
	"os"
	"reflect"
	"syscall"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/app"
)

// A second fsync that fails, as bbolt itself gets to know it: what it makes of that
// must leave the file fit for more changes.
func TestSecondFsyncOfACommitFails(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	told := 0
	r := open(t, path, app.Options{Changed: func(string, *app.App) { told++ }})
	fill(t, r, 100)
	told = 0
	app.BeforeDisk(r, func(db *bbolt.DB, body func(*bbolt.Tx) error) error {
		return withoutSecondFsync(t, db, func() error { return db.Update(body) })
	})
	err := second(r.Create("in the cache"))
	want(t, "create", err, app.ErrOutcomeUnknown)
	want(t, "its reason", err, syscall.EINVAL)
	if told != 1 || len(r.List()) != 101 {
		t.Errorf("%d apps are visible, %d were told", len(r.List()), told)
	}
	app.BeforeDisk(r, works)
	for _, a := range r.List() {
		must[*app.App](t)(r.Rename(a.ID, "renamed"))
	}
	visible := r.List()
	closeRegistry(t, r)
	if after := open(t, path, app.Options{}).List(); !reflect.DeepEqual(after, visible) {
		t.Error("what was visible is not what is in the file")
	}
}

// withoutSecondFsync lets commit write its meta page, and then finds a pipe in place
// of the file, which cannot be synced. The place for that is bbolt's own, where its
// tests let writing fail.
func withoutSecondFsync(t *testing.T, db *bbolt.DB, commit func() error) error {
	t.Helper()
	bolt := reflect.ValueOf(db).Elem()
	hook := bolt.FieldByName("ops").FieldByName("writeAt")
	held := bolt.FieldByName("file")
	if !hook.IsValid() || !held.IsValid() {
		t.Fatal("this bbolt has its hook elsewhere")
	}
	writeAt := (*func([]byte, int64) (int, error))(unsafe.Pointer(hook.UnsafeAddr()))
	fd := int((*(**os.File)(unsafe.Pointer(held.UnsafeAddr()))).Fd())
	file := must[int](t)(unix.Dup(fd)) // has the lock, too
	defer unix.Close(file)
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	write := *writeAt
	defer func() { *writeAt = write }()
	*writeAt = func(b []byte, at int64) (int, error) {
		n, err := write(b, at)
		if at < int64(2*pageSize) && err == nil {
			err = unix.Dup2(pipe[1], fd)
		}
		return n, err
	}
	err := commit()
	if dupErr := unix.Dup2(file, fd); dupErr != nil {
		t.Fatal(dupErr)
	}
	return err
}
