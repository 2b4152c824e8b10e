package config

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/config/locale"
)

// parseINI reads the old product's settings file: a line NAME=VALUE for each
// setting. The value is everything after the first «=», without the blanks
// around it, and without quotation marks if it is in a pair of them: passwords
// may hold any character. Lines that begin with «;», «#» or «/» are comments, in
// whatever encoding; section headers mean nothing. An ini library would give «;»,
// «#», quotes and backslashes inside a value a meaning that they did not have for
// the old product. An empty value is as if absent; an empty password is one.
func (l *loader) parseINI(path string, content []byte) []given {
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	if l.refuseUTF16(path, content) {
		return nil
	}
	var values []given
	firstLine := make(map[string]int)
	number := 0
	for line := range bytes.Lines(content) {
		number++
		at := Problem{File: path, Line: number}
		problem := func(key string, what *locale.Text) {
			p := at
			p.Key, p.What = key, what
			l.problems = append(l.problems, &p)
		}
		text := strings.TrimSpace(string(line))
		if text == "" || strings.ContainsRune(";#/", rune(text[0])) || text[0] == '[' && text[len(text)-1] == ']' {
			continue
		}
		if !utf8.Valid(line) {
			problem("", locale.NewText("config.not_utf8"))
			continue
		}
		name, value, found := strings.Cut(text, "=")
		if !found {
			problem("", locale.NewText("config.no_equals"))
			continue
		}
		name = strings.TrimSpace(name)
		s, known := lookup(foldName(name))
		if !known {
			problem(name, locale.NewText("config.unknown_key", "near", didYouMean(foldName(name), names())))
			continue
		}
		if first := firstLine[s.name]; first > 0 {
			problem(s.name, locale.NewText("config.twice", "line", first))
			continue
		}
		firstLine[s.name] = number
		at.Key = s.name
		if value = unquote(strings.TrimSpace(value)); value == "" && !s.secret {
			continue // the old product ships a file that names all it knows, empty
		}
		values = append(values, given{s, value, at})
	}
	return values
}

// refuseUTF16 complains of a file in UTF-16, once instead of once a line. No other
// text has zero bytes.
func (l *loader) refuseUTF16(path string, content []byte) bool {
	zero := bytes.IndexByte(content, 0)
	if zero < 0 {
		return false
	}
	l.problems = append(l.problems, &Problem{File: path, Line: 1 + bytes.Count(content[:zero], []byte("\n")),
		What: locale.NewText("config.not_utf8")})
	return true
}

// foldName reads a name in any letter case, with blanks or dashes for the
// underscores.
func foldName(name string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(name))
}

func unquote(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}
