package main

import (
	"errors"
	"io/fs"

	"github.com/pns4ones/pns4ones/config/files"
)

// writeNewFile writes a file with keys, never over another one: that may be the only
// copy of somebody's keys.
func writeNewFile(path string, content []byte) error {
	err := files.WriteNew(path, content)
	switch {
	case errors.Is(err, fs.ErrExist):
		return failure("admin.file_exists", "path", path)
	case err != nil:
		return failure("admin.cannot_write", "path", path, "error", files.WithoutPath(err))
	}
	return nil
}
