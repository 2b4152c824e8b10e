package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// sorting is by which column the rows of a table are sorted, and which column the person
// has selected. The screen draws the table first, and so says which columns there are.
type sorting struct {
	by      string // as column.sort has it, after a minus for the reverse
	column  int    // of grid
	grid    grid
	changed func() tea.Cmd
}

// keys select a column, and sort by it.
func (s *sorting) keys() keyTable {
	return keyTable{
		{keys: "s", text: "tui.key_sort", do: s.turn},
		{keys: "< >", text: "tui.key_column", doKey: s.step},
	}
}

// step selects the next column that is to be seen and can be sorted by.
func (s *sorting) step(name string) tea.Cmd {
	by := 1
	if name == "<" {
		by = -1
	}
	for at := s.column + by; at >= 0 && at < len(s.grid.columns); at += by {
		if s.grid.widths[at] > 0 && s.grid.columns[at].sort != "" {
			s.column = at
			break
		}
	}
	return nil
}

// turn sorts by the selected column; if it is sorted so already, backwards.
func (s *sorting) turn() tea.Cmd {
	if s.column >= len(s.grid.columns) {
		return nil
	}
	by := s.grid.columns[s.column].sort
	if s.by == by {
		by = "-" + by
	}
	s.by = by
	return s.changed()
}

// titled are the columns, with a sign at the one by which the rows are sorted.
func (s *sorting) titled(columns []column) []column {
	columns = slices.Clone(columns)
	for i, c := range columns {
		switch s.by {
		case "":
		case c.sort:
			columns[i].title += "▲"
		case "-" + c.sort:
			columns[i].title += "▼"
		}
	}
	return columns
}

// heading is the row of titles of a table that is being drawn, the selected one apart.
func (s *sorting) heading(e *env, table grid) string {
	s.grid = table
	if s.column < len(table.widths) && table.widths[s.column] == 0 { // it is no longer there
		s.column = 0
	}
	return strings.Repeat(" ", markWidth) + table.set(table.titles(), func(i int, cell string) string {
		if i != s.column {
			return e.style.label.Render(cell)
		}
		text := strings.TrimSpace(cell)
		before, after, _ := strings.Cut(cell, text)
		return before + e.style.column.Render(text) + after
	})
}

// sign is a sort order as a person is shown it.
func sign(title, key, by string) string {
	switch by {
	case key:
		return cells.Plain(title) + " ▲"
	case "-" + key:
		return cells.Plain(title) + " ▼"
	}
	return cells.Plain(title)
}
