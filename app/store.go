package app

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The schema: bucket meta with schema_version in decimal; bucket apps with a record
// (see appRecord) for each app under its id.
const schemaVersion = 1

var (
	bucketMeta       = []byte("meta")
	bucketApps       = []byte("apps")
	keySchemaVersion = []byte("schema_version")
)

// store is where apps are kept: an open bbolt file.
type store struct {
	db *bbolt.DB
	// broken is set when bbolt panicked over the file, because someone else wrote
	// into it: it is then left with its locks held and must not be touched.
	broken error
}

// load reads all apps. The error is ErrNewer, or ErrDamaged naming the record.
func (s *store) load() (apps []*App, err error) {
	err = guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			apps, err = readApps(tx)
			return err
		})
	})
	return apps, err
}

// commit stores and removes apps in one transaction; it is on disk when commit
// returns nil.
func (s *store) commit(put []*App, remove []string) error {
	if s.broken != nil {
		return s.broken
	}
	err := guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error { return writeApps(tx, put, remove) })
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, ErrDamaged):
		s.broken = err
	}
	return fmt.Errorf("%w: %w", ErrNotStored, err)
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
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	return content.Bytes(), err
}

func (s *store) close() error {
	if s.broken != nil {
		return nil // the end of the process closes it
	}
	return s.db.Close()
}

func initSchema(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketApps); err != nil {
		return err
	}
	return meta.Put(keySchemaVersion, []byte(strconv.Itoa(schemaVersion)))
}

func writeApps(tx *bbolt.Tx, put []*App, remove []string) error {
	bucket := tx.Bucket(bucketApps)
	for _, id := range remove {
		if err := bucket.Delete([]byte(id)); err != nil {
			return err
		}
	}
	// In the order of the keys: bbolt takes an import of thousands of random ids
	// ten times faster so.
	put = slices.SortedFunc(slices.Values(put), func(a, b *App) int { return strings.Compare(a.ID, b.ID) })
	for _, a := range put {
		line, err := encodeApp(a)
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(a.ID), line); err != nil {
			return err
		}
	}
	return nil
}

func readApps(tx *bbolt.Tx) ([]*App, error) {
	if err := checkSchema(tx); err != nil {
		return nil, err
	}
	bucket := tx.Bucket(bucketApps)
	if bucket == nil {
		return nil, fmt.Errorf("%w: it has no list of apps", ErrDamaged)
	}
	var apps []*App
	holders := make(map[string]string) // server key → id
	err := bucket.ForEach(func(id, line []byte) error {
		a, err := decodeApp(line)
		if err != nil {
			return fmt.Errorf("%w: record of app %s: %w", ErrDamaged, quoteShort(string(id)), err)
		}
		if a.ID != string(id) {
			return fmt.Errorf("%w: record of app %s: it is of another app, %s", ErrDamaged, quoteShort(string(id)), a.ID)
		}
		for _, k := range a.ServerKeys {
			if other, taken := holders[k.Key]; taken {
				return fmt.Errorf("%w: record of app %s: it has a server key of app %s", ErrDamaged, a.ID, other)
			}
			holders[k.Key] = a.ID
		}
		apps = append(apps, a)
		return nil
	})
	return apps, err
}

func checkSchema(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: it is not a database of this service", ErrDamaged)
	}
	version, err := strconv.Atoi(string(meta.Get(keySchemaVersion)))
	switch {
	case err != nil || version < 1:
		return fmt.Errorf("%w: its schema version cannot be read", ErrDamaged)
	case version > schemaVersion:
		return fmt.Errorf("%w: its schema version is %d, this program knows %d and below",
			ErrNewer, version, schemaVersion)
	}
	return nil
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
