package files_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/config/files"
)

func TestWritesANewFileAndNeverReplacesOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	if err := files.WriteNew(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := files.WriteNew(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v, want %v", err, fs.ErrExist)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("the file holds %q (%v), want the first content", got, err)
	}
}

func TestAnErrorWithoutItsPathIsStillTheSameError(t *testing.T) {
	t.Parallel()
	_, err := os.Open(filepath.Join(t.TempDir(), "missing"))
	for _, err := range []error{err, fmt.Errorf("reading the keys: %w", err)} {
		if got := files.WithoutPath(err); got.Error() != fs.ErrNotExist.Error() && !errors.Is(got, fs.ErrNotExist) {
			t.Errorf("%v became %v", err, got)
		} else if _, there := errors.AsType[*fs.PathError](got); there {
			t.Errorf("%v still names the path", got)
		}
	}
	if other := errors.New("other"); files.WithoutPath(other) != other {
		t.Error("another error was changed")
	}
}
