package tui

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// column is a column of a table. Widths are in cells.
type column struct {
	title    string
	min, max int
	right    bool // the text stands at the right
	// yields says which columns give way where there is no room for all: those of
	// the highest number; never those of 0.
	yields int
	// sort is the word by which the daemon sorts by this column.
	sort string
}

// grid is how the columns of a table lie in a width.
type grid struct {
	columns []column
	widths  []int // 0: there is no room for the column
	gap     int
}

// layout gives each column its place. Where there is no room, columns first stand
// closer, then some give way; what is left of width is shared by those that can use
// it.
func layout(columns []column, width int) grid {
	const gap, narrow = 2, 1
	least := -gap
	for _, c := range columns {
		if c.max > 0 {
			least += c.min + gap
		}
	}
	if least <= width {
		return place(columns, width, gap)
	}
	return place(columns, width, narrow)
}

// fit is layout for these rows: each column is as wide as what is in it needs, and one
// with nothing in it is left out, but for the first.
func fit(columns []column, rows [][]string, width int) grid {
	fitted := slices.Clone(columns)
	for i := range fitted {
		widest := 0
		for _, row := range rows {
			widest = max(widest, cells.Width(row[i]))
		}
		c := &fitted[i]
		if widest == 0 && i > 0 {
			c.min, c.max = 0, 0
			continue
		}
		c.max = max(widest, cells.Width(c.title))
		c.min = min(c.min, c.max)
		if width < phoneWidth-markWidth { // all give way to the first
			if i == 0 {
				c.min = min(c.max, width)
			} else {
				c.yields++
			}
		}
	}
	return layout(fitted, width)
}

func place(columns []column, width, gap int) grid {
	widths := make([]int, len(columns))
	used := -gap
	for i, c := range columns {
		if c.max > 0 {
			widths[i] = c.min
			used += c.min + gap
		}
	}
	for used > width {
		worst := -1
		for i, c := range columns {
			if widths[i] > 0 && c.yields > 0 && (worst < 0 || c.yields >= columns[worst].yields) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		used -= widths[worst] + gap
		widths[worst] = 0
	}
	for grown := true; grown && used < width; {
		grown = false
		for i, c := range columns {
			if widths[i] > 0 && widths[i] < c.max && used < width {
				widths[i]++
				used++
				grown = true
			}
		}
	}
	return grid{columns, widths, gap}
}

// row sets texts in the columns. Texts are plain.
func (g grid) row(texts []string) string {
	return g.set(texts, func(_ int, cell string) string { return cell })
}

// set sets texts in the columns, each in a style of its own.
func (g grid) set(texts []string, style func(i int, cell string) string) string {
	var b strings.Builder
	for i, c := range g.columns {
		if g.widths[i] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(strings.Repeat(" ", g.gap))
		}
		if c.right {
			b.WriteString(style(i, cells.Right(texts[i], g.widths[i])))
		} else {
			b.WriteString(style(i, cells.Left(texts[i], g.widths[i])))
		}
	}
	return b.String()
}

// headings are the titles of the columns as a row.
func (g grid) headings() string { return g.row(g.titles()) }

func (g grid) titles() []string {
	titles := make([]string, len(g.columns))
	for i, c := range g.columns {
		titles[i] = c.title
	}
	return titles
}

// markWidth is the margin of rows, where the selected one has its mark.
const markWidth = 2

// selectable is a row in its style, and with a mark, of exactly width cells.
func (e *env) selectable(text string, selected bool, width int) string {
	if selected {
		return e.style.selected.Render(cells.Left("› "+text, width))
	}
	return "  " + cells.Left(text, width-markWidth)
}

// markable is a row that can be marked as well, see marks.
func (e *env) markable(text string, selected, marked bool, width int) string {
	switch {
	case selected && marked:
		return e.style.selected.Render(cells.Left("›*"+text, width))
	case marked:
		return e.style.tab.Render(cells.Left("* "+text, width))
	}
	return e.selectable(text, selected, width)
}

// From sideFrom cells on, a list leaves its right side to the details of the selected
// row.
const sideFrom = 140

// sideWidth is the width of the right side on a screen of that width; 0: there is none.
func sideWidth(width int) int {
	if width < sideFrom {
		return 0
	}
	return min(width*2/5, 76)
}

// withDetails is a list, and beside it the details of its selected row where there is room
// for them. Both are given the width that they may take.
func (e *env) withDetails(width, height int, list, details func(width int) []string) []string {
	side := sideWidth(width)
	if side == 0 {
		return list(width)
	}
	return e.beside(list(width-side-1), details(side-4), width-side, height)
}

// beside sets lines at the right of others, which are in styles and take width cells,
// with a rule between.
func (e *env) beside(left, right []string, width, height int) []string {
	lines := make([]string, height)
	for i := range lines {
		var l, r string
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = " " + right[i]
		}
		lines[i] = l + strings.Repeat(" ", max(width-ansi.StringWidth(l), 0)) + e.style.dim.Render("│") + r
	}
	return lines
}
