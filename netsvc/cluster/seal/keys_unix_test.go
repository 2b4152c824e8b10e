//go:build unix

package seal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config/files/filestest"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

func TestAKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(filestest.OpenFolder(t), "cluster.key")
	if _, err := seal.WriteNewKey(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("made with mode %v (%v)", info.Mode(), err)
	}
	if _, err := seal.ReadKeys(path); err != nil {
		t.Errorf("as it was made: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := seal.ReadKeys(path)
	wrong, ok := errors.AsType[*seal.KeyError](err)
	if !ok || wrong.Problem != seal.KeyFileExposed || !strings.Contains(err.Error(), "chmod o=") {
		t.Errorf("for everybody to read: %v", err)
	}
}
