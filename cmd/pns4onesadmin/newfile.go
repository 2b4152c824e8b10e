package main

import (
	"errors"
	"io/fs"
	"os"
)

// writeNewFile writes a file that only its owner may read: whole or not at all,
// and never over another one, which may be the only copy of somebody's keys.
func writeNewFile(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return failure("admin.file_exists", "path", path)
	}
	if err == nil {
		err = fill(file, content)
	}
	if err != nil {
		return failure("admin.cannot_write", "path", path, "error", reason(err))
	}
	return nil
}

// fill writes a new file, or removes it.
func fill(file *os.File, content []byte) error {
	_, err := file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// reason is an error without the path, which is said beside it.
func reason(err error) string {
	if where, ok := errors.AsType[*fs.PathError](err); ok {
		return where.Err.Error()
	}
	return err.Error()
}
