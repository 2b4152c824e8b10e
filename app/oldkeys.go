package app

import (
	"bytes"
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
	line  int // of the title, from 1
	title string
	rest  []oldLine // lines after the title that are not blank
	bad   int       // number of the first line that is not text; 0 if there is none
	long  int       // number of the first line that is too long; 0 if there is none
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

// splitOldKeys cuts the file into entries. stray is the first line, if any, that
// stands before all entries.
func splitOldKeys(content []byte) (entries []oldEntry, stray int) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	number := 0
	for raw := range bytes.Lines(content) {
		number++
		raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte{'\n'}), []byte{'\r'})
		title, isTitle := bytes.CutPrefix(raw, []byte{'#'})
		if isTitle {
			entries = append(entries, oldEntry{line: number, title: string(title[:min(len(title), maxOldLineBytes)])})
		} else if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		if len(entries) == 0 {
			if stray == 0 {
				stray = number
			}
			continue
		}
		e := &entries[len(entries)-1]
		switch {
		case len(raw) > maxOldLineBytes:
			if e.long == 0 {
				e.long = number
			}
		case !utf8.Valid(raw):
			if e.bad == 0 {
				e.bad = number
			}
		case !isTitle:
			// One line more than an entry has is enough to know that it has too many.
			if len(e.rest) < oldEntryLines+1 {
				e.rest = append(e.rest, oldLine{number, strings.TrimSpace(string(raw))})
			}
		}
	}
	return entries, stray
}

// oldEntryLines is how many lines an entry has after its title: three, and the token.
const oldEntryLines = 4

// parse checks the form of an entry. notes are problems that do not damage it; the
// last problem, if ok is false, is what damaged it.
func (e *oldEntry) parse() (keys oldKeys, title string, notes []ImportProblem, ok bool) {
	title, notes = e.cleanTitle()
	damaged := func(line int, code ProblemCode, detail string) (oldKeys, string, []ImportProblem, bool) {
		return oldKeys{}, title, []ImportProblem{{Line: line, Code: code, Skipped: true, Detail: detail}}, false
	}
	switch {
	case e.long != 0:
		return damaged(e.long, ProblemLineTooLong, "the line is too long")
	case e.bad != 0:
		return damaged(e.bad, ProblemBadText, "the line is not text in UTF-8")
	}
	next := func(i int) (text string, line int) {
		if i < len(e.rest) {
			return e.rest[i].text, e.rest[i].number
		}
		return "", e.line
	}
	var err error
	if text, line := next(0); text == "" {
		return damaged(line, ProblemIncomplete, "the entry ends before the id")
	} else if keys.id, err = parseID(text); err != nil {
		return damaged(line, ProblemBadID, "the id is "+err.Error())
	}
	if text, line := next(1); text == "" {
		return damaged(line, ProblemIncomplete, "the entry ends before the server key")
	} else if err := checkServerKey(text); err != nil {
		return damaged(line, ProblemBadServerKey, "the server key is "+err.Error())
	} else {
		keys.serverKey = text
	}
	if text, line := next(2); text == "" {
		return damaged(line, ProblemIncomplete, "the entry ends before the client key")
	} else if err := checkClientKey(text); err != nil {
		return damaged(line, ProblemBadClientKey, "the client key is "+err.Error())
	} else {
		keys.clientKey = text
	}
	rest := e.rest[3:]
	if len(rest) > 0 && strings.Contains(rest[0].text, ":") {
		if !isTokenLine(rest[0].text) {
			notes = append(notes, ImportProblem{Line: rest[0].number, Code: ProblemBadToken,
				Detail: "the token line is damaged; tokens are not taken over anyway"})
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return damaged(rest[0].number, ProblemExtraLine, "the entry has more lines than it should; is a title line missing?")
	}
	return keys, title, notes, true
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
