package app

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app/internal/pages"
)

// store is where apps are kept: an open bbolt file. Its methods are called in the
// writer's turn.
type store struct {
	db   *bbolt.DB
	file *os.File // of db
	// update runs one transaction for writing. It is (*bbolt.DB).Update, but for
	// tests, which put a disk in front of it that stalls or fails.
	update   func(func(*bbolt.Tx) error) error
	identity Identity // zero: the file has none
	// broken is set when bbolt panicked over the file, because someone else wrote
	// into it: it is then left with its locks held and must not be touched.
	broken error
}

func newStore(db *bbolt.DB, file *os.File) *store {
	return &store{db: db, file: file, update: db.Update}
}

// load reads everything. The error is ErrNewer, or ErrDamaged naming the record.
func (s *store) load() (there *contents, err error) {
	err = guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			there, err = readContents(bucketsIn(tx))
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	s.identity = there.identity
	return there, nil
}

// commit stores a change in one transaction; it is on disk when commit returns nil.
// before is the apps that were in the file so far.
//
// The error is ErrNotStored if it is certain that the change is not in the file.
// Otherwise it is ErrOutcomeUnknown: of a write that the system calls failed, it may
// still have kept everything in its cache, where whoever opens the file next finds
// it. Then there is what is in the file, or nil if that cannot be read.
func (s *store) commit(c change, before []*App) (there *contents, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	var id uint64 // of the transaction; 0 until bbolt was given all of the change
	err = guarded(func() error {
		return s.update(func(tx *bbolt.Tx) error {
			if err := c.write(tx); err != nil {
				return err
			}
			id = uint64(tx.ID())
			return nil
		})
	})
	if errors.Is(err, ErrDamaged) {
		s.broken = err
	}
	switch {
	case err == nil:
		if !c.identity.IsZero() {
			s.identity = c.identity
		}
		return nil, nil
	case id == 0:
		return nil, fmt.Errorf("%w: %w", ErrNotStored, err)
	case s.broken != nil:
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	there, readErr := s.load()
	switch {
	case readErr != nil:
		s.broken = readErr
		return nil, fmt.Errorf("%w: %w: %w", ErrOutcomeUnknown, err, readErr)
	case s.lacks(id) && sameApps(there.apps, before):
		return nil, fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	return there, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// lacks reports whether the file proves that this transaction did not get as far as
// to its meta page, without which it is nothing.
func (s *store) lacks(id uint64) bool {
	metas, err := pages.Transactions(s.file)
	return err == nil && metas[0] < id && metas[1] < id
}

// backup returns the database as it is on disk.
func (s *store) backup() ([]byte, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	var content bytes.Buffer
	err := guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(&content)
			return err
		})
	})
	return content.Bytes(), err
}

// close lets go of the file. The error is ErrDamaged if that is left to the end of
// the process.
func (s *store) close() error {
	if s.broken != nil {
		return s.broken
	}
	return s.db.Close()
}

// guarded turns a panic of bbolt over a broken file, and the fault of touching a
// part of the map that has no file behind it any more, into ErrDamaged.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, problem)
		}
	}()
	return f()
}
