// Package corpus gives fuzz targets the inputs that earlier runs found worth
// keeping. Those of a target are one archive, testdata/fuzz/TARGET.txtar, whose files
// are in the format that go test writes them in; an input with a name of its own
// stays a file in the folder testdata/fuzz/TARGET, where go test looks by itself.
//
// What a run finds goes into that folder too. The command fold moves it into the
// archive:
//
//	go run ./packaging/corpus/fold
//
// Only tests import this package.
package corpus

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Add adds the inputs of the archive of this target. Call it before f.Fuzz.
func Add(f *testing.F) {
	f.Helper()
	path := filepath.Join("testdata", "fuzz", f.Name()+".txtar")
	archive, err := txtar.ParseFile(path)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		values, err := Values(string(file.Data))
		if err != nil {
			f.Fatalf("%s: %s: %v", path, file.Name, err)
		}
		f.Add(values...)
	}
}

// version is the first line of an input.
const version = "go test fuzz v1"

// Values reads an input as go test writes it: a line for each argument of the
// target, a Go expression that converts a literal to its type.
func Values(input string) ([]any, error) {
	lines := strings.Split(strings.TrimSpace(input), "\n")
	if lines[0] != version {
		return nil, fmt.Errorf("the first line is %q, expected %q", lines[0], version)
	}
	var values []any
	for _, line := range lines[1:] {
		v, err := value(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// errForm is an expression that no target of ours has been given so far.
var errForm = errors.New("expected TYPE(LITERAL) with a type that is known here")

func value(line string) (any, error) {
	expression, err := parser.ParseExpr(line)
	if err != nil {
		return nil, err
	}
	call, ok := expression.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil, errForm
	}
	name, ok := typeName(call.Fun)
	if !ok {
		return nil, errForm
	}
	if truth, ok := call.Args[0].(*ast.Ident); ok && name == "bool" {
		return strconv.ParseBool(truth.Name)
	}
	literal, negative := call.Args[0], false
	if unary, ok := literal.(*ast.UnaryExpr); ok && unary.Op == token.SUB {
		literal, negative = unary.X, true
	}
	basic, ok := literal.(*ast.BasicLit)
	if !ok {
		return nil, errForm
	}
	switch {
	case name == "string" && basic.Kind == token.STRING:
		return strconv.Unquote(basic.Value)
	case name == "[]byte" && basic.Kind == token.STRING:
		text, err := strconv.Unquote(basic.Value)
		return []byte(text), err
	case name == "byte" && basic.Kind == token.CHAR:
		r, _, _, err := strconv.UnquoteChar(basic.Value[1:len(basic.Value)-1], '\'')
		return byte(r), err
	case name == "uint16" && basic.Kind == token.INT:
		n, err := strconv.ParseUint(basic.Value, 0, 16)
		return uint16(n), err
	case name == "int" && basic.Kind == token.INT:
		n, err := strconv.Atoi(basic.Value)
		if negative {
			n = -n
		}
		return n, err
	}
	return nil, errForm
}

// typeName is what the type of an argument is called.
func typeName(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, true
	case *ast.ArrayType:
		element, ok := e.Elt.(*ast.Ident)
		return "[]" + element.Name, ok && e.Len == nil
	}
	return "", false
}
