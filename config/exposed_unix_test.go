//go:build unix

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config"
)

// openFolder is a folder that everybody can enter.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "exposed")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestExposedGoesByTheFileAndItsFolders(t *testing.T) {
	folder := openFolder(t)
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
		if got := config.Exposed(test.name); got != test.want {
			t.Errorf("%s with mode %o: exposed %t, want %t", test.name, test.mode, got, test.want)
		}
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(closed, "inside"), link); err != nil {
		t.Fatal(err)
	}
	if config.Exposed(link) {
		t.Error("a link to a file that nobody can get at is exposed")
	}
	if config.Exposed(filepath.Join(folder, "nothing")) {
		t.Error("a file that is not there is exposed")
	}
}

func TestRefusesAPasswordThatEverybodyCanRead(t *testing.T) {
	folder := openFolder(t)
	file := filepath.Join(folder, "pns4ones.toml")
	content := "ssl_mode = \"FromFileWithPassword\"\nssl_certificate = \"site.pfx\"\nssl_certificate_password = \"hush\"\n"
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	options := config.LoadOptions{Args: []string{"-config", file}, Getenv: noEnv, Paths: paths(t)}
	_, err := config.Load(options)
	if err == nil || !strings.Contains(err.Error(), file+":3: ssl_certificate_password: ") || !strings.Contains(err.Error(), "chmod o= "+file) || strings.Contains(err.Error(), "hush") {
		t.Errorf("refused with %v", err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(options); err != nil {
		t.Error(err)
	}
}
