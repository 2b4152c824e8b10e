package main

import (
	"os"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl/dump"
)

const extension = "../extension"

// TestTheExtensionKeepsAllRules checks the dump that is in the repository.
func TestTheExtensionKeepsAllRules(t *testing.T) {
	t.Parallel()
	problems, err := dump.Check(os.DirFS(extension), profile())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}
