// Package sealtest makes keys of a cluster for tests.
package sealtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Keys makes a key and reads it.
func Keys(t testing.TB) *seal.Keys {
	t.Helper()
	return Parse(t, Text(t))
}

// Text is the text of a new key file, with one key.
func Text(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.key")
	if _, err := seal.WriteNewKey(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Parse reads the keys of several files, as if they were one.
func Parse(t testing.TB, texts ...string) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys("cluster.key", []byte(strings.Join(texts, "")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
