//go:build unix

package control_test

import (
	"path/filepath"
	"testing"
)

// newPath returns where a control channel can be opened. It is short enough for a
// socket however long the test's name.
func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }
