package app

import (
	"bytes"
	"cmp"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The old product's keys file is text, one entry after another:
//
//	#TITLE
//	id
//	server key
//	client key
//	TOKEN:TICKS      (only if there was a token; it is not taken over)

// maxOldLineBytes is far above what any line of the file can need.
const maxOldLineBytes = 64 << 10

// oldEntry is an entry of the file as it stands there.
type oldEntry struct {
	line   int  // where it begins, from 1
	titled bool // no: it is text before the first entry
	title  string
	rest   []oldLine // lines after the title that are not blank
	bad    int       // number of the first line that is not text; 0 if there is none
	long   int       // number of the first line that is too long; 0 if there is none
}

type oldLine struct {
	number int
	text   string
}

// oldKeys is what a whole entry says.
type oldKeys struct {
	id        uuid.UUID
	serverKey string
	clientKey string
}

// isUTF16 recognises a file that was saved as «Unicode»: by its mark, or because every
// other byte of the first «#» and what follows it is zero.
func isUTF16(content []byte) bool {
	for _, begin := range []string{"\xff\xfe", "\xfe\xff", "#\x00", "\x00#"} {
		if bytes.HasPrefix(content, []byte(begin)) {
			return true
		}
	}
	return false
}

// splitOldKeys passes on the entries of the file one by one.
func splitOldKeys(content []byte) iter.Seq[*oldEntry] {
	return func(yield func(*oldEntry) bool) {
		content := bytes.TrimPrefix(content, []byte("\ufeff"))
		var e *oldEntry
		number := 0
		for raw := range bytes.Lines(content) {
			number++
			raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte{'\n'}), []byte{'\r'})
			title, isTitle := bytes.CutPrefix(raw, []byte{'#'})
			switch {
			case isTitle:
				if e != nil && !yield(e) {
					return
				}
				e = &oldEntry{line: number, titled: true, title: string(title[:min(len(title), maxOldLineBytes)])}
			case len(bytes.TrimSpace(raw)) == 0:
				continue
			case e == nil:
				e = &oldEntry{line: number}
			}
			e.add(number, raw, isTitle)
		}
		if e != nil {
			yield(e)
		}
	}
}

func (e *oldEntry) add(number int, raw []byte, isTitle bool) {
	switch {
	case len(raw) > maxOldLineBytes:
		e.long = cmp.Or(e.long, number)
	case !utf8.Valid(raw):
		e.bad = cmp.Or(e.bad, number)
	case isTitle:
	case len(e.rest) <= oldEntryLines: // one too many is enough to know
		e.rest = append(e.rest, oldLine{number, strings.TrimSpace(string(raw))})
	}
}

// oldEntryLines is how many lines an entry has after its title: three, and the token.
const oldEntryLines = 4

// parse checks the form of an entry. If it is damaged, the last of problems is what
// damaged it and ok is false; the others are mere notes.
func (e *oldEntry) parse() (keys oldKeys, title string, problems []ImportProblem, ok bool) {
	title, problems = e.cleanTitle()
	damaged := func(line int, code ProblemCode, detail string) (oldKeys, string, []ImportProblem, bool) {
		problems = append(problems, ImportProblem{Line: line, Code: code, Skipped: true, Detail: detail})
		return oldKeys{}, title, problems, false
	}
	switch {
	case !e.titled:
		return damaged(e.line, ProblemNoTitleLine, "there is text before the first line with a title (#…)")
	case e.long != 0:
		return damaged(e.long, ProblemLineTooLong, "the line is too long")
	case e.bad != 0:
		return damaged(e.bad, ProblemBadText, "the line is not text in UTF-8")
	}
	fields := []struct {
		name  string
		code  ProblemCode
		parse func(string) error
	}{
		{"id", ProblemBadID, func(s string) (err error) { keys.id, err = parseID(s); return err }},
		{"server key", ProblemBadServerKey, func(s string) error { keys.serverKey = s; return checkServerKey(s) }},
		{"client key", ProblemBadClientKey, func(s string) error { keys.clientKey = s; return checkClientKey(s) }},
	}
	for i, field := range fields {
		if i == len(e.rest) {
			return damaged(e.line, ProblemIncomplete, "the entry ends before the "+field.name)
		}
		if err := field.parse(e.rest[i].text); err != nil {
			return damaged(e.rest[i].number, field.code, "the "+field.name+" is "+err.Error())
		}
	}
	rest := e.rest[len(fields):]
	if len(rest) > 0 && strings.Contains(rest[0].text, ":") {
		if !isTokenLine(rest[0].text) {
			problems = append(problems, ImportProblem{Line: rest[0].number, Code: ProblemBadToken,
				Detail: "the token line is damaged; tokens are not taken over anyway"})
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return damaged(rest[0].number, ProblemExtraLine,
			"the entry has more lines than it should; is a title line missing?")
	}
	return keys, title, problems, true
}

// cleanTitle makes any text a title, and notes what it had to change. Only an empty
// title is left: the caller puts the id in its place.
func (e *oldEntry) cleanTitle() (title string, notes []ImportProblem) {
	if e.bad == e.line || e.long == e.line {
		return "", nil
	}
	title = strings.TrimSpace(e.title)
	if strings.ContainsFunc(title, breaksLine) {
		title = strings.TrimSpace(strings.Map(func(r rune) rune {
			if breaksLine(r) {
				return ' '
			}
			return r
		}, title))
		notes = append(notes, ImportProblem{Line: e.line, Code: ProblemTitleCleaned,
			Detail: "control characters in the title were replaced by blanks"})
	}
	if runes := []rune(title); len(runes) > MaxTitleRunes {
		title = strings.TrimSpace(string(runes[:MaxTitleRunes]))
		notes = append(notes, ImportProblem{Line: e.line, Code: ProblemTitleCut,
			Detail: "the title is longer than 200 characters and was cut"})
	}
	return title, notes
}

// isTokenLine recognises TOKEN:TICKS.
func isTokenLine(s string) bool {
	i := strings.LastIndexByte(s, ':')
	ticks := s[i+1:]
	return ticks != "" && strings.Trim(ticks, "0123456789") == ""
}
