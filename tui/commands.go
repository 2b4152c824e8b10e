package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// askCommand opens a line in which the person writes what to do: each screen and each
// action of a table of keys has its place there, those of the screen that is shown first.
func (p *Panel) askCommand() tea.Cmd {
	e := p.env
	c := &chooser{env: e, title: e.t("tui.commands"), input: newInput(""), hints: []string{}}
	add := func(text, hint string, do func() tea.Cmd) {
		c.options, c.hints = append(c.options, option{text, do}), append(c.hints, hint)
	}
	table := func(before string, t keyTable, lead func() tea.Cmd) {
		for _, row := range t {
			keys := strings.Fields(row.keys)
			do := row.do
			if do == nil && row.doKey != nil && len(keys) == 1 {
				do = func() tea.Cmd { return row.doKey(keys[0]) }
			}
			if row.text == "" || do == nil || before != "" && slices.ContainsFunc(c.options, func(o option) bool { return o.text == before+e.t(row.text) }) {
				continue
			}
			add(before+e.t(row.text), keyNames(keys[:1]), func() tea.Cmd { return tea.Batch(lead(), do()) })
		}
	}
	stay := func() tea.Cmd { return nil }
	table("", e.shown.keys(), stay)
	for i, s := range p.screens {
		if s != e.shown {
			add(s.tab(), string(rune('1'+i)), func() tea.Cmd { return p.show(s) })
		}
	}
	table("", p.everywhere(), stay)
	for _, s := range p.screens {
		if s != e.shown {
			table(s.tab()+": ", s.keys(), func() tea.Cmd { return p.show(s) })
		}
	}
	if p.apps.opened == "" { // its detail has more
		table(p.apps.tab()+": ", p.apps.detailKeys(), func() tea.Cmd {
			return tea.Batch(p.show(p.apps), p.apps.withApp(p.apps.openDetail)())
		})
	}
	return e.open(c)
}
