package netsvc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"time"
)

// written are the defaults that the comments of Deadlines name.
func written(t *testing.T) map[string]time.Duration {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "handover.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	defaults := make(map[string]time.Duration)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Deadlines" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			_, text, _ := strings.Cut(field.Comment.Text(), "; ")
			text, _, _ = strings.Cut(strings.TrimSpace(text), ",")
			d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
			if err != nil {
				t.Errorf("the comment of %s has no default: %v", field.Names[0], err)
			}
			defaults[field.Names[0].Name] = d
		}
		return false
	})
	return defaults
}

func TestDeadlinesAreAsWritten(t *testing.T) {
	t.Parallel()
	want := written(t)
	var d Deadlines
	d.setDefaults()
	all := reflect.ValueOf(d)
	if len(want) != all.NumField() {
		t.Errorf("%d fields have a comment, of %d", len(want), all.NumField())
	}
	for i := range all.NumField() {
		name := all.Type().Field(i).Name
		if got := all.Field(i).Interface().(time.Duration); got != want[name] || got <= 0 {
			t.Errorf("%s is %v, and its comment says %v", name, got, want[name])
		}
	}
}

func TestADeadlineThatIsSetStays(t *testing.T) {
	t.Parallel()
	for i := range reflect.TypeFor[Deadlines]().NumField() {
		var d Deadlines
		reflect.ValueOf(&d).Elem().Field(i).SetInt(7)
		d.setDefaults()
		for k := range reflect.TypeFor[Deadlines]().NumField() {
			if set := reflect.ValueOf(d).Field(k).Int() == 7; set != (i == k) {
				t.Errorf("with field %d set, field %d is %v", i, k, reflect.ValueOf(d).Field(k))
			}
		}
	}
}
