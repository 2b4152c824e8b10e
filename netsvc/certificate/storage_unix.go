//go:build !windows

package certificate

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// storageRoots are the folders in which distributions keep certificates, each
// with a folder certs and a folder private: Debian's and Red Hat's.
func storageRoots() []string { return []string{"/etc/ssl", "/etc/pki/tls"} }

func storageSource(name string) (source, error) { return storageIn(storageRoots(), name) }

// storageIn finds certs/NAME.pem or certs/NAME.crt with private/NAME.key in the
// first root that has both. It looks again each time it reads, so that a
// certificate may move.
func storageIn(roots []string, name string) (source, error) {
	if name == "" {
		return source{}, &Error{Problem: ProblemNotNamed}
	}
	if strings.ContainsRune(name, '/') {
		return source{}, &Error{Path: name, Problem: ProblemStorageName}
	}
	var places []storagePlace
	var paths []string
	for _, root := range roots {
		key := filepath.Join(root, "private", name+".key")
		for _, extension := range []string{".pem", ".crt"} {
			certificate := filepath.Join(root, "certs", name+extension)
			places = append(places, storagePlace{certificate, key})
			paths = append(paths, certificate)
		}
		paths = append(paths, key)
	}
	return source{paths: paths, read: func() (*tls.Certificate, error) { return readStored(name, places, paths) }}, nil
}

type storagePlace struct{ certificate, key string }

func readStored(name string, places []storagePlace, paths []string) (*tls.Certificate, error) {
	keyless := ""
	for _, p := range places {
		if absent(p.certificate) {
			continue
		}
		if !absent(p.key) {
			return readPEM(p.certificate, p.key)
		}
		if keyless == "" {
			keyless = p.key
		}
	}
	if keyless != "" {
		return nil, &Error{Path: keyless, Problem: ProblemNotFound}
	}
	return nil, &Error{Path: name, Problem: ProblemNotInStorage, Tried: paths}
}

// absent is true only for what is certainly not there: a folder that may not
// be entered (Debian's private) must be told as such by reading.
func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
