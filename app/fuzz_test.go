package app_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// fuzzRegistry is on a file system in memory where there is one: what is fuzzed
// is not the disk.
func fuzzRegistry(f *testing.F, c *clock) *app.Registry {
	f.Helper()
	folder := f.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "pns4ones-fuzz-"); err == nil {
		f.Cleanup(func() { os.RemoveAll(memory) })
		folder = memory
	}
	return open(f, filepath.Join(folder, "pns4ones.db"), app.Options{Now: c.now})
}

// FuzzImport: whatever the file, what was imported can be exported and imported
// again as it is; nothing else is there; problems are in the file.
func FuzzImport(f *testing.F) {
	for _, file := range []string{
		"", "#", entryA, "\ufeff" + oldFile(entryA, entryB),
		strings.ReplaceAll(oldFile(entryA, entryB, entryC), "\n", "\r\n"),
		oldEntry("A", idA, keyA, clientA, "dG9rZW4=:638712345678901234"),
		oldEntry("", strings.ToUpper(idA), keyA, clientA, "", "x:y", "z"),
		entryA + oldEntry("A2", idA, keyB, clientB) + oldEntry("B", idB, keyA, clientB),
		"stray\n" + oldEntry("\x00tab\t", idA, keyA, clientA),
		oldEntry(strings.Repeat("ы", 300), idA, keyA, clientA),
		oldEntry("\xd1\xea", idA, keyA, clientA) + "#B\r\n" + idB,
	} {
		f.Add([]byte(file))
	}
	c := newClock()
	r, again := fuzzRegistry(f, c), fuzzRegistry(f, c)
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		report, err := r.Import(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		defer empty(t, r)
		lines := bytes.Count(file, []byte("\n")) + 1
		for _, p := range report.Problems {
			if p.Line < 1 || p.Line > lines || p.Code == "" || p.Detail == "" {
				t.Errorf("problem %+v in a file of %d lines", p, lines)
			}
		}
		if len(report.Present) != 0 || len(report.Imported) != len(r.List()) {
			t.Fatalf("%d imported, %d present, %d there", len(report.Imported), len(report.Present), len(r.List()))
		}
		var out bytes.Buffer
		if err := r.Export(&out); err != nil {
			t.Fatal(err)
		}
		second, err := again.Import(&out)
		if err != nil || second.Problems != nil || len(second.Imported) != len(report.Imported) {
			t.Fatalf("what was exported: %v, problems %v, %d apps of %d", err, second.Problems, len(second.Imported),
				len(report.Imported))
		}
		defer empty(t, again)
		for i, a := range report.Imported {
			b := second.Imported[i]
			if a.ID != b.ID || a.Title != b.Title || a.ServerKeys[0].Key != b.ServerKeys[0].Key ||
				a.ClientKeys[0].Key != b.ClientKeys[0].Key {
				t.Errorf("%v became %v, or its keys changed", a, b)
			}
		}
	})
}

func empty(t *testing.T, r *app.Registry) {
	t.Helper()
	for _, a := range r.List() {
		if err := r.Remove(a.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzCheckToken: no text is a token but those that were handed out, and these only
// as they are and in their time.
func FuzzCheckToken(f *testing.F) {
	c := newClock()
	r := fuzzRegistry(f, c)
	a := must[*app.App](f)(r.Create("a"))
	a = must[*app.App](f)(r.RotateServerKey(a.ID, 10*time.Hour))
	for _, s := range []string{
		"", "A", strings.Repeat("A", 64), strings.Repeat("_", 64), strings.Repeat("=", 64),
		strings.Repeat("ы", 32), strings.Repeat("\n", 64), idA, keyA, clientA,
	} {
		f.Add(s, uint8(0), uint8(1))
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, text string, at, flip uint8) {
		if got, err := r.CheckToken(text); got != nil || !errors.Is(err, app.ErrTokenInvalid) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		for _, k := range a.ServerKeys {
			token := must[app.Token](t)(r.Authorize(k.Key, time.Hour)).Value
			if got, err := r.CheckToken(token); got != a || err != nil {
				t.Errorf("a good token: %v, %v", got, err)
			}
			mutated := []byte(token)
			mutated[int(at)%len(mutated)] ^= flip
			n := min(len(text), len(token))
			for _, forged := range []string{string(mutated), text[:n] + token[n:], token[:len(token)-n] + text[:n],
				token + text, text + token} {
				if forged == token {
					continue
				}
				if got, err := r.CheckToken(forged); got != nil || !errors.Is(err, app.ErrTokenInvalid) {
					t.Errorf("%q, made from a good token: %v, %v", forged, got, err)
				}
			}
		}
	})
}
