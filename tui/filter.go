package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// filter is the text that rows must contain, and its line above them.
type filter struct {
	*env
	text    string
	changed func() tea.Cmd // is called when the text is another one
	typing  bool
	input   input
	before  string // the text before it was edited
}

func newFilter(e *env, changed func() tea.Cmd) filter { return filter{env: e, changed: changed} }

// keys end the editing.
func (f *filter) keys() keyTable {
	end := func(text string) func() tea.Cmd {
		return func() tea.Cmd {
			f.typing = false
			return f.become(text)
		}
	}
	return keyTable{
		{keys: "enter", text: "tui.key_done", do: end(f.text)},
		{keys: "esc", text: "tui.key_cancel", do: end(f.before)},
	}
}

func (f *filter) begin() tea.Cmd {
	f.typing, f.before, f.input = true, f.text, newInput(f.text)
	return nil
}

func (f *filter) clear() { f.typing, f.text = false, "" }

// write edits the text, which holds at once.
func (f *filter) write(k tea.KeyMsg) tea.Cmd {
	if !f.input.press(k) {
		f.complain(f.t("tui.not_all", "n", number(maxInput)))
	}
	return f.become(f.input.value())
}

func (f *filter) become(text string) tea.Cmd {
	if text == f.text {
		return nil
	}
	f.text = text
	return f.changed()
}

// view is the line: what is shown at the left, the filter after it.
func (f *filter) view(title string, width int) string {
	label := f.t("tui.filter") + " "
	title = cells.Truncate(title, width-markWidth-20)
	line := "  " + f.style.title.Render(title)
	room := width - markWidth - cells.Width(title) - 3 - cells.Width(label) - 1
	switch {
	case f.typing:
		return line + "   " + f.style.label.Render(label) + f.input.view(f.style, room, true)
	case f.text != "":
		text := cells.Truncate(cells.Plain(f.text), room)
		return line + "   " + f.style.label.Render(label) + f.style.warn.Render(text)
	}
	return line
}
