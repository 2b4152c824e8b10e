package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/internal/cells"
)

// filter is the text that rows must contain, and its line above them.
type filter struct {
	*env
	text   string
	typing bool
	input  input
	before string // the text before it was edited
}

func newFilter(e *env) filter { return filter{env: e} }

func (f *filter) keys() []key.Binding {
	return []key.Binding{f.bind("tui.key_done", "enter"), f.bind("tui.key_cancel", "esc")}
}

func (f *filter) begin() { f.typing, f.before, f.input = true, f.text, newInput(f.text) }

func (f *filter) clear() { f.typing, f.text = false, "" }

// press edits the text, which holds at once, and tells whether it is another one.
func (f *filter) press(k tea.KeyMsg) (changed bool) {
	before := f.text
	switch command(k) {
	case "enter":
		f.typing = false
	case "esc":
		f.typing, f.text = false, f.before
	default:
		f.input.press(k)
		f.text = f.input.value()
	}
	return f.text != before
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
		return line + "   " + f.style.label.Render(label) + f.style.warn.Render(cells.Truncate(cells.Plain(f.text), room))
	}
	return line
}
