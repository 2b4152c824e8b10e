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
	for setting, content := range map[string]string{
		"ssl_certificate_password": "ssl_mode = \"FromFileWithPassword\"\nssl_certificate = \"site.pfx\"\n" +
			"ssl_certificate_password = \"hush\"\n",
		"cluster_nats": "\n\ncluster_nats = [\"nats://me:hush@one\"]\n",
	} {
		t.Run(setting, func(t *testing.T) { refusesExposed(t, setting, content) })
	}
}

// refusesExposed expects a file to be refused whose third line has a secret.
func refusesExposed(t *testing.T, setting, content string) {
	folder := filestest.OpenFolder(t)
	file := filepath.Join(folder, "pns4ones.toml")
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	options := config.LoadOptions{Args: []string{"-config", file}, Getenv: noEnv, Paths: paths(t)}
	_, err := config.Load(options)
	if err == nil || !strings.Contains(err.Error(), file+":3: "+setting+": ") ||
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
