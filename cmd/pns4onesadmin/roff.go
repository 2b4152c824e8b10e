package main

import (
	"fmt"
	"strings"
	"unicode"
)

// roff turns the text of a manual page into the language of man(7). The text is
// written in a small Markdown:
//
//	# SECTION            ## Subsection
//	paragraphs between empty lines; \ at the end of a line breaks it
//	* an item of a list
//	a term
//	: and what it means; below it, indented by four blanks, more of the same
//	``` before and after lines that stay as they are
//	**bold**  *italic*  `typed as it is`  \* a star
func roff(text string) string {
	var w roffWriter
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		next := ""
		if i+1 < len(lines) {
			next = strings.TrimSpace(lines[i+1])
		}
		w.line(line, next)
	}
	w.indentTo(0)
	return w.out.String()
}

type roffWriter struct {
	out      strings.Builder
	indent   int  // how many times the text is set to the right
	inside   bool // the line before belongs to a paragraph that may go on
	verbatim bool // between ``` and ```
}

// line writes one line of the text; next, which comes after it, decides whether it
// is a term.
func (w *roffWriter) line(line, next string) {
	body := strings.TrimLeft(line, " ")
	switch {
	case strings.HasPrefix(body, "```") && !w.verbatim:
		w.indentTo((len(line) - len(body)) / 4)
		w.request(".PP\n.RS 4\n.EX")
		w.verbatim = true
		return
	case strings.HasPrefix(body, "```"):
		w.request(".EE\n.RE")
		w.verbatim = false
		return
	case w.verbatim:
		w.text(roffVerbatim(strings.TrimPrefix(line, strings.Repeat(" ", 4*w.indent))))
		return
	case body == "":
		w.inside = false
		return
	}
	heading, isHeading := strings.CutPrefix(body, "# ")
	subheading, isSubheading := strings.CutPrefix(body, "## ")
	meaning, isMeaning := strings.CutPrefix(body, ": ")
	item, isItem := strings.CutPrefix(body, "* ")
	isTerm := strings.HasPrefix(next, ": ")
	if isTerm || isItem || !isMeaning && !w.inside {
		w.indentTo((len(line) - len(body)) / 4)
	}
	switch {
	case isHeading:
		w.request(".SH " + roffLine(heading))
		return
	case isSubheading:
		w.request(".SS " + roffLine(subheading))
		return
	case isTerm:
		w.request(".TP")
	case isMeaning:
		body = meaning
	case isItem:
		w.request(".IP \\(bu 2")
		body = item
	case !w.inside:
		w.request(".PP")
	}
	body, broken := strings.CutSuffix(body, "\\")
	w.text(roffLine(body))
	if broken {
		w.request(".br")
	}
	w.inside = true
}

// indentTo sets what follows to the right, or back.
func (w *roffWriter) indentTo(indent int) {
	for ; w.indent < indent; w.indent++ {
		w.request(".RS")
	}
	for ; w.indent > indent; w.indent-- {
		w.request(".RE")
	}
}

func (w *roffWriter) request(request string) {
	w.out.WriteString(request + "\n")
	w.inside = false
}

// text writes a line of text; a point or an apostrophe at its beginning would make
// it a request.
func (w *roffWriter) text(line string) {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = "\\&" + line
	}
	w.out.WriteString(line + "\n")
}

// roffLine writes a line of Markdown with its fonts.
func roffLine(line string) string {
	var b, plain strings.Builder
	font := byte('R')
	flush := func() {
		b.WriteString(roffProse(plain.String()))
		plain.Reset()
	}
	turn := func(to byte) {
		flush()
		if font == to {
			to = 'R'
		}
		font = to
		fmt.Fprintf(&b, "\\f%c", to)
	}
	for rest := line; rest != ""; {
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			plain.WriteByte(rest[1])
			rest = rest[2:]
		case strings.HasPrefix(rest, "**"):
			turn('B')
			rest = rest[2:]
		case rest[0] == '*':
			turn('I')
			rest = rest[1:]
		case rest[0] == '`':
			code, after, _ := strings.Cut(rest[1:], "`")
			flush()
			b.WriteString("\\fB" + roffVerbatim(code) + "\\fR")
			rest = after
		default:
			plain.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	return b.String()
}

// asTyped writes signs that roff would replace by typographic ones, or take for
// its own, so that they can be copied from a terminal.
var asTyped = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// roffVerbatim writes what a person types.
func roffVerbatim(text string) string { return asTyped.Replace(text) }

// roffProse writes words. Only in them a hyphen between letters is one; in options,
// paths and such it is the sign that is typed.
func roffProse(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		escaped := asTyped.Replace(word)
		if isProse(word) {
			escaped = strings.ReplaceAll(escaped, `\-`, "-")
			escaped = strings.ReplaceAll(escaped, `\(aq`, "'")
		}
		words[i] = escaped
	}
	return strings.Join(words, " ")
}

// isProse reports whether a word is none of what is typed: it has letters on both
// sides of each hyphen and apostrophe, and nothing else but punctuation around it.
func isProse(word string) bool {
	word = strings.TrimFunc(word, func(r rune) bool { return strings.ContainsRune(`.,;:!?()«»“”"`, r) })
	for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return r == '-' || r == '\'' }) {
		if strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return false
		}
	}
	return !strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "'") && !strings.HasSuffix(word, "-")
}

// markdown lets a text stand for itself in what roff reads.
func markdown(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "`", "\\`", "\n", " ").Replace(text)
}
