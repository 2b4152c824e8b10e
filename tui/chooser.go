package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// chooser lets the person choose among many by writing words that the answer has.
type chooser struct {
	*env
	title, text string
	input       input
	problem     string // with what was written last
	options     []option
	hints       []string // what stands at the right of the options; nil: nothing
	at          scroll
	height      int // of the options
}

// found are the options that have all words, as indices: first those where each word of the
// person begins one of the option's.
func (c *chooser) found() []int {
	var begun, others []int
	words := strings.Fields(strings.ToLower(c.input.value()))
	for i, o := range c.options {
		text, all, begins := strings.ToLower(o.text), true, true
		for _, word := range words {
			all = all && strings.Contains(text, word)
			begins = begins && strings.Contains(" "+text, " "+word)
		}
		switch {
		case begins:
			begun = append(begun, i)
		case all:
			others = append(others, i)
		}
	}
	return append(begun, others...)
}

func (c *chooser) keys() keyTable {
	move := func(name string) tea.Cmd {
		c.at.move(name, len(c.found()), max(c.height, 1))
		return nil
	}
	return keyTable{
		{keys: "up down", text: "tui.key_move", doKey: move},
		{keys: "enter", text: "tui.key_choose", do: c.choose},
		{keys: "tab", text: "tui.key_complete", do: c.complete},
		{keys: "esc", text: "tui.key_cancel", do: c.close},
		{keys: "pgup pgdown", doKey: move},
	}
}

// selected is the option that keys work on.
func (c *chooser) selected() (o option, there bool) {
	found := c.found()
	if c.at.pos >= len(found) {
		return option{}, false
	}
	return c.options[found[c.at.pos]], true
}

func (c *chooser) choose() tea.Cmd {
	o, there := c.selected()
	if !there {
		return nil
	}
	c.close()
	return o.choose()
}

// complete writes the selected option whole.
func (c *chooser) complete() tea.Cmd {
	if o, there := c.selected(); there {
		c.input.set(o.text)
		c.at = scroll{}
	}
	return nil
}

func (c *chooser) typing() bool { return true }

func (c *chooser) write(k tea.KeyMsg) {
	c.problem = ""
	if !c.input.press(k) {
		c.problem = c.t("tui.not_all", "n", number(maxInput))
	}
	c.at = scroll{}
}

func (c *chooser) done(doneMsg) bool { return false }

func (c *chooser) view(width, height int) (string, []string) {
	var lines []string
	if c.text != "" {
		lines = append(cells.Wrap(c.text, width), "")
	}
	problem := c.style.bad.Render(cells.Truncate(c.problem, width))
	lines = append(shorten(lines, height-4), c.input.view(c.style, width, true), problem)
	found := c.found()
	c.height = max(height-len(lines), 1)
	c.at.fit(len(found), c.height)
	end := min(len(found), c.at.top+c.height)
	for n := c.at.top; n < end; n++ {
		text := c.options[found[n]].text
		if c.hints != nil {
			hint := c.hints[found[n]]
			text = cells.Left(text, width-markWidth-cells.Width(hint)-1) + " " + hint
		}
		lines = append(lines, c.selectable(text, n == c.at.pos, width))
	}
	if len(found) == 0 {
		lines = append(lines, c.style.dim.Render("  "+c.t("tui.nothing_such")))
	}
	if len(found) > c.height {
		return part(c.title, c.at.top, end, len(found), width), lines
	}
	return c.title, lines
}

// chooseApp is a chooser of an app.
func (e *env) chooseApp(chosen func(control.App) tea.Cmd) *chooser {
	c := &chooser{env: e, title: e.t("tui.choose_app"), input: newInput("")}
	for _, a := range e.apps {
		c.options = append(c.options, option{cells.Plain(a.Title), func() tea.Cmd { return chosen(a) }})
	}
	return c
}
