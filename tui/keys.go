package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// keyRow is a row of a table of keys. The footer, the help and what is done when
// a key is pressed all come from it.
type keyRow struct {
	// keys are the names of the keys, as command gives them, with blanks between.
	keys string
	// shown are those that the help lists, and the footer the first one of; empty:
	// all of them.
	shown string
	// text is the id of what the row does, in the catalogue. A row without one works
	// and is not shown.
	text string
	// do does it. A row without do and doKey says what a key does elsewhere: in the
	// text that is being written, or on every screen.
	do func() tea.Cmd
	// doKey is do where the keys of the row differ in what they do.
	doKey func(name string) tea.Cmd
}

// keyTable is what keys do somewhere, the most useful ones first.
type keyTable []keyRow

// press does what a key does, and reports whether the table has it.
func (t keyTable) press(name string) (cmd tea.Cmd, has bool) {
	for _, row := range t {
		switch {
		case name == "" || !slices.Contains(strings.Fields(row.keys), name):
		case row.do != nil:
			return row.do(), true
		case row.doKey != nil:
			return row.doKey(name), true
		}
	}
	return nil, false
}

// unseen is the table without texts.
func (t keyTable) unseen() keyTable {
	for i := range t {
		t[i].text = ""
	}
	return t
}

// whileTyping is the row with those of its keys that are neither text nor keys of a
// form.
func (row keyRow) whileTyping() keyRow {
	row.keys = strings.Join(slices.DeleteFunc(strings.Fields(row.keys), func(name string) bool {
		return name != "f1" && !strings.HasPrefix(name, "alt+") && !strings.HasPrefix(name, "ctrl+")
	}), " ")
	return row
}

// whileTyping is the table as it holds while text is being written.
func (t keyTable) whileTyping() keyTable {
	reduced := make(keyTable, len(t))
	for i, row := range t {
		reduced[i] = row.whileTyping()
	}
	return reduced
}

// hint is a row as a person is shown it.
type hint struct {
	keys []string
	text string
}

// hints are the rows of a table that are shown.
func (e *env) hints(t keyTable) []hint {
	var hints []hint
	for _, row := range t {
		if row.text == "" {
			continue
		}
		shown := row.shown
		if shown == "" {
			shown = row.keys
		}
		hints = append(hints, hint{strings.Fields(shown), e.t(row.text)})
	}
	return hints
}

// short is what the footer calls the keys.
func (h hint) short() string {
	if len(h.keys) > 1 && h.keys[0] == "up" && h.keys[1] == "down" {
		return "↑↓"
	}
	return keyNames(h.keys[:1])
}

var keySigns = map[string]string{
	"up": "↑", "down": "↓", "left": "←", "right": "→", "pgdown": "pgdn", "shift+tab": "⇧tab",
}

// keyNames are what keys are called on the screen.
func keyNames(names []string) string {
	signs := make([]string, len(names))
	for i, name := range names {
		signs[i] = name
		if sign := keySigns[name]; sign != "" {
			signs[i] = sign
		}
	}
	return strings.Join(signs, " ")
}

// russian are the letters of the Russian layout at the places of Latin ones, and
// its signs at those of the slash and the question mark.
var russian = func() map[rune]rune {
	const (
		cyrillic = "йцукенгшщзфывапролдячсмитьЙЦУКЕНГШЩЗФЫВАПРОЛДЯЧСМИТЬБЮ.,"
		latin    = "qwertyuiopasdfghjklzxcvbnmQWERTYUIOPASDFGHJKLZXCVBNM<>/?"
	)
	places := make(map[rune]rune)
	at := []rune(latin)
	for i, r := range []rune(cyrillic) {
		places[r] = at[i]
	}
	return places
}()

// asLatin returns the key in the Latin layout: commands work whichever layout is
// on. It is not for text.
func asLatin(k tea.KeyMsg) tea.KeyMsg {
	if k.Type == tea.KeyRunes && len(k.Runes) == 1 && !k.Paste {
		if r, there := russian[k.Runes[0]]; there {
			k.Runes = []rune{r}
		}
	}
	return k
}

// command is the name of a key, and nothing if it is text: a terminal that lags
// sends several letters at once, and «esc» is a word as well.
func command(k tea.KeyMsg) string {
	if k.Type == tea.KeyRunes && (len(k.Runes) > 1 || k.Paste) {
		return ""
	}
	if name := k.String(); name != " " {
		return name
	}
	return "space"
}
