// Package files is what the programs need of files beyond package os: a file
// written whole or not at all, an error that leaves the path to whoever says it,
// and whether everybody can read a secret.
//
// It knows nothing of settings; config, the certificate and both programs use it.
package files

import (
	"errors"
	"io/fs"
	"os"
)

// WriteNew writes a file that only its owner can read, whole or not at all, and on
// disk when it returns. It never replaces a file: the error then wraps fs.ErrExist.
func WriteNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = MakePrivate(path); err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// WithoutPath returns what is wrong with a file without the path, which package os
// puts into its errors and which a person is told beside it.
func WithoutPath(err error) error {
	if where, ok := errors.AsType[*fs.PathError](err); ok {
		return where.Err
	}
	return err
}
