// Command fold moves what the fuzzers have found into the archives of their targets
// (see package corpus). It looks below the current folder, and leaves inputs alone
// that have been given a name.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// found is the name of an input that go test has named.
var found = regexp.MustCompile(`^[0-9a-f]{16}$`)

func main() {
	if err := fold("."); err != nil {
		fmt.Fprintln(os.Stderr, "fold:", err)
		os.Exit(1)
	}
}

func fold(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || !strings.HasSuffix(filepath.Dir(path), filepath.Join("testdata", "fuzz")) {
			return err
		}
		return foldTarget(path)
	})
}

// foldTarget moves the inputs in the folder of a target into its archive.
func foldTarget(folder string) error {
	path := folder + ".txtar"
	archive, err := txtar.ParseFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		archive, err = &txtar.Archive{}, nil
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var moved []string
	for _, entry := range entries {
		if !found.MatchString(entry.Name()) {
			continue
		}
		input := filepath.Join(folder, entry.Name())
		content, err := os.ReadFile(input)
		if err != nil {
			return err
		}
		archive.Files = append(archive.Files, txtar.File{Name: entry.Name(), Data: content})
		moved = append(moved, input)
	}
	if len(moved) == 0 {
		return nil
	}
	slices.SortFunc(archive.Files, func(a, b txtar.File) int { return strings.Compare(a.Name, b.Name) })
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		return err
	}
	for _, input := range moved {
		if err := os.Remove(input); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d more\n", path, len(moved))
	return nil
}
