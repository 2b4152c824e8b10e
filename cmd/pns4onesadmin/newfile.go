package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pns4ones/pns4ones/config/files"
)

// writeNewFile writes a file with keys, never over another one: that may be the only
// copy of somebody's keys.
func writeNewFile(path string, content []byte) error {
	return newFileError(path, files.WriteNew(path, content))
}

// newFileError says why a new file is not there; nil if it is.
func newFileError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return failure("admin.file_exists", "path", path)
	case err != nil:
		return failure("admin.cannot_write", "path", path, "error", files.WithoutPath(err))
	}
	return nil
}

// reservedFile is a new file that gets its name when its content is there. What can be
// wrong with the place is known before.
type reservedFile struct {
	path string
	file *os.File // under another name, readable by its owner alone
}

// reserveFile makes one. End it with discard.
func reserveFile(path string) (*reservedFile, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, newFileError(path, fs.ErrExist)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-")
	if err != nil {
		return nil, newFileError(path, err)
	}
	return &reservedFile{path, file}, nil
}

// publish writes the content to disk and gives the file its name, never over another.
func (f *reservedFile) publish(content []byte) error {
	_, err := f.file.Write(content)
	if err == nil {
		err = f.file.Sync()
	}
	if closeErr := f.file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		if err = os.Link(f.file.Name(), f.path); err != nil && !errors.Is(err, fs.ErrExist) {
			err = files.WriteNew(f.path, content) // a file system without hard links
		}
	}
	return newFileError(f.path, err)
}

// discard removes what has no name of its own yet.
func (f *reservedFile) discard() {
	f.file.Close() // an error means that publish closed it
	os.Remove(f.file.Name())
}
