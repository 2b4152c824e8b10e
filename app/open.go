package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pns4ones/pns4ones/app/internal/pages"
)

// Why a database is refused, for errors.Is. A permission that is missing is
// fs.ErrPermission.
var (
	// ErrLocked: another process has the database open.
	ErrLocked = errors.New("the database is in use by another process")
	// ErrNewer: the database was made by a newer version of the program.
	ErrNewer = errors.New("the database is of a newer version")
	// ErrDamaged: the file is not a whole database of this service.
	ErrDamaged = errors.New("the database is damaged")
)

const defaultLockWait = 500 * time.Millisecond

// Open opens the database at path, and makes it, with its folder, when nothing is
// there. The error is ErrLocked, ErrNewer, ErrDamaged, fs.ErrPermission, or another
// one of the file system; a file that is refused stays as it was, byte for byte.
//
// A write that was torn by a loss of power is no damage: the state before it, which
// is the last one that was acknowledged, is there.
func Open(path string, o Options) (*Registry, error) {
	r := &Registry{now: o.Now, changed: o.Changed}
	if r.now == nil {
		r.now = time.Now
	}
	apps, err := r.open(path, cmp.Or(o.LockWait, defaultLockWait))
	if err != nil {
		var where *fs.PathError
		if errors.As(err, &where) && where.Path == path {
			err = where.Err // the path is said once
		}
		return nil, fmt.Errorf("opening the database: %s: %w", path, err)
	}
	r.current.Store(newSnapshot(apps))
	return r, nil
}

func (r *Registry) open(path string, lockWait time.Duration) ([]*App, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r.created, err = createDatabase(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder, not a file")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	if err := checkDatabase(path, lockWait); err != nil {
		return nil, err
	}
	db, _, err := openBolt(path, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return nil, err
	}
	// Read again, now under the exclusive lock: between the check and here,
	// another process could have had its turn.
	r.store = &store{db: db}
	apps, err := r.store.load()
	if err != nil {
		r.store.close()
		return nil, err
	}
	return apps, nil
}

// checkDatabase proves, without any right to write, that the file can be opened for
// writing: opening a broken one could change it. The shared lock it holds
// meanwhile conflicts with a running service, as it should.
func checkDatabase(path string, lockWait time.Duration) error {
	db, file, err := openBolt(path, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := pages.Check(file); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	_, err = (&store{db: db}).load()
	return err
}

// openBolt opens a file that exists, and tells in our terms why it cannot. The file
// belongs to db.
func openBolt(path string, o *bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := openExisting(name, flag, mode)
		file = f
		return f, err
	}
	err = guarded(func() error {
		db, err = bbolt.Open(path, 0o600, o)
		return err
	})
	var system syscall.Errno
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, ErrLocked
	case errors.Is(err, ErrDamaged):
		if file != nil {
			file.Close() // bbolt panicked and left it open, with its lock
		}
		return nil, nil, err
	case errors.As(err, &system):
		return nil, nil, err
	}
	return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// openExisting never makes a file, and keeps bbolt from an empty one, which it
// would take for one to be filled.
func openExisting(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = fmt.Errorf("%w: the file is empty", ErrDamaged)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// createDatabase makes an empty database at path, with its folder. It appears there
// whole or not at all, whenever we are killed; if someone else's appears first, that
// one stays and created is false.
func createDatabase(path string) (created bool, err error) {
	folder := filepath.Dir(path)
	if err := makeFolder(folder); err != nil {
		return false, err
	}
	temporary, err := os.CreateTemp(folder, "."+filepath.Base(path)+".new-")
	if err != nil {
		return false, err
	}
	name := temporary.Name()
	defer os.Remove(name)
	if err := temporary.Close(); err != nil {
		return false, err
	}
	db, err := bbolt.Open(name, 0o600, nil)
	if err != nil {
		return false, err
	}
	err = db.Update(initSchema)
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return false, err
	}
	switch err := publish(name, path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, syncFolder(folder)
}

// publish gives a finished file its name, never over another file. Where there are
// no hard links (FAT, some network file systems), it renames instead, and a second
// process that does the same at the same moment may win.
func publish(temporary, path string) error {
	err := os.Link(temporary, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, statErr := os.Lstat(path); statErr == nil {
		return fs.ErrExist
	}
	return os.Rename(temporary, path)
}

// makeFolder makes a folder, and those above it, so that they survive a loss of power.
func makeFolder(folder string) error {
	_, err := os.Stat(folder)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(folder)
	if err := makeFolder(above); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(above)
}
