// Package filestest makes the folders of tests that are about who can read a file.
package filestest

import (
	"os"
	"testing"
)

// OpenFolder returns a folder that every user can enter, as those of testing.T are not. It
// goes with the test. Its path is short enough for a socket in it.
func OpenFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "pns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}
