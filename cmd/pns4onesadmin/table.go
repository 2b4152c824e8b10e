package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// column heads a column of a table.
type column struct {
	title  string
	number bool // aligned to the right on a terminal
	whole  bool // never cut: half a time is none
	spare  bool // left out first where a terminal is too narrow
}

// Widths of columns on a terminal that cannot show them in full, in cells.
const (
	comfortWidth = 12 // a text is still told from others; below it spare columns go
	comfortHead  = 9  // a head of a number is still understood; below it spare columns go
	leastWidth   = 6  // no column of texts is narrower
)

// columnGap is what stands between two columns.
const columnGap = "  "

// printTable writes rows below their heads. Widths are cells of the terminal, not
// letters. On a terminal a table is as wide as that at most: columns that are empty
// everywhere and then spare ones are left out, and texts are cut, so that no line is
// wrapped. For scripts, and with -o wide, it is as wide as it is.
func (p *program) printTable(columns []column, rows [][]string) {
	width := p.tableWidth()
	if width == 0 {
		p.writeTable(columns, rows, naturalWidths(columns, rows), 0)
		return
	}
	var missing []string
	for i := len(columns) - 1; i >= 0; i-- {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) && len(rows) > 0 {
			columns, rows = without(columns, rows, i)
		}
	}
	for i := len(columns) - 1; i >= 0; i-- {
		if columns[i].spare && leastTableWidth(columns, rows, comfortWidth) > width {
			missing = append(missing, columns[i].title)
			columns, rows = without(columns, rows, i)
		}
	}
	p.writeTable(columns, rows, fittedWidths(columns, rows, width), width)
	if len(missing) > 0 {
		slices.Reverse(missing)
		p.say("admin.columns_left_out", "columns", strings.Join(missing, "; "))
	}
}

// tableWidth is how many cells a table may take; 0: as many as it likes.
func (p *program) tableWidth() int {
	if p.wide() {
		return 0
	}
	if p.screenWidth > 0 {
		return p.screenWidth
	}
	fd, onTerminal := p.terminal()
	if !onTerminal {
		return 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil {
		return 0
	}
	return width
}

// writeTable writes a table with columns of these widths; limit is that of a line, 0:
// none.
func (p *program) writeTable(columns []column, rows [][]string, widths []int, limit int) {
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = c.title
	}
	for _, row := range append([][]string{head}, rows...) {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString(columnGap)
			}
			if columns[i].number && p.aligned() {
				b.WriteString(cells.Right(cell, widths[i]))
			} else {
				b.WriteString(cells.Left(cell, widths[i]))
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if limit > 0 {
			line = cells.Truncate(line, limit)
		}
		fmt.Fprintln(p.stdout, line)
	}
}

// aligned reports whether numbers stand right: scripts get every column as it always was.
func (p *program) aligned() bool {
	_, onTerminal := p.terminal()
	return onTerminal || p.screenWidth > 0
}

// without is a table without its column i.
func without(columns []column, rows [][]string, i int) ([]column, [][]string) {
	fewer := make([][]string, len(rows))
	for at, row := range rows {
		fewer[at] = slices.Delete(slices.Clone(row), i, i+1)
	}
	return slices.Delete(slices.Clone(columns), i, i+1), fewer
}

// naturalWidths are those that everything fits into.
func naturalWidths(columns []column, rows [][]string) []int {
	widths := contentWidths(columns, rows)
	for i, c := range columns {
		widths[i] = max(widths[i], cells.Width(c.title))
	}
	return widths
}

// contentWidths are those that everything but the heads fits into.
func contentWidths(columns []column, rows [][]string) []int {
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], cells.Width(cell))
		}
	}
	return widths
}

// leastWidths are those below which a table is not cut: of a number or a time nothing is, of
// a text or a head all beyond least.
func leastWidths(columns []column, rows [][]string, least int) []int {
	widths := naturalWidths(columns, rows)
	for i, content := range contentWidths(columns, rows) {
		if columns[i].number || columns[i].whole {
			widths[i] = min(widths[i], max(content, min(least, comfortHead)))
		} else {
			widths[i] = min(widths[i], least)
		}
	}
	return widths
}

func leastTableWidth(columns []column, rows [][]string, least int) int {
	return lineWidth(leastWidths(columns, rows, least))
}

func lineWidth(widths []int) int {
	width := len(columnGap) * max(len(widths)-1, 0)
	for _, w := range widths {
		width += w
	}
	return width
}

// fittedWidths are those of a table that is to fit: the widest columns give way first.
func fittedWidths(columns []column, rows [][]string, width int) []int {
	widths, least := naturalWidths(columns, rows), leastWidths(columns, rows, leastWidth)
	for lineWidth(widths) > width {
		widest := -1
		for i, w := range widths {
			if w > least[i] && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // too narrow for all: the lines are cut
		}
		widths[widest]--
	}
	return widths
}

// How much of an app's title and of an id a table shows, in cells: one long id would
// pad every row. A UUID has 36.
const (
	maxTitleWidth = 24
	maxIDWidth    = 40
)

// short is as much of a text that is harmless as a table shows.
func (p *program) short(text string) string { return p.cut(text, maxIDWidth) }

// shortID is an id as a table shows it.
func (p *program) shortID(id string) string { return p.short(locale.Clean(id)) }

// shortTitle is as much of an app's title as a table shows.
func (p *program) shortTitle(title string) string { return p.cut(locale.Clean(title), maxTitleWidth) }

func (p *program) cut(text string, width int) string {
	if p.wide() {
		return text
	}
	return cells.Truncate(text, width)
}
