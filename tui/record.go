package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// levelNames are the levels as a column has them.
var levelNames = map[string]string{"Information": "Info", "Warning": "Warn", "Critical": "Crit"}

// levelWidth fits them all.
const levelWidth = 5

// recordForm is how records are shown: in a sentence or as the log has them, and with the
// day where those that are to be seen are not all of today.
type recordForm struct{ raw, dated bool }

// recordForm is the form for these records.
func (e *env) recordForm(shown []control.LogRecord, raw bool) recordForm {
	today := e.now().Local().Format(time.DateOnly)
	return recordForm{raw, slices.ContainsFunc(shown, func(r control.LogRecord) bool {
		return r.Time.Local().Format(time.DateOnly) != today
	})}
}

// recordLine is a record of the log in a line of at most width cells.
func (e *env) recordLine(r control.LogRecord, form recordForm, width int) string {
	style := e.style.plain
	switch r.Level {
	case "Warning":
		style = e.style.warn
	case "Error", "Critical":
		style = e.style.bad
	case "Debug", "Trace":
		style = e.style.dim
	}
	at, level, text := e.recordParts(r, form)
	level = style.Render(cells.Left(level, levelWidth))
	text = cells.Truncate(text, width-cells.Width(at)-2-levelWidth-2)
	return e.style.dim.Render(at) + "  " + level + "  " + text
}

// nameOfID are the attributes with a name by those with its id, which they follow.
var nameOfID = map[string]string{"user_id": "user_name", "ib": "ib_name"}

// recordParts are the time, the level and the rest of a record, plain.
func (e *env) recordParts(r control.LogRecord, form recordForm) (at, level, text string) {
	at = r.Time.Local().Format(time.TimeOnly)
	if form.dated {
		at = say.Time(r.Time)
	}
	if r.Lost > 0 {
		return at, "", e.t("live.lost", "N", r.Lost)
	}
	level = cells.Plain(r.Level)
	if short := levelNames[level]; short != "" {
		level = short
	}
	if sentence, _, known := e.words.Record(r); known && !form.raw {
		return at, level, cells.Plain(sentence)
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

// withRecord is what a key does with the selected record, if there is one.
func (j *journalScreen) withRecord(do func(control.LogRecord) tea.Cmd) func() tea.Cmd {
	return func() tea.Cmd {
		if j.at.pos >= len(j.records) {
			return nil
		}
		return do(j.records[j.at.pos])
	}
}

// recordKeys are what can be done with a record, whichever one reads.
func (j *journalScreen) recordKeys(with func(func(control.LogRecord) tea.Cmd) func() tea.Cmd) keyTable {
	return keyTable{
		{keys: "e", text: "tui.key_explain", do: with(j.explainRecord)},
		{keys: "o", text: "tui.key_where_from", do: with(j.openPlace)},
		{keys: "c", text: "tui.key_copy", do: with(j.copyRecord)},
	}
}

// explainRecord explains what arrives, or does not, at whom the record is about.
func (j *journalScreen) explainRecord(r control.LogRecord) tea.Cmd {
	app, ib := say.Attr(r, "app"), say.Attr(r, "ib")
	user, group := say.Attr(r, "user_id"), say.Attr(r, "group")
	if app == "" || ib == "" || user == "" && group == "" {
		j.complain(j.t("tui.record_of_nobody"))
		return nil
	}
	if user != "" {
		group = "" // of the session, which may be another one now
	}
	return j.explain(app, called{ib, say.Attr(r, "ib_name")}, called{user, say.Attr(r, "user_name")}, group)
}

// openPlace shows the sessions of the user whom the record is about, or the app.
func (j *journalScreen) openPlace(r control.LogRecord) tea.Cmd {
	id, ib := say.Attr(r, "app"), say.Attr(r, "ib")
	if _, there := j.appByID(id); !there {
		j.complain(j.t("tui.record_of_no_app"))
		return nil
	}
	j.close()
	if user := say.Attr(r, "user_id"); ib != "" && user != "" {
		return lead(sessionsOfMsg{appID: id, ib: called{ib, say.Attr(r, "ib_name")}, user: user})
	}
	return lead(openAppMsg{id})
}

// copyRecord copies a record as the log has it.
func (j *journalScreen) copyRecord(r control.LogRecord) tea.Cmd {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Level, r.Message)
	for _, a := range r.Attrs {
		fmt.Fprintf(&b, " %s=%v", a.Name, a.Value)
	}
	j.copied(j.t("tui.record_title"), cells.Plain(b.String()))
	return nil
}

// openRecord shows a record whole.
func (j *journalScreen) openRecord(r control.LogRecord) tea.Cmd {
	with := func(do func(control.LogRecord) tea.Cmd) func() tea.Cmd { return func() tea.Cmd { return do(r) } }
	return j.open(&reader{env: j.env, title: j.t("tui.record_title"), lines: j.recordText(r), more: j.recordKeys(with)})
}

// recordText is a record whole: what it means, what to do, and what the log has.
func (e *env) recordText(r control.LogRecord) []string {
	at := r.Time.Local().Format("2006-01-02 15:04:05.000")
	lines := []string{at + "  " + cells.Plain(r.Level), ""}
	if sentence, advice, known := e.words.Record(r); known {
		lines = append(lines, cells.Plain(sentence), "")
		if advice != "" {
			lines = append(lines, "→ "+cells.Plain(advice), "")
		}
	}
	if r.Lost == 0 {
		lines = append(lines, cells.Plain(r.Message), "")
	}
	var fields []field
	for _, a := range r.Attrs {
		value := cells.Plain(fmt.Sprint(a.Value))
		if a.Name == "reason" {
			value = cells.Plain(e.words.Reason(fmt.Sprint(a.Value)))
		}
		fields = append(fields, field{cells.Plain(a.Name), value})
	}
	return append(lines, plainBlock(fields)...)
}
