// Package sealtest makes keys of a cluster for tests.
package sealtest

import (
	"path/filepath"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Keys makes a key file and reads it.
func Keys(t testing.TB) *seal.Keys {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.key")
	if _, err := seal.WriteNewKey(path); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
