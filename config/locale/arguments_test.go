package locale_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// forms are the texts of an id by plural form; one that has no forms is under "".
type forms map[string]string

// textsOf returns the texts of a language by their ids.
func textsOf(t *testing.T, lang string) map[string]forms {
	t.Helper()
	files, err := filepath.Glob("text/*." + lang + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]forms)
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var prefixes map[string]map[string]any
		if err := toml.Unmarshal(content, &prefixes); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for prefix, ids := range prefixes {
			for name, value := range ids {
				texts := make(forms)
				switch value := value.(type) {
				case string:
					texts[""] = value
				case map[string]any:
					for form, text := range value {
						texts[form], _ = text.(string)
					}
				}
				all[prefix+"."+name] = texts
			}
		}
	}
	return all
}

var placeholder = regexp.MustCompile(`\{\{[^}]*?\.(\w+)[^}]*\}\}`)

// placeholders returns the names that a text wants, sorted.
func placeholders(text string) []string {
	names := make(map[string]bool)
	for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
		names[found[1]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// TestTextsHaveTheFormsOfTheirLanguage keeps «5 сеанса» away: a text that counts
// has every plural form, and both languages want the same arguments.
func TestTextsHaveTheFormsOfTheirLanguage(t *testing.T) {
	t.Parallel()
	russian, english := textsOf(t, "ru"), textsOf(t, "en")
	want := func(id string, texts forms, needed []string) {
		if _, single := texts[""]; single {
			return
		}
		if got := slices.Sorted(maps.Keys(texts)); !slices.Equal(got, needed) {
			t.Errorf("%s has the forms %q, want %q", id, got, needed)
		}
	}
	for id, texts := range russian {
		want(id, texts, []string{"few", "many", "one", "other"})
		want(id, english[id], []string{"one", "other"})
		wanted := make(map[string]bool)
		for _, text := range slices.Concat(slices.Collect(maps.Values(texts)),
			slices.Collect(maps.Values(english[id]))) {
			wanted[strings.Join(placeholders(text), " ")] = true
		}
		if len(wanted) > 1 {
			t.Errorf("%s: its forms and languages differ in what they want: %q", id, slices.Sorted(maps.Keys(wanted)))
		}
	}
}

// TestCallsGiveWhatTheirTextsWant keeps «<no value>» away: where an id and the
// names of its arguments are literals, all that the text wants is among them.
func TestCallsGiveWhatTheirTextsWant(t *testing.T) {
	t.Parallel()
	texts := textsOf(t, "ru")
	checked := 0
	fileset := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fileset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			id, names, ok := textCall(n)
			if !ok || texts[id] == nil {
				return true
			}
			checked++
			for _, text := range texts[id] {
				for _, name := range placeholders(text) {
					if !slices.Contains(names, name) {
						t.Errorf("%s: the text %s wants %q, the call gives %q", fileset.Position(n.Pos()), id, name,
							names)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked == 0 {
		t.Error("no call was found")
	}
}

// textCall returns the id and the argument names of a call of T or NewText that
// has them all as literals.
func textCall(n ast.Node) (id string, names []string, ok bool) {
	call, isCall := n.(*ast.CallExpr)
	if !isCall || len(call.Args) == 0 || call.Ellipsis.IsValid() {
		return "", nil, false
	}
	callee := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		callee = f.Sel.Name
	case *ast.Ident:
		callee = f.Name
	}
	if callee != "T" && callee != "NewText" {
		return "", nil, false
	}
	if id, ok = literal(call.Args[0]); !ok {
		return "", nil, false
	}
	for i := 1; i < len(call.Args); i += 2 {
		name, ok := literal(call.Args[i])
		if !ok {
			return "", nil, false
		}
		names = append(names, name)
	}
	return id, names, true
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}
