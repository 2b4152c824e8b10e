//go:build unix

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files/filestest"
)

func TestRefusesAPasswordThatEverybodyCanRead(t *testing.T) {
	folder := filestest.OpenFolder(t)
	file := filepath.Join(folder, "pns4ones.toml")
	content := "ssl_mode = \"FromFileWithPassword\"\nssl_certificate = \"site.pfx\"\nssl_certificate_password = \"hush\"\n"
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	options := config.LoadOptions{Args: []string{"-config", file}, Getenv: noEnv, Paths: paths(t)}
	_, err := config.Load(options)
	if err == nil || !strings.Contains(err.Error(), file+":3: ssl_certificate_password: ") ||
		!strings.Contains(err.Error(), "chmod o= "+file) || strings.Contains(err.Error(), "hush") {
		t.Errorf("refused with %v", err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(options); err != nil {
		t.Error(err)
	}
}
