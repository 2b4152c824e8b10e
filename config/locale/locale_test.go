package locale_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/pns4ones/pns4ones/config/locale"
)

// plurals are the keys that make a table the forms of one text.
var plurals = map[string]bool{"zero": true, "one": true, "two": true, "few": true, "many": true, "other": true}

// ids returns the texts of a file by their ids.
func ids(t *testing.T, path string) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := toml.Unmarshal(content, &tree); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	found := make(map[string]bool)
	var walk func(prefix string, node map[string]any)
	walk = func(prefix string, node map[string]any) {
		for name, value := range node {
			below, isTable := value.(map[string]any)
			switch {
			case plurals[name]:
				found[prefix] = true
			case isTable:
				walk(join(prefix, name), below)
			default:
				found[join(prefix, name)] = true
			}
		}
	}
	walk("", tree)
	return found
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// catalogue returns the ids of all Russian texts, and checks that the English
// ones are the same.
func catalogue(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("text/*.ru.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no texts: %v", err)
	}
	all := make(map[string]bool)
	for _, russian := range files {
		ru, en := ids(t, russian), ids(t, strings.Replace(russian, ".ru.", ".en.", 1))
		for id := range ru {
			all[id] = true
			if !en[id] {
				t.Errorf("%s has no English text", id)
			}
		}
		for id := range en {
			if !ru[id] {
				t.Errorf("%s has no Russian text", id)
			}
		}
	}
	return all
}

var idPattern = regexp.MustCompile(`^(admin|config|daemon|import|live|service|system|tui)\.[A-Za-z_]+[A-Za-z0-9_.]*$`)

// TestEveryTextIsUsedAndEveryUseHasAText looks for the ids in the code's string
// literals. A literal that ends with an underscore or a dot, to which the code
// adds a word, uses every id that begins so.
func TestEveryTextIsUsedAndEveryUseHasAText(t *testing.T) {
	t.Parallel()
	texts := catalogue(t)
	used := make(map[string]bool)
	var prefixes []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			switch {
			case err != nil:
			case text == "import.", idPattern.MatchString(text) && strings.HasSuffix(text, "_"):
				prefixes = append(prefixes, text)
			case idPattern.MatchString(text):
				used[text] = true
				if !texts[text] {
					t.Errorf("%s: there is no text %s", path, text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range texts {
		if used[id] {
			continue
		}
		unused := true
		for _, prefix := range prefixes {
			unused = unused && !strings.HasPrefix(id, prefix)
		}
		if unused {
			t.Errorf("%s is not used", id)
		}
	}
}

func TestDetectsTheLanguage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		flag string
		env  map[string]string
		want locale.Lang
	}{
		{"", nil, locale.Russian},
		{"en", nil, locale.English},
		{"", map[string]string{"PNS4ONES_LANG": "en", "LANG": "ru_RU.UTF-8"}, locale.English},
		{"ru", map[string]string{"PNS4ONES_LANG": "en"}, locale.Russian},
		{"", map[string]string{"LANG": "en_US.UTF-8"}, locale.English},
		{"", map[string]string{"LANG": "C.UTF-8"}, locale.Russian},
		{"", map[string]string{"LC_ALL": "C", "LANG": "en_GB"}, locale.English},
		{"", map[string]string{"LC_ALL": "POSIX"}, locale.Russian},
		{"", map[string]string{"LANG": "de_DE.UTF-8"}, locale.Russian},
		{"", map[string]string{"LC_MESSAGES": "en_US", "LANG": "ru_RU"}, locale.English},
	}
	for _, tt := range tests {
		if got := locale.Detect(func(name string) string { return tt.env[name] }, tt.flag); got != tt.want {
			t.Errorf("flag %q, %v: %s, want %s", tt.flag, tt.env, got, tt.want)
		}
	}
}

func TestPluralForms(t *testing.T) {
	t.Parallel()
	russian := locale.New(locale.Russian)
	for n, want := range map[int]string{1: "приложение", 2: "приложения", 5: "приложений", 11: "приложений",
		21: "приложение", 104: "приложения"} {
		if got := russian.T("daemon.imported", "N", n); !strings.HasSuffix(got, fmt.Sprintf(" %d %s.", n, want)) {
			t.Errorf("%d: %s", n, got)
		}
	}
	if got := locale.New(locale.English).T("daemon.imported", "N", 1); !strings.HasPrefix(got, "1 app was") {
		t.Errorf("1: %s", got)
	}
}

func TestSaysErrorsInTheLanguage(t *testing.T) {
	t.Parallel()
	inner := locale.NewText("config.bad_count", "value", "x")
	wrapped := fmt.Errorf("outer: %w", inner)
	if got, want := locale.New(locale.English).Error(wrapped), "“x” is not a whole number."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := locale.New(locale.Russian).Error(errors.Join(inner,
		errors.New("plain"))); got != "«x» не является целым числом.\nplain" {
		t.Errorf("got %q", got)
	}
	if got := locale.New(locale.English).T("no.such.id"); got != "no.such.id" {
		t.Errorf("an unknown id gives %q", got)
	}
}
