// Package cells measures, cuts and wraps plain text in the cells of a terminal, for
// the columns of the panel and the tables of the command line. It knows no colours:
// style text after it fits.
package cells

import (
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"

	"github.com/pns4ones/pns4ones/config/locale"
)

// measure does not depend on the locale of the person: it is the other side, the
// terminal, that decides, and all that matter show ambiguous characters narrow.
var measure = &runewidth.Condition{StrictEmojiNeutral: true}

const ellipsis = "…"

// Plain makes a text from outside fit for a column: harmless, see locale.Clean,
// and of a width that all terminals agree on. Characters that join others to one
// picture are left out, for some terminals draw the picture and some its parts.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\u200d', r >= '\ufe00' && r <= '\ufe0f', r >= 0x1f3fb && r <= 0x1f3ff:
			return -1 // joiners, selectors of a variation, tones of skin
		case r >= 0x1f1e6 && r <= 0x1f1ff:
			return 'A' + r - 0x1f1e6 // the letters of a flag
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r), r < 0x300:
			return r
		case measure.RuneWidth(r) == 0:
			return '\ufffd' // of no width, and yet no mark on another letter
		}
		return r
	}, locale.Clean(text))
}

// Width is the number of cells that a text takes.
func Width(text string) int {
	width := 0
	for _, r := range text {
		width += measure.RuneWidth(r)
	}
	return width
}

// Cut returns what stands in the cells from (included) to (excluded). Of a wide
// character that is cut in two, a blank stays.
func Cut(text string, from, to int) string {
	var b strings.Builder
	at := 0
	for _, r := range text {
		width := measure.RuneWidth(r)
		begin, end := at, at+width
		at = end
		switch {
		case width == 0 && (begin > from || from == 0) && begin <= to:
			b.WriteRune(r) // a mark on the letter before it
		case end <= from || begin >= to:
		case begin >= from && end <= to:
			b.WriteRune(r)
		default:
			b.WriteString(strings.Repeat(" ", min(end, to)-max(begin, from)))
		}
	}
	return b.String()
}

// Truncate returns a text of at most that many cells; where something is left
// out, it ends in an ellipsis.
func Truncate(text string, width int) string {
	switch {
	case Width(text) <= width:
		return text
	case width <= 0:
		return ""
	}
	return strings.TrimRight(Cut(text, 0, width-1), " ") + ellipsis
}

// Left returns a text of exactly that many cells, blanks after it.
func Left(text string, width int) string {
	text = Truncate(text, width)
	return text + strings.Repeat(" ", max(width-Width(text), 0))
}

// Right is Left with the blanks before the text.
func Right(text string, width int) string {
	text = Truncate(text, width)
	return strings.Repeat(" ", max(width-Width(text), 0)) + text
}

// Wrap breaks a text into lines of at most width cells, at blanks where it can.
// Blanks at the beginning are the indentation of all of its lines.
func Wrap(text string, width int) []string {
	width = max(width, 1)
	text = strings.TrimRight(text, " ")
	unindented := strings.TrimLeft(text, " ")
	indent := strings.Repeat(" ", min(len(text)-len(unindented), max(width-2, 0)/2))
	room := width - len(indent)
	var lines []string
	for rest := unindented; rest != "" || len(lines) == 0; {
		end := lineEnd(rest, room)
		lines = append(lines, indent+strings.TrimRight(rest[:end], " "))
		rest = strings.TrimLeft(rest[end:], " ")
	}
	return lines
}

// lineEnd returns how many bytes of a text go into a line: all if they fit, else up
// to the last blank, or as many characters as fit, and one at least.
func lineEnd(text string, room int) int {
	used, blank := 0, 0
	for i, r := range text {
		width := measure.RuneWidth(r)
		if used+width > room && i > 0 {
			if r == ' ' {
				return i
			}
			if blank > 0 {
				return blank
			}
			return i
		}
		used += width
		if r == ' ' {
			blank = i
		}
	}
	return len(text)
}
