package tui

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// number writes a count with its thousands apart.
func number[T int | int64 | uint64](n T) string { return locale.Thousands(fmt.Sprint(n)) }

// atMost is a count that may be smaller.
func atMost(n int) string {
	if n == 0 {
		return number(n)
	}
	return "≤ " + number(n)
}

// shortAge is a duration in its largest unit.
func (e *env) shortAge(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return e.t("tui.age_s", "n", int(d.Seconds()))
	case d < time.Hour:
		return e.t("tui.age_m", "n", int(d.Minutes()))
	case d < 24*time.Hour:
		return e.t("tui.age_h", "n", int(d.Hours()))
	}
	return e.t("tui.age_d", "n", int(d.Hours()/24))
}

// host is the address without the port, which means nothing in a table.
func host(addr string) string {
	if name, _, err := net.SplitHostPort(addr); err == nil {
		addr = name
	}
	return cells.Plain(addr)
}

// field is a name and a value of a block.
type field struct{ name, value string }

// nameWidth is the width of the names of a block.
func nameWidth(fields []field) int {
	widest := 0
	for _, f := range fields {
		widest = max(widest, cells.Width(f.name))
	}
	return widest
}

// block sets fields one below the other, values aligned; one that does not fit
// beside its name stands below it, in as many lines as it takes.
func (e *env) block(fields []field, width int) []string {
	widest := nameWidth(fields)
	var lines []string
	for _, f := range fields {
		if f.name == "" && f.value == "" {
			lines = append(lines, "")
			continue
		}
		if name := cells.Left(f.name, widest) + "  "; cells.Width(name)+cells.Width(f.value) <= width {
			lines = append(lines, e.style.label.Render(name)+f.value)
			continue
		}
		lines = append(lines, e.style.label.Render(cells.Truncate(f.name, width)))
		for _, line := range cells.Wrap(f.value, width-2) {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

// plainBlock sets fields one below the other without styles, for a reader.
func plainBlock(fields []field) []string {
	widest := nameWidth(fields)
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = cells.Left(f.name, widest) + "  " + f.value
	}
	return lines
}

// indent is the margin of texts that are no rows.
func indent(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if line != "" {
			out[i] = strings.Repeat(" ", markWidth) + line
		}
	}
	return out
}
