package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// everywhere is the table of the keys that work on every screen.
func (p *Panel) everywhere() keyTable {
	return keyTable{
		{keys: "1 2 3 4 5", shown: "1 … 5", text: "tui.key_screens", doKey: p.showTab},
		{keys: "alt+1 alt+2 alt+3 alt+4 alt+5", shown: "alt+1 … 5", text: "tui.key_screens_typing", doKey: p.showTab},
		{keys: "tab shift+tab", text: "tui.key_next", doKey: p.showNext},
		{keys: "f alt+f", shown: "f", text: "tui.key_find_person", do: p.env.askPerson},
		{keys: ": alt+:", shown: ":", text: "tui.key_command", do: p.askCommand},
		{keys: "esc", text: "tui.key_back"}, // each screen and each dialog has its own
		p.helpKeys(),
		{keys: "ctrl+l", text: "tui.key_redraw", do: func() tea.Cmd { return tea.ClearScreen }},
		p.quitKeys(),
		{keys: "ctrl+z", do: func() tea.Cmd { return tea.Suspend }},
	}
}

func (p *Panel) helpKeys() keyRow {
	return keyRow{keys: "? f1", text: "tui.key_help", do: func() tea.Cmd { return p.env.open(p.help()) }}
}

func (p *Panel) quitKeys() keyRow {
	return keyRow{keys: "q ctrl+c", text: "tui.key_quit", do: func() tea.Cmd { return tea.Quit }}
}

// help lists the keys of the screen, those of lists and those that work everywhere.
func (p *Panel) help() *reader {
	e := p.env
	var lines []string
	list := func(title string, table keyTable) {
		lines = append(lines, title)
		for _, h := range e.hints(table) {
			lines = append(lines, "  "+cells.Left(keyNames(h.keys), 16)+"  "+h.text)
		}
		lines = append(lines, "")
	}
	list(e.shown.tab(), e.shown.keys())
	list(e.t("tui.help_moving"), moving(nil))
	list(e.t("tui.help_everywhere"), p.everywhere())
	lines = append(lines, e.t("tui.help_copying"), "  "+e.t("tui.help_clipboard"), "")
	return &reader{env: e, title: e.t("tui.help"), lines: append(lines, e.t("tui.help_layout"))}
}
