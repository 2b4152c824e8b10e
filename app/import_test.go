package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

const (
	idA = "6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f"
	idB = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
	idC = "00000000-0000-0000-0000-00000000000c"

	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB2"
	keyC = "ccccccccccccccccccccccccccccccccCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC3"

	clientA = "IAAAABAAAAAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8="
	clientB = "IAAAABAAAAAQERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	clientC = "IAAAABAAAAAgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk8="
)

// oldEntry is an entry of the old product's file with the lines given.
func oldEntry(title string, lines ...string) string {
	return "#" + title + "\n" + strings.Join(lines, "\n") + "\n"
}

func oldFile(entries ...string) string { return strings.Join(entries, "\n") }

func importFile(t *testing.T, r *app.Registry, file string) app.ImportReport {
	t.Helper()
	return must[app.ImportReport](t)(r.Import(strings.NewReader(file)))
}

// problem is what a test expects of an app.ImportProblem.
type problem struct {
	line int
	code app.ProblemCode
}

func problems(report app.ImportReport) (got []problem) {
	for _, p := range report.Problems {
		got = append(got, problem{p.Line, p.Code})
	}
	return got
}

func titles(apps []*app.App) (titles []string) {
	for _, a := range apps {
		titles = append(titles, a.Title)
	}
	return titles
}

var (
	entryA = oldEntry("A", idA, keyA, clientA)
	entryB = oldEntry("B", idB, keyB, clientB)
	entryC = oldEntry("C", idC, keyC, clientC)
)

func TestImportTakesOverIdsKeysAndTitles(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	report := importFile(t, r, oldFile(
		oldEntry("Склад № 1", idA, keyA, clientA, "d29yZA:638712345678901234"),
		oldEntry("", strings.ToUpper(idB), keyB, clientB),
		entryC))
	if len(report.Problems) != 0 || len(report.Present) != 0 {
		t.Errorf("report: %+v", report)
	}
	want := []struct{ id, title, key, client string }{
		{idA, "Склад № 1", keyA, clientA}, {idB, idB, keyB, clientB}, {idC, "C", keyC, clientC},
	}
	if !slices.Equal(report.Imported, r.List()) {
		t.Errorf("imported %v, there are %v", report.Imported, r.List())
	}
	for i, a := range r.List() {
		w := want[i]
		if a.ID != w.id || a.Title != w.title || a.ServerKeys[0].Key != w.key ||
			a.ClientKeys[0].Key != w.client || a.ClientKeys[0].Generation != 1 {
			t.Errorf("got %v with other keys than in the file, or not %v", a, w.title)
		}
		token := must[app.Token](t)(r.Authorize(w.key, time.Hour))
		if got, err := r.CheckToken(token.Value); got != a || err != nil {
			t.Errorf("%s: a token of its key: %v, %v", w.title, got, err)
		}
	}
}

func TestImportFormsOfTheFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file string }{
		{"plain", oldFile(entryA, entryB, entryC)},
		{"CRLF", strings.ReplaceAll(oldFile(entryA, entryB, entryC), "\n", "\r\n")},
		{"byte order mark", "\ufeff" + oldFile(entryA, entryB, entryC)},
		{"byte order mark and blank lines first", "\ufeff\r\n \n" + oldFile(entryA, entryB, entryC)},
		{"no blank lines", entryA + entryB + entryC},
		{"blank lines everywhere", strings.ReplaceAll(oldFile(entryA, entryB, entryC), "\n", "\n \t\n\n")},
		{"no line end at the end", strings.TrimSpace(oldFile(entryA, entryB, entryC))},
		{"blanks around", oldFile(oldEntry(" A\t", " "+idA, keyA+"\t", clientA+"  "), entryB, entryC)},
		{"tokens", oldFile(entryA+"x:1\n", entryB+":638712345678901234\n", entryC+"a:b:0\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRegistry(t)
			report := importFile(t, r, c.file)
			if got := titles(report.Imported); !slices.Equal(got, []string{"A", "B", "C"}) ||
				len(report.Problems) != 0 {
				t.Errorf("imported %v, problems %v", got, report.Problems)
			}
		})
	}
}

func TestImportSkipsDamagedEntriesAndNamesTheirLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ы", 40_000)
	for _, c := range []struct {
		name  string
		entry string // stands between A and C, from line 6 on
		want  problem
	}{
		{"only a title", "#B\n", problem{6, app.ProblemIncomplete}},
		{"no keys", oldEntry("B", idB), problem{6, app.ProblemIncomplete}},
		{"no client key", oldEntry("B", idB, keyB), problem{6, app.ProblemIncomplete}},
		{"no id", oldEntry("B", keyB, clientB), problem{7, app.ProblemBadID}},
		{"no server key", oldEntry("B", idB, clientB), problem{8, app.ProblemBadServerKey}},
		{"keys swapped", oldEntry("B", idB, clientB, keyB), problem{8, app.ProblemBadServerKey}},
		{"token instead of client key", oldEntry("B", idB, keyB, "x:1"), problem{9, app.ProblemBadClientKey}},
		{"id with a wrong letter", oldEntry("B", "g"+idB[1:], keyB, clientB), problem{7, app.ProblemBadID}},
		{"id without dashes", oldEntry("B", strings.ReplaceAll(idB, "-", ""), keyB, clientB),
			problem{7, app.ProblemBadID}},
		{"id in braces", oldEntry("B", "{"+idB+"}", keyB, clientB), problem{7, app.ProblemBadID}},
		{"short server key", oldEntry("B", idB, keyB[1:], clientB), problem{8, app.ProblemBadServerKey}},
		{"long server key", oldEntry("B", idB, keyB+"b", clientB), problem{8, app.ProblemBadServerKey}},
		{"server key with a dash", oldEntry("B", idB, "-"+keyB[1:], clientB), problem{8, app.ProblemBadServerKey}},
		{"server key with a Cyrillic letter", oldEntry("B", idB, "а"+keyB[2:], clientB),
			problem{8, app.ProblemBadServerKey}},
		{"short client key", oldEntry("B", idB, keyB, clientB[4:]), problem{9, app.ProblemBadClientKey}},
		{"client key not base64", oldEntry("B", idB, keyB, "!"+clientB[1:]), problem{9, app.ProblemBadClientKey}},
		{"client key with another header", oldEntry("B", idB, keyB, "IQ"+clientB[2:]),
			problem{9, app.ProblemBadClientKey}},
		{"client key not canonical", oldEntry("B", idB, keyB, clientB[:74]+"9="), problem{9, app.ProblemBadClientKey}},
		{"extra line", oldEntry("B", idB, keyB, clientB, "what is this"), problem{10, app.ProblemExtraLine}},
		{"two token lines", oldEntry("B", idB, keyB, clientB, "x:1", "y:2"), problem{11, app.ProblemExtraLine}},
		{"two entries without a title between", entryB + oldEntry("", idB, keyB, clientB)[1:],
			problem{11, app.ProblemExtraLine}},
		{"invalid UTF-8 in the title", oldEntry("\xd1\xea\xeb\xe0\xe4", idB, keyB, clientB),
			problem{6, app.ProblemBadText}},
		{"invalid UTF-8 in a key", oldEntry("B", idB, keyB[:63]+"\xff", clientB), problem{8, app.ProblemBadText}},
		{"long title", oldEntry(long, idB, keyB, clientB), problem{6, app.ProblemLineTooLong}},
		{"long id", oldEntry("B", long, keyB, clientB), problem{7, app.ProblemLineTooLong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRegistry(t)
			report := importFile(t, r, oldFile(entryA, c.entry, entryC))
			if got := titles(report.Imported); !slices.Equal(got, []string{"A", "C"}) {
				t.Errorf("imported %v", got)
			}
			if got := problems(report); !slices.Equal(got, []problem{c.want}) || !report.Problems[0].Skipped {
				t.Errorf("problems %v, want %v", report.Problems, c.want)
			}
			for _, p := range report.Problems {
				if text := fmt.Sprint(p); strings.Contains(text, keyB) || strings.Contains(text, clientB) ||
					len(text) > 1000 {
					t.Errorf("the report shows a secret, or too much: %s", text)
				}
			}
		})
	}
}

func TestImportTextBeforeTheFirstEntry(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	report := importFile(t, r, "\n; a comment\nand more\n"+entryA)
	if got := problems(report); !slices.Equal(got, []problem{{2, app.ProblemNoTitleLine}}) {
		t.Errorf("problems %v", report.Problems)
	}
	if got := titles(report.Imported); !slices.Equal(got, []string{"A"}) {
		t.Errorf("imported %v", got)
	}
}

func TestImportOfWhatIsNoKeysFile(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"an INI":    "[http]\nlisten = *\n",
		"bytes":     strings.Repeat("\x00\x01\xff\n", 100),
		"one line":  keyA,
		"a NUL key": "\x00",
	} {
		r, _ := newRegistry(t)
		report := importFile(t, r, file)
		if got := problems(report); !slices.Equal(got, []problem{{1, app.ProblemNoTitleLine}}) || len(r.List()) != 0 {
			t.Errorf("%s: problems %v, apps %v", name, report.Problems, r.List())
		}
	}
	r, _ := newRegistry(t)
	for _, file := range []string{"", "\ufeff", "\r\n\r\n"} {
		if report := importFile(t, r, file); report.Problems != nil || report.Imported != nil {
			t.Errorf("an empty file: %+v", report)
		}
	}
}

func TestImportNotesWhatItChangedInAnEntry(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	report := importFile(t, r, oldFile(
		oldEntry(strings.Repeat("ы", 250), idA, keyA, clientA),
		oldEntry("Склад\t№ 2\x1b", idB, keyB, clientB),
		oldEntry("C", idC, keyC, clientC, "token:not ticks")))
	want := []problem{{1, app.ProblemTitleCut}, {6, app.ProblemTitleCleaned}, {15, app.ProblemBadToken}}
	if got := problems(report); !slices.Equal(got, want) {
		t.Errorf("problems %v, want %v", report.Problems, want)
	}
	for _, p := range report.Problems {
		if p.Skipped {
			t.Errorf("skipped: %v", p)
		}
	}
	if got := titles(report.Imported); !slices.Equal(got, []string{strings.Repeat("ы", 200), "Склад № 2", "C"}) {
		t.Errorf("imported %q", got)
	}
}

func TestImportConflicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		file string
		want []problem
	}{
		{"same id twice", entryA + oldEntry("A2", idA, keyB, clientB), []problem{{6, app.ProblemDuplicateID}}},
		{"same id twice, in another letter case", entryA + oldEntry("A2", strings.ToUpper(idA), keyB, clientB),
			[]problem{{6, app.ProblemDuplicateID}}},
		{"whole entry twice", entryA + entryA, []problem{{6, app.ProblemDuplicateID}}},
		{"same server key twice", entryA + oldEntry("A2", idB, keyA, clientB), []problem{{7, app.ProblemKeyTaken}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRegistry(t)
			report := importFile(t, r, c.file)
			if got := problems(report); !slices.Equal(got, c.want) {
				t.Errorf("problems %v, want %v", report.Problems, c.want)
			}
			if got := titles(r.List()); !slices.Equal(got, []string{"A"}) {
				t.Errorf("apps %v", got)
			}
		})
	}
	t.Run("a damaged entry does not take the id", func(t *testing.T) {
		r, _ := newRegistry(t)
		importFile(t, r, oldEntry("damaged", idA, keyA)+entryA)
		if got := titles(r.List()); !slices.Equal(got, []string{"A"}) {
			t.Errorf("apps %v", got)
		}
	})
}

func TestImportLeavesWhatIsThereAlone(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	importFile(t, r, oldFile(entryA, entryB))
	renamed := must[*app.App](t)(r.Rename(idA, "renamed"))
	token := must[app.Token](t)(r.Authorize(keyA, time.Hour))
	rotated := must[*app.App](t)(r.RotateServerKey(idB, time.Hour))

	report := importFile(t, r, oldFile(entryA, entryB, oldEntry("C", idC, keyB, clientC)))
	want := []problem{{7, app.ProblemIDTaken}, {13, app.ProblemKeyTaken}} // B's old key still works
	if got := problems(report); !slices.Equal(got, want) || report.Imported != nil {
		t.Errorf("problems %v, want %v; imported %v", report.Problems, want, report.Imported)
	}
	if !slices.Equal(report.Present, []*app.App{renamed}) {
		t.Errorf("present: %v", report.Present)
	}
	if list := r.List(); len(list) != 2 || list[0] != renamed || list[1] != rotated {
		t.Errorf("apps: %v", list)
	}
	if _, err := r.CheckToken(token.Value); err != nil {
		t.Errorf("a token from before: %v", err)
	}
}

func TestExportIsWhatImportReads(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	for _, title := range []string{"Склад", "#", "# 2", "a:1", "ufeff \ufeff", strings.Repeat("я", 200), idC,
		`"quoted", \n`} {
		create(t, r, title)
		c.advance(time.Second)
	}
	must[*app.App](t)(r.RotateServerKey(r.List()[0].ID, time.Hour))
	must[*app.App](t)(r.RotateClientKey(r.List()[1].ID, 0))
	var file bytes.Buffer
	if err := r.Export(&file); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(file.Bytes(), '\r') {
		t.Error("it has carriage returns")
	}
	for _, text := range []string{file.String(), "\ufeff" + strings.ReplaceAll(file.String(), "\n", "\r\n")} {
		again, _ := newRegistry(t)
		report := importFile(t, again, text)
		if len(report.Problems) != 0 || len(report.Imported) != len(r.List()) {
			t.Fatalf("problems %v, %d apps", report.Problems, len(report.Imported))
		}
		for i, want := range r.List() {
			got := again.List()[i]
			if got.ID != want.ID || got.Title != want.Title || got.ServerKeys[0].Key != want.ServerKeys[0].Key ||
				got.ClientKeys[0].Key != want.ClientKeys[0].Key {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	if report := importFile(t, r, file.String()); len(report.Present) != len(r.List()) || report.Problems != nil {
		t.Errorf("into the same registry: %+v", report)
	}
}

func TestImportBounds(t *testing.T) {
	t.Parallel()
	t.Run("size of the file", func(t *testing.T) {
		r, _ := newRegistry(t)
		rest := strings.NewReader(strings.Repeat("\n", app.MaxImportBytes-len(entryA)))
		if report, err := r.Import(io.MultiReader(strings.NewReader(entryA), rest)); err != nil ||
			len(report.Imported) != 1 {
			t.Errorf("a file of the largest size: %v, %v", report, err)
		}
		rest = strings.NewReader(strings.Repeat("\n", app.MaxImportBytes))
		_, err := r.Import(io.MultiReader(strings.NewReader(entryB), rest))
		if !errors.Is(err, app.ErrImportTooLarge) || len(r.List()) != 1 {
			t.Errorf("a larger file: %v", err)
		}
	})
	t.Run("length of the report", func(t *testing.T) {
		r, _ := newRegistry(t)
		report := importFile(t, r, strings.Repeat("#\n", 100_000)+entryA)
		if len(report.Problems) != 1000 || report.Omitted != 99_000 || len(report.Imported) != 1 {
			t.Errorf("%d problems and %d, %d imported", len(report.Problems), report.Omitted, len(report.Imported))
		}
	})
	t.Run("reader that fails", func(t *testing.T) {
		r, _ := newRegistry(t)
		broken := errors.New("broken")
		_, err := r.Import(io.MultiReader(strings.NewReader(entryA), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || len(r.List()) != 0 {
			t.Errorf("got %v, apps %v", err, r.List())
		}
	})
}

// TestAFileInUTF16IsToldSo, and not that each of its lines is wrong.
func TestAFileInUTF16IsToldSo(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "apps.db"), app.Options{})
	for _, bom := range []string{"", "\xff\xfe"} {
		file := bom
		for _, c := range oldFile(oldEntry("One", idA, keyA, clientA)) {
			file += string(c) + "\x00"
		}
		report := importFile(t, r, file)
		if got := problems(report); len(report.Imported) > 0 || len(got) != 1 || got[0].code != app.ProblemUTF16 {
			t.Errorf("got %+v", report)
		}
	}
}
