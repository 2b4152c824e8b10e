// Package packaging_test checks that what is written about the tree is true to it.
package packaging_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository, seen from here.
const root = ".."

var (
	cited    = regexp.MustCompile(`(?:§|\bsections?) (\d+(?:\.\d+)*)`)
	standard = regexp.MustCompile(`RFC \d+,? sections? [\d.]+`) // which everybody can read
	heading  = regexp.MustCompile(`(?m)^#+ (\d+(?:\.\d+)*)\.? `)
)

// TestSectionsThatAreCitedExist goes through the comments of all Go files.
func TestSectionsThatAreCitedExist(t *testing.T) {
	t.Parallel()
	found := 0
	for _, lang := range []string{"en", "ru"} {
		page, err := os.ReadFile(filepath.Join("doc", lang, "protocol.md"))
		if err != nil {
			t.Fatal(err)
		}
		sections := map[string]bool{}
		for _, match := range heading.FindAllSubmatch(page, -1) {
			sections[string(match[1])] = true
		}
		eachComment(t, func(where token.Position, text string) {
			if strings.Contains(text, "design.md") {
				t.Errorf("%s cites design.md, which a reader of the repository does not have", where)
			}
			for _, match := range cited.FindAllStringSubmatch(standard.ReplaceAllString(text, ""), -1) {
				found++
				if !sections[match[1]] {
					t.Errorf("%s cites section %s, which %s/protocol.md does not have", where, match[1], lang)
				}
			}
		})
	}
	if found < 50 {
		t.Errorf("only %d citations were found: does the test look for them as they are written?", found)
	}
}

// eachComment calls do with each comment of the repository, in one line.
func eachComment(t *testing.T, do func(where token.Position, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, group := range file.Comments {
			do(files.Position(group.Pos()), strings.Join(strings.Fields(group.Text()), " "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
