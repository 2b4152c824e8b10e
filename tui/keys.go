package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// bind makes a binding of keys, the first of which the person is shown, with what
// it does as the text of that id.
func (e *env) bind(id string, keys ...string) key.Binding {
	name := keyName(keys[0])
	if len(keys) > 1 && keys[0] == "up" && keys[1] == "down" {
		name = "↑↓"
	}
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(name, e.t(id)))
}

var keyNames = map[string]string{
	"up": "↑", "down": "↓", "left": "←", "right": "→", "pgdown": "pgdn", " ": "space", "shift+tab": "⇧tab",
}

// keyName is what a key is called on the screen.
func keyName(k string) string {
	if name := keyNames[k]; name != "" {
		return name
	}
	return k
}

// russian are the letters of the Russian layout at the places of Latin ones, and
// its signs at those of the slash and the question mark.
var russian = func() map[rune]rune {
	const (
		cyrillic = "йцукенгшщзфывапролдячсмитьЙЦУКЕНГШЩЗФЫВАПРОЛДЯЧСМИТЬ.,"
		latin    = "qwertyuiopasdfghjklzxcvbnmQWERTYUIOPASDFGHJKLZXCVBNM/?"
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

// command is what a key is called, and nothing if it is text: a terminal that lags
// sends several letters at once, and «esc» is a word as well.
func command(k tea.KeyMsg) string {
	if k.Type == tea.KeyRunes && (len(k.Runes) > 1 || k.Paste) {
		return ""
	}
	return k.String()
}
