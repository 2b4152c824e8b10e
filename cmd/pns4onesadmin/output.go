package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// printJSON writes an object of the control channel as it is.
func (p *program) printJSON(object any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(object)
}

// lines puts each item on a line of its own.
func lines(items []string) string { return "  " + strings.Join(items, "\n  ") }

// printTable writes rows below a header, columns apart by two blanks. Widths are
// cells of the terminal, not letters.
func (p *program) printTable(header []string, rows [][]string) {
	widths := make([]int, len(header))
	all := append([][]string{header}, rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell)+2))
			}
		}
		fmt.Fprintln(p.stdout, strings.TrimRight(b.String(), " "))
	}
}

// field is a line of a block: a name and a value.
type field struct{ name, value string }

// blockWidth is what a block fits in, in cells, if its names and words are short.
const blockWidth = 80

// printBlock writes fields one below the other, the values aligned. A value that
// would not fit beside its name stands below it: a key that is broken in two by
// the terminal cannot be copied.
func (p *program) printBlock(fields []field) {
	width := 0
	for _, f := range fields {
		width = max(width, runewidth.StringWidth(f.name))
	}
	for _, f := range fields {
		beside := strings.Repeat(" ", width-runewidth.StringWidth(f.name)+1)
		if width+2+runewidth.StringWidth(f.value) > blockWidth {
			beside = "\n  "
		}
		fmt.Fprintf(p.stdout, "%s:%s%s\n", f.name, beside, f.value)
	}
}

// formatTime writes a moment in the time zone of the person.
func formatTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// formatAge writes a duration in its two largest units.
func (p *program) formatAge(d time.Duration) string {
	d = d.Round(time.Second)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return p.text.T("admin.age_days", "days", days, "hours", hours)
	case hours > 0:
		return p.text.T("admin.age_hours", "hours", hours, "minutes", minutes)
	case minutes > 0:
		return p.text.T("admin.age_minutes", "minutes", minutes, "seconds", seconds)
	}
	return p.text.T("admin.age_seconds", "seconds", seconds)
}
