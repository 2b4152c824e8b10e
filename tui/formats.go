package tui

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// thinSpace stands between thousands: narrow, and never at the end of a line.
const thinSpace = "\u202f"

// number writes a count with its thousands apart.
func number[T int | int64 | uint64](n T) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + thinSpace + digits[at:]
	}
	return digits
}

// perSecond writes a rate.
func perSecond(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 9.95:
		return fmt.Sprintf("%.1f", rate)
	}
	return number(int64(rate + 0.5))
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

// levelNames are the levels as a column has them.
var levelNames = map[string]string{"Information": "Info", "Warning": "Warn", "Critical": "Crit"}

// levelWidth fits them all.
const levelWidth = 5

// recordLine is a record of the log in a line of at most width cells.
func (e *env) recordLine(r control.LogRecord, width int) string {
	style := e.style.plain
	switch r.Level {
	case "Warning":
		style = e.style.warn
	case "Error", "Critical":
		style = e.style.bad
	case "Debug", "Trace":
		style = e.style.dim
	}
	at, level, text := e.recordParts(r)
	level = style.Render(cells.Left(level, levelWidth))
	text = cells.Truncate(text, width-cells.Width(at)-2-levelWidth-2)
	return e.style.dim.Render(at) + "  " + level + "  " + text
}

// nameOfID are the attributes with a name by those with its id, which they follow.
var nameOfID = map[string]string{"user_id": "user_name", "ib": "ib_name"}

// recordParts are the time, the level and the rest of a record, plain.
func (e *env) recordParts(r control.LogRecord) (at, level, text string) {
	at = r.Time.Local().Format(time.TimeOnly)
	if r.Lost > 0 {
		return at, "", e.t("live.lost", "N", r.Lost)
	}
	level = cells.Plain(r.Level)
	if short := levelNames[level]; short != "" {
		level = short
	}
	var b strings.Builder
	b.WriteString(cells.Plain(r.Message))
	for i, a := range r.Attrs {
		if i+1 < len(r.Attrs) && nameOfID[a.Name] == r.Attrs[i+1].Name {
			continue // in a line there is room for the name alone
		}
		value := cells.Plain(fmt.Sprint(a.Value))
		if a.Name == "app" {
			value = e.appTitle(fmt.Sprint(a.Value))
		}
		fmt.Fprintf(&b, "  %s=%s", cells.Plain(a.Name), value)
	}
	return at, level, b.String()
}
