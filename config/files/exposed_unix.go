//go:build unix

package files

import (
	"os"
	"path/filepath"
)

// Exposed reports whether every user of this machine can read the file: its own mode
// lets them, and so do the folders above it. A file that is not there is not exposed.
func Exposed(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	// Whoever knows the file by another name goes by where it really is.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	const readable, enterable = 0o004, 0o001
	if info, err := os.Stat(path); err != nil || info.Mode()&readable == 0 {
		return false
	}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		if info, err := os.Stat(folder); err != nil || info.Mode()&enterable == 0 {
			return false
		}
		if folder == filepath.Dir(folder) {
			return true
		}
	}
}
