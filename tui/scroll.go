package tui

import tea "github.com/charmbracelet/bubbletea"

// scroll is a window over rows, and the row in it that keys work on. The zero
// value is at the first row.
type scroll struct{ pos, top int }

// fit keeps the selected row among total ones, and in a window of height rows.
func (s *scroll) fit(total, height int) {
	s.pos = max(min(s.pos, total-1), 0)
	height = max(height, 1)
	if s.pos < s.top {
		s.top = s.pos
	}
	if s.pos >= s.top+height {
		s.top = s.pos - height + 1
	}
	s.top = max(min(s.top, total-height), 0)
}

// below says how many of total rows are cut off below a window of height rows, for a title;
// nothing if none is.
func (e *env) below(at scroll, total, height int) string {
	hidden := total - at.top - height
	if hidden <= 0 {
		return ""
	}
	return " · " + e.t("tui.more_below", "n", number(hidden))
}

// moving is the table of the keys that move in rows.
func moving(move func(name string) tea.Cmd) keyTable {
	return keyTable{
		{keys: "up down k j", text: "tui.key_move", doKey: move},
		{keys: "pgup pgdown ctrl+b ctrl+f ctrl+u ctrl+d", shown: "pgup pgdown", text: "tui.key_page", doKey: move},
		{keys: "home end g G", text: "tui.key_ends", doKey: move},
	}
}

// move moves by a key of the table moving.
func (s *scroll) move(name string, total, height int) {
	switch name {
	case "up", "k":
		s.pos--
	case "down", "j":
		s.pos++
	case "pgup", "ctrl+b":
		s.pos -= height
		s.top -= height
	case "pgdown", "ctrl+f":
		s.pos += height
		s.top += height
	case "ctrl+u":
		s.pos -= height / 2
	case "ctrl+d":
		s.pos += height / 2
	case "home", "g":
		s.pos = 0
	case "end", "G":
		s.pos = total - 1
	}
	s.fit(total, height)
}
