package tui

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// input is a text that the person edits. The editing is that of Bubbles; what is
// shown is made harmless and measured here, for a text that is pasted may hold
// anything.
type input struct {
	model textinput.Model
	lines bool // the text may have several lines
}

// maxInput bounds what can be typed or pasted, in characters.
const maxInput = 20_000

// lineBreaks turns line breaks as texts have them into those of the model.
var lineBreaks = strings.NewReplacer(
	"\r\n", string(lineBreak),
	"\n", string(lineBreak),
	"\r", string(lineBreak),
)

// lineBreak stands for a line break in the model, which edits single lines: a
// character of the private use area, that texts do not have.
const lineBreak = '\ue00a'

func newInput(text string) input {
	m := textinput.New()
	m.CharLimit = maxInput
	m.Focus()
	in := input{model: m}
	in.set(text)
	return in
}

func (in *input) value() string { return strings.ReplaceAll(in.model.Value(), string(lineBreak), "\n") }

func (in *input) set(text string) {
	if in.lines {
		text = strings.ReplaceAll(text, "\n", string(lineBreak))
	}
	in.model.SetValue(text)
	in.model.CursorEnd()
}

// press edits the text. It reports false if there was no room for all that was pasted.
func (in *input) press(k tea.KeyMsg) bool {
	if in.lines && k.Type == tea.KeyEnter {
		k = tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{lineBreak}}
	} else if in.lines && k.Type == tea.KeyRunes {
		k.Runes = []rune(lineBreaks.Replace(string(k.Runes)))
	}
	// Several letters at once are text, even if they are what a key is called.
	k.Paste = k.Paste || k.Type == tea.KeyRunes && len(k.Runes) > 1
	room := in.model.CharLimit - utf8.RuneCountInString(in.model.Value())
	in.model, _ = in.model.Update(k)
	return k.Type != tea.KeyRunes || len(k.Runes) <= room
}

// view shows the text in a line of exactly width cells, with the cursor if the
// input has the focus.
func (in *input) view(style styles, width int, focus bool) string {
	runes := []rune(in.model.Value())
	if !focus {
		return style.line(cells.Left(cells.Plain(string(runes)), width), false)
	}
	at := in.model.Position()
	before := cells.Plain(string(runes[:at]))
	under, after := " ", ""
	if at < len(runes) {
		under, after = underCursor(runes[at]), cells.Plain(string(runes[at+1:]))
	}
	room := max(width-cells.Width(under), 0)
	// As much of what stands before the cursor as leaves a third for what follows.
	shown := cells.Width(before)
	if most := max(room-min(cells.Width(after), room/3), 0); shown > most {
		before = cells.Left("…"+cells.Cut(before, shown-most+1, shown), most)
	}
	after = cells.Left(after, room-cells.Width(before))
	return style.line(before, true) + style.cursor.Render(under) + style.line(after, true)
}

// underCursor is what the cursor shows of a character.
func underCursor(r rune) string {
	text := cells.Plain(string(r))
	if cells.Width(text) == 0 { // a mark on the letter before it
		return " "
	}
	return text
}

// area shows a text of several lines in height lines of at most width cells.
func (in *input) area(style styles, width, height int, focus bool) []string {
	type line struct{ before, under, after string }
	lines := []line{{}}
	used, cursorLine := 0, 0
	last := func() *line { return &lines[len(lines)-1] }
	wrap := func() {
		lines = append(lines, line{})
		used = 0
	}
	put := func(text string, cursor bool) {
		if used += cells.Width(text); used > width {
			wrap()
			used = cells.Width(text)
		}
		switch l := last(); {
		case cursor:
			l.under, cursorLine = text, len(lines)-1
		case l.under != "":
			l.after += text
		default:
			l.before += text
		}
	}
	runes := []rune(in.model.Value())
	at := in.model.Position()
	for i, r := range runes {
		cursor := focus && i == at
		switch {
		case r == lineBreak:
			if cursor {
				put(" ", true)
			}
			wrap()
		case cursor:
			put(underCursor(r), true)
		default:
			put(cells.Plain(string(r)), false)
		}
	}
	if focus && at >= len(runes) {
		put(" ", true)
	}
	top := max(min(cursorLine-height/2, len(lines)-height), 0)
	shown := make([]string, 0, height)
	for _, l := range lines[top:min(top+height, len(lines))] {
		if !focus {
			if len(shown) == height-1 && len(lines) > height {
				l.before = cells.Cut(l.before, 0, width-1) + "…"
			}
			shown = append(shown, style.line(cells.Left(l.before, width), false))
			continue
		}
		rest := width - cells.Width(l.before) - cells.Width(l.under)
		text := style.line(l.before, true)
		if l.under != "" {
			text += style.cursor.Render(l.under)
		}
		shown = append(shown, text+style.line(cells.Left(l.after, rest), true))
	}
	for len(shown) < height {
		shown = append(shown, style.line(strings.Repeat(" ", width), false))
	}
	return shown
}
