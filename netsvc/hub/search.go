package hub

import (
	"slices"
	"strings"
	"unicode"

	"github.com/pns4ones/pns4ones/netsvc/internal/fold"
)

// term is a word of a search.
type term struct {
	field string // one of searchFields; empty: any but the app
	text  string // in lower case
	not   bool   // sessions that have it are not wanted
}

// searchFields are what a word can be looked for in alone.
var searchFields = []string{"app", "ib", "user", "group", "host", "ip"}

// parseSearch reads a search: words between blanks, or between quotation marks where
// blanks belong to them. All must match. A minus before a word excludes it, and a field
// with a colon says where it must be: app:, ib:, user:, group:, host: or ip:. Whatever
// else has a colon is an address. A word that is still empty excludes and wants nothing:
// people see what they search for while they write it.
func parseSearch(text string) []term {
	var terms []term
	rest := strings.ToLower(text)
	for {
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		if rest == "" {
			return terms
		}
		var t term
		if after, minus := strings.CutPrefix(rest, "-"); minus {
			t.not, rest = true, after
		}
		if field, after, ok := strings.Cut(rest, ":"); ok && slices.Contains(searchFields, field) {
			t.field, rest = field, after
		}
		if after, quoted := strings.CutPrefix(rest, `"`); quoted {
			t.text, rest, _ = strings.Cut(after, `"`)
			t.text = strings.TrimSpace(t.text)
		} else {
			end := strings.IndexFunc(rest, unicode.IsSpace)
			if end < 0 {
				end = len(rest)
			}
			t.text, rest = rest[:end], rest[end:]
		}
		if t.text != "" {
			terms = append(terms, t)
		}
	}
}

// has reports whether a word is part of what a session is. The caller holds the
// session's lock, and the session is registered.
func (s *session) has(q *Query, t term) bool {
	r := s.registration
	in := func(text string) bool { return fold.Contains(text, t.text) }
	switch t.field {
	case "app":
		return in(r.infobase.app) || q.Title != nil && in(q.Title(r.infobase.app))
	case "ib":
		_, name := q.called(r)
		return in(r.infobase.ib) || in(name)
	case "user":
		name, _ := q.called(r)
		return in(r.user) || in(name)
	case "group":
		return in(r.group) || slices.ContainsFunc(r.groups(), in)
	case "host":
		return r.more != nil && in(r.more.host)
	case "ip":
		return strings.Contains(s.peer().String(), t.text)
	}
	if in(r.user) || in(r.infobase.ib) || in(r.group) || strings.Contains(s.peer().String(), t.text) {
		return true
	}
	if more := r.more; more != nil && (in(more.host) || in(more.agent.Value()) || slices.ContainsFunc(r.groups(), in)) {
		return true
	}
	user, ib := q.called(r)
	return in(user) || in(ib)
}
