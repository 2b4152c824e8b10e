package netsvc

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/files"
)

// OldKeys is what became of the old product's keys file in an Open that made the
// database. Its zero value: the database was there.
type OldKeys struct {
	Looked []string          // where it was looked for, in this order
	Report *app.ImportReport // nil: it was in none of these places
	File   string            // what Report is of
	Other  []string          // further files, with apps that are not in File
}

// oldKeys is what Open knows of the old product's keys files.
type oldKeys struct {
	OldKeys
	files []oldKeysFile // those that are there
}

type oldKeysFile struct {
	path    string
	content []byte
	err     error // why it cannot be read
}

// OldKeys returns what was taken over from the old product by this Open.
func (s *Server) OldKeys() OldKeys { return s.oldKeys.OldKeys }

// readOldKeys reads the keys files of the old product if there is no database yet:
// before it is made, so that a start which fails over them can be repeated.
func (s *Server) readOldKeys(database string) error {
	if _, err := os.Lstat(database); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, path := range s.options.OldKeys {
		s.oldKeys.Looked = append(s.oldKeys.Looked, path)
		content, err := files.Read(path, app.MaxImportBytes)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, files.ErrTooLarge) {
			err = app.ErrImportTooLarge
		}
		if err != nil && len(s.oldKeys.files) == 0 {
			return &OldKeysError{Path: path, Err: err}
		}
		s.oldKeys.files = append(s.oldKeys.files, oldKeysFile{path, content, err})
	}
	return nil
}

// importOldKeys takes over the apps of the first keys file into a new database. A
// damaged entry is logged and skipped; the file stays as it is. A further file with
// other apps is named.
func (s *Server) importOldKeys() error {
	if len(s.oldKeys.files) == 0 {
		return nil
	}
	first := s.oldKeys.files[0]
	report, err := s.apps.Import(bytes.NewReader(first.content))
	if err != nil {
		return &OldKeysError{Path: first.path, Err: err}
	}
	s.oldKeys.Report, s.oldKeys.File = &report, first.path
	s.logger.Info("old keys imported", slog.String("file", first.path),
		slog.Int("apps", len(report.Imported)), slog.Int("problems", len(report.Problems)))
	for _, p := range report.Problems {
		s.logger.Warn("entry of the old keys file", slog.String("file", first.path),
			slog.Int("line", p.Line), slog.String("problem", string(p.Code)), slog.String("detail", p.Detail))
	}
	for _, other := range s.oldKeys.files[1:] {
		if other.err == nil && !s.apps.WouldImport(other.content) {
			continue
		}
		s.oldKeys.Other = append(s.oldKeys.Other, other.path)
		s.logger.Warn("another old keys file with other apps was not imported",
			slog.String("file", other.path), slog.String("imported", first.path), slog.Any("error", other.err))
	}
	s.oldKeys.files = nil // they hold secrets
	return nil
}
