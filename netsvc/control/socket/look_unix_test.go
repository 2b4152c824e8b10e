//go:build unix

package socket_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

func TestLook(t *testing.T) {
	folder := t.TempDir()
	file, open := filepath.Join(folder, "file"), filepath.Join(folder, "open")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(open, 0o700), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(folder, "control.sock"):                   nil,
		filepath.Join(folder, "new", "folders", "control.sock"): nil,
		filepath.Join(file, "control.sock"):                     syscall.ENOTDIR,
		filepath.Join(file, "new", "control.sock"):              syscall.ENOTDIR,
		filepath.Join(open, "control.sock"):                     socket.ErrOpenFolder,
	} {
		if err := socket.Look(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it made a folder")
	}
	if socket.Look(filepath.Join(folder, strings.Repeat("x", 200))) == nil {
		t.Error("a path that is too long passes")
	}
}
