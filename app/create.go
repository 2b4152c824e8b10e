package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/config/files"
)

// createDatabase makes an empty database at path, with its folder. It appears there
// whole or not at all, whenever we are killed; if someone else's appears first, that
// one stays and created is false.
func createDatabase(path string) (created bool, err error) {
	folder := filepath.Dir(path)
	if err := makeOwnFolder(folder); err != nil {
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
	if err := files.MakePrivate(name); err != nil {
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

// makeOwnFolder makes the folder of the database, for nobody else, if it is missing.
func makeOwnFolder(folder string) error {
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolder(folder); err != nil {
		return err
	}
	return files.MakePrivate(folder)
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
