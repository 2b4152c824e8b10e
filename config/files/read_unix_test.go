//go:build unix

package files_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pns4ones/pns4ones/config/files"
)

func TestDoesNotWaitForWhoeverWritesIntoAPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Read(path, 5); !errors.Is(err, files.ErrNotRegular) {
		t.Errorf("got %v, want %v", err, files.ErrNotRegular)
	}
}
