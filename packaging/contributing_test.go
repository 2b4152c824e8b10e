package packaging_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var recipes = flag.Bool("recipes", false, "follow the recipes of CONTRIBUTING.md, which takes a minute")

const contributing = ".github/CONTRIBUTING.md"

// A step of a recipe: lines below others in a file, a file of its own, or commands.
var step = regexp.MustCompile("(?ms)" +
	"^(?:In `(?P<file>[^`]+)`, below (?:`(?P<below>[^`\n]+)`|``(?P<ticks>[^\n]+?)``)|Make `(?P<new>[^`]+)`)?[^\n]*:\n\n" +
	"```(?P<language>[a-z]*)\n(?P<text>.*?)^```\n")

// recipe returns the part of the page between its marker and the next heading.
func recipe(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, contributing))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "<!-- recipe: "+name+" -->\n")
	if !found {
		t.Fatalf("%s has no recipe %q", contributing, name)
	}
	text, _, _ := strings.Cut(after, "\n### ")
	return text
}

// tree is a copy of the files that git knows or would.
func tree(t *testing.T) string {
	t.Helper()
	copied := t.TempDir()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	files, err := list.Output()
	if err != nil {
		t.Fatalf("listing the tree: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // it has been removed, and git not been told yet
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(copied, name), content)
	}
	return copied
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// shell runs commands in a folder, and returns what they said.
func shell(t *testing.T, folder, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = folder
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, said)
	}
	return string(said)
}

// follow does each step of a recipe, and returns how many there were.
func follow(t *testing.T, folder, text string) int {
	t.Helper()
	steps := step.FindAllStringSubmatch(text, -1)
	for _, found := range steps {
		part := func(name string) string { return found[step.SubexpIndex(name)] }
		switch {
		case part("new") != "":
			write(t, filepath.Join(folder, part("new")), []byte(part("text")))
		case part("file") != "":
			insert(t, filepath.Join(folder, part("file")), part("below")+part("ticks"), part("text"))
		case part("language") == "sh":
			shell(t, folder, part("text"))
		default:
			t.Errorf("a step that says neither where nor what to run:\n%s", found[0])
		}
	}
	return len(steps)
}

// insert puts text below the one line that begins so.
func insert(t *testing.T, path, below, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin := []byte("\n" + strings.TrimPrefix(below, "\n"))
	if n := bytes.Count(content, begin); n != 1 {
		t.Fatalf("%d lines of %s begin with %q, expected one", n, path, below)
	}
	at := bytes.Index(content, begin) + 1
	at += bytes.IndexByte(content[at:], '\n') + 1
	write(t, path, append(append(bytes.Clone(content[:at]), text...), content[at:]...))
}

// TestRecipeOfASetting follows the recipe, and sees the setting in the help, in the
// sample file and in force.
func TestRecipeOfASetting(t *testing.T) {
	t.Parallel()
	text, folder := recipe(t, "setting"), prepare(t)
	if n := follow(t, folder, text); n != 10 {
		t.Errorf("the recipe has %d steps, 10 were written", n)
	}
	for command, want := range map[string]string{
		"go run ./cmd/pns4ones -lang en -h":                                   "How long an example may take.",
		"PNS4ONES_EXAMPLE_TIMEOUT=9s go run ./cmd/pns4ones -print_config":     `example_timeout = "9s"`,
		"go run ./cmd/pns4ones -lang en -example_timeout=2h -check 2>&1 || :": "example_timeout",
	} {
		if said := shell(t, folder, command); !strings.Contains(said, want) {
			t.Errorf("%s: it says nothing of %q:\n%s", command, want, said)
		}
	}
}

// TestRecipeOfACommand follows the recipe, whose own test runs the command.
func TestRecipeOfACommand(t *testing.T) {
	t.Parallel()
	text, folder := recipe(t, "command"), prepare(t)
	if n := follow(t, folder, text); n != 8 {
		t.Errorf("the recipe has %d steps, 8 were written", n)
	}
	if said := shell(t, folder, "go run ./cmd/pns4onesadmin --lang en"); !strings.Contains(said, "uptime") {
		t.Errorf("the command is not in the help:\n%s", said)
	}
}

// prepare is the tree to follow a recipe in, if that is wanted.
func prepare(t *testing.T) string {
	t.Helper()
	if !*recipes {
		t.Skip("only with -recipes, as .ci/run guide does")
	}
	return tree(t)
}

// mapped is a line of the map: a package and what it is.
var mapped = regexp.MustCompile(`(?m)^((?:cmd|tui|netsvc|app|config|packaging)[a-z0-9/]*)  +\S`)

// TestImportsPointDownTheMap goes by what go list says of each package. One that the
// map does not have belongs to the one above it that it has.
func TestImportsPointDownTheMap(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, contributing))
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, match := range mapped.FindAllSubmatch(page, -1) {
		at[string(match[1])] = i
	}
	if len(at) < 20 {
		t.Fatalf("the map has only %d packages", len(at))
	}
	const module = "github.com/pns4ones/pns4ones/"
	place := func(path string) (name string, n int, known bool) {
		for name = strings.TrimPrefix(path, module); name != "."; name = filepath.Dir(name) {
			if n, known = at[name]; known {
				return name, n, true
			}
		}
		return path, 0, false
	}
	imports := shell(t, root, `go list -f '{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}' ./...`)
	for line := range strings.Lines(imports) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(to, module) {
			continue
		}
		above, upper, known := place(from)
		below, lower, alsoKnown := place(to)
		shared := strings.Contains(to, "/internal/") // which is below all that may import it
		if !known || !alsoKnown || upper > lower && !shared {
			t.Errorf("%s imports %s: %s does not stand above %s in the map", from, to, above, below)
		}
	}
}

// named is a path of the tree in backquotes.
var named = regexp.MustCompile("`((?:cmd|app|tui|netsvc|config|packaging|\\.ci)/[a-z0-9_./-]+\\.[a-z]+)`")

// TestTheGuideNamesWhatIsThere looks for the files that the guide names, and for the
// lines that its recipes go by.
func TestTheGuideNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, contributing))
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{"cmd/pns4onesadmin/uptime.go": true, "cmd/pns4onesadmin/testdata/script/uptime.txtar": true}
	found := named.FindAllSubmatch(page, -1)
	for _, match := range found {
		name := string(match[1])
		if _, err := os.Stat(filepath.Join(root, name)); err != nil && !made[name] {
			t.Errorf("it names %s, which is not there", name)
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d files were found: does the test look for them as they are written?", len(found))
	}
}
