package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/pns4ones/pns4ones/config/locale"
)

// parseTOML reads pns4ones.toml: a key at the top level for each setting. The
// decoder checks the file as a whole; the parser below it then finds the line of
// each key, which the decoder keeps to itself.
func (l *loader) parseTOML(path string, content []byte) []given {
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	if l.refuseUTF16(path, content) {
		return nil
	}
	for number, line := range numbered(content) {
		if !utf8.Valid(line) {
			l.problems = append(l.problems, &Problem{File: path, Line: number, What: locale.NewText("config.not_utf8")})
			return nil
		}
	}
	var whole map[string]any
	if err := toml.Unmarshal(content, &whole); err != nil {
		l.problems = append(l.problems, tomlProblem(path, content, err))
		return nil
	}
	var values []given
	var parser unstable.Parser
	parser.Reset(content)
	for parser.NextExpression() {
		if g, ok := l.tomlExpression(&parser, path); ok {
			values = append(values, g)
		}
	}
	return values
}

func numbered(content []byte) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		number := 0
		for line := range bytes.Lines(content) {
			number++
			if !yield(number, line) {
				return
			}
		}
	}
}

// tomlProblem says where the file is not TOML.
func tomlProblem(path string, content []byte, err error) *Problem {
	p := &Problem{File: path, Line: 1}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		p.Line, _ = decode.Position()
		p.Key = strings.Join(decode.Key(), ".")
	}
	what := "config.bad_toml"
	for number, line := range numbered(content) {
		// The usual cause: "C:\folder", where a backslash begins an escape.
		if number == p.Line && bytes.ContainsRune(line, '\\') {
			what = "config.bad_toml_backslash"
		}
	}
	p.What = locale.NewText(what, "error", strings.TrimPrefix(err.Error(), "toml: "))
	return p
}

// tomlExpression reads one key and its value, or complains.
func (l *loader) tomlExpression(parser *unstable.Parser, path string) (given, bool) {
	e := parser.Expression()
	at := Problem{File: path}
	complain := func(what *locale.Text) (given, bool) {
		at.What = what
		l.problems = append(l.problems, &at)
		return given{}, false
	}
	var name []string
	for keys := e.Key(); keys.Next(); {
		key := keys.Node()
		if at.Line == 0 {
			at.Line = parser.Shape(key.Raw).Start.Line
		}
		name = append(name, string(key.Data))
	}
	at.Key = strings.Join(name, ".")
	if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
		return complain(locale.NewText("config.no_tables"))
	}
	s, known := lookup(at.Key)
	if !known {
		return complain(locale.NewText("config.unknown_key", "near", didYouMean(foldName(at.Key), names())))
	}
	value, ok := tomlValue(s.kind, e.Value())
	if !ok {
		return complain(locale.NewText("config.wrong_type_" + s.kind.String()))
	}
	if value == "" && !s.secret {
		return given{}, false // as if absent, like in the old product's file
	}
	if s.free && strings.ContainsFunc(value, unicode.IsControl) {
		return complain(locale.NewText("config.escape_in_text"))
	}
	return given{s, value, at}, true
}

// tomlValue returns a value as it would be written anywhere else. Texts want
// quotes, as everywhere in TOML; sizes in bytes and counts may be bare numbers.
func tomlValue(k kind, n *unstable.Node) (string, bool) {
	switch n.Kind {
	case unstable.String:
		return string(n.Data), k != number
	case unstable.Integer:
		return strings.ReplaceAll(string(n.Data), "_", ""), k == number || k == size
	case unstable.Array:
		var items []string
		for children := n.Children(); children.Next(); {
			item := children.Node()
			if item.Kind != unstable.String {
				return "", false
			}
			items = append(items, string(item.Data))
		}
		return strings.Join(items, ","), k == list
	}
	return "", false
}
