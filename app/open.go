package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

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

// Open opens the database at path, and makes it, with its folder, when nothing is
// there. The error is ErrLocked, ErrNewer, ErrDamaged, fs.ErrPermission, ErrAnother
// or fs.ErrNotExist (see [Options]), or another one of the file system; a file that
// is refused stays as it was, byte for byte.
//
// A write that was torn by a loss of power is no damage: the state before it, which
// is the last one that was acknowledged, is there. [Registry.LastChangeInDoubt] says
// of it nevertheless, for a disk that damages what it had looks the same.
func Open(path string, o Options) (*Registry, error) {
	f, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	r := newRegistry(o)
	r.store, r.created = f.store, f.created
	r.identity = cmp.Or(f.identity, o.Expect)
	r.inDoubt.Store(f.inDoubt)
	r.setMembership(&f.member)
	r.current.Store(newSnapshot(f.apps, f.versions))
	return r, nil
}

// opened is a database file that was opened.
type opened struct {
	contents
	store   *store
	created bool
	inDoubt bool // see Registry.LastChangeInDoubt
}

func openFile(path string, o Options) (*opened, error) {
	f, err := openAt(path, o)
	if err != nil {
		return nil, openError(path, err)
	}
	return f, nil
}

// openError says the path once.
func openError(path string, err error) error {
	var where *fs.PathError
	if errors.As(err, &where) && where.Path == path {
		err = where.Err
	}
	return fmt.Errorf("opening the database: %s: %w", path, err)
}

func openAt(path string, o Options) (*opened, error) {
	f := new(opened)
	err := checkFile(path)
	if errors.Is(err, fs.ErrNotExist) && !o.NeverCreate && o.Expect.IsZero() {
		f.created, err = createDatabase(path)
	}
	if err != nil {
		return nil, err
	}
	if err := checkDatabase(path, o); err != nil {
		return nil, err
	}
	db, file, err := openBolt(path, &bbolt.Options{Timeout: o.lockWait()})
	if err != nil {
		return nil, err
	}
	// Read again, now under the exclusive lock: between the check and here,
	// another process could have had its turn.
	f.store = newStore(db, file)
	there, err := f.store.load()
	if err == nil {
		err = checkIdentity(there.identity, o.Expect)
	}
	if err != nil {
		f.store.close()
		return nil, err
	}
	f.contents, f.inDoubt = *there, lastChangeInDoubt(file)
	return f, nil
}

// lastChangeInDoubt reports whether one of the two meta pages is damaged, which the
// transactions use by turns. bbolt goes on from the other one without a word: if the
// damaged one was the newer, one transaction back. What it was cannot be told from a
// page that does not even have its checksum.
func lastChangeInDoubt(file *os.File) bool {
	_, err := pages.Transactions(file)
	return err != nil
}

// checkFile reports what is no regular file, or not there.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder, not a file")
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	return nil
}

// checkIdentity compares what is in the file with what is expected, as far as both
// are known.
func checkIdentity(found, expected Identity) error {
	if found.IsZero() || expected.IsZero() || found == expected {
		return nil
	}
	return fmt.Errorf("%w: its identity is %s, expected is %s", ErrAnother, found, expected)
}

// checkDatabase proves, without any right to write, that the file can be opened for
// writing: opening a broken one could change it. The shared lock it holds
// meanwhile conflicts with a running service, as it should.
func checkDatabase(path string, o Options) error {
	db, file, err := openBolt(path, &bbolt.Options{Timeout: o.lockWait(), ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := pages.Check(file); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	there, err := newStore(db, file).load()
	if err != nil {
		return err
	}
	return checkIdentity(there.identity, o.Expect)
}

// openBolt opens a file that exists; its error says in our terms why it cannot. The file
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
