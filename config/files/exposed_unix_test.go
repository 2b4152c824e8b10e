//go:build unix

package files_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/files/filestest"
)

func TestExposedGoesByTheFileAndItsFolders(t *testing.T) {
	folder := filestest.OpenFolder(t)
	closed := filepath.Join(folder, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		mode os.FileMode
		want bool
	}{
		{filepath.Join(folder, "open"), 0o644, true},
		{filepath.Join(folder, "group"), 0o640, false},
		{filepath.Join(folder, "own"), 0o600, false},
		{filepath.Join(closed, "inside"), 0o644, false},
	} {
		if err := os.WriteFile(test.name, nil, test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(test.name, test.mode); err != nil {
			t.Fatal(err)
		}
		if got := files.Exposed(test.name); got != test.want {
			t.Errorf("%s with mode %o: exposed %t, want %t", test.name, test.mode, got, test.want)
		}
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(closed, "inside"), link); err != nil {
		t.Fatal(err)
	}
	if files.Exposed(link) {
		t.Error("a link to a file that nobody can get at is exposed")
	}
	if files.Exposed(filepath.Join(folder, "nothing")) {
		t.Error("a file that is not there is exposed")
	}
}
