package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/config/files"
)

func TestReadsRegularFilesOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content, err := files.Read(path, 5); err != nil || string(content) != "12345" {
		t.Errorf("got %q, %v", content, err)
	}
	for name, c := range map[string]struct {
		path  string
		limit int64
		want  error
	}{
		"larger than the limit": {path, 4, files.ErrTooLarge},
		"a folder":              {filepath.Dir(path), 5, files.ErrNotRegular},
		"a device":              {os.DevNull, 5, files.ErrNotRegular},
		"nothing":               {path + ".not", 5, fs.ErrNotExist},
	} {
		if _, err := files.Read(c.path, c.limit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
