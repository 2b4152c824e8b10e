//go:build unix

// Package sockettest makes places for the control channels of tests.
package sockettest

import (
	"net"
	"path/filepath"
	"testing"
)

// Path returns where a control channel can be opened. It is short enough for a
// socket however long the test's name.
func Path(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }

// Stale leaves a socket as a crashed daemon does.
func Stale(t testing.TB, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}
