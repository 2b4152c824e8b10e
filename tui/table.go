package tui

import (
	"strings"

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
	least := 0
	for _, c := range columns {
		least += c.min
	}
	if least+gap*(len(columns)-1) <= width {
		return place(columns, width, gap)
	}
	return place(columns, width, narrow)
}

func place(columns []column, width, gap int) grid {
	widths := make([]int, len(columns))
	used := -gap
	for i, c := range columns {
		widths[i] = c.min
		used += c.min + gap
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
	var b strings.Builder
	for i, c := range g.columns {
		if g.widths[i] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(strings.Repeat(" ", g.gap))
		}
		if c.right {
			b.WriteString(cells.Right(texts[i], g.widths[i]))
		} else {
			b.WriteString(cells.Left(texts[i], g.widths[i]))
		}
	}
	return b.String()
}

// headings are the titles of the columns as a row.
func (g grid) headings() string {
	titles := make([]string, len(g.columns))
	for i, c := range g.columns {
		titles[i] = c.title
	}
	return g.row(titles)
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
