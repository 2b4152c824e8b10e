package tui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
	"github.com/pns4ones/pns4ones/tui/internal/chart"
	"github.com/pns4ones/pns4ones/tui/say"
)

// overview is the first screen: whether all is well.
type overview struct {
	*env
	width, height int
	shown         bool
	asking        bool
	known         bool
	status        control.Status
	warnings      []control.LogRecord
	// The last samples, one a second, for the charts.
	sessions, delivered []float64
	latest              control.Statistics
}

// keptSamples is more than the widest terminal shows.
const keptSamples = 600

func newOverview(e *env) *overview { return &overview{env: e} }

func (o *overview) tab() string            { return o.t("tui.tab_overview") }
func (o *overview) typing() bool           { return false }
func (o *overview) resize(width, h int)    { o.width, o.height = width, h }
func (o *overview) click(int, int) tea.Cmd { return nil }
func (o *overview) leave()                 { o.shown = false }

func (o *overview) keys() []key.Binding {
	return []key.Binding{o.bind("tui.key_warnings", "enter"), o.bind("tui.key_reload", "r"), o.bind("tui.key_next", "tab")}
}

func (o *overview) enter() tea.Cmd {
	o.shown = true
	return o.ask()
}

type overviewMsg struct {
	status   control.Status
	warnings []control.LogRecord
	err      error
}

// ask asks for the state and the last warnings, unless that is under way.
func (o *overview) ask() tea.Cmd {
	if o.asking {
		return nil
	}
	o.asking = true
	return ask(func(ctx context.Context) tea.Msg {
		status, err := o.daemon.StatusByApp(ctx)
		if err != nil {
			return overviewMsg{err: err}
		}
		var warnings []control.LogRecord
		err = o.daemon.Logs(ctx, control.LogQuery{Level: "Warning", Tail: 100}, false, func(r control.LogRecord) error {
			warnings = append(warnings, r)
			return nil
		})
		return overviewMsg{status, warnings, err}
	})
}

func (o *overview) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case overviewMsg:
		o.asking = false
		if msg.err == nil {
			o.known, o.status, o.warnings = true, msg.status, msg.warnings
		}
	case tickMsg:
		o.latest = msg.statistics
		keep := func(samples []float64, v float64) []float64 {
			samples = append(samples, v)
			return samples[max(len(samples)-keptSamples, 0):]
		}
		o.sessions = keep(o.sessions, float64(msg.statistics.Sessions))
		o.delivered = keep(o.delivered, msg.statistics.Rates.Delivered)
		if o.shown {
			return o.ask()
		}
	}
	return nil
}

func (o *overview) press(k tea.KeyMsg) tea.Cmd {
	switch k.String() {
	case "r":
		return o.act(func(ctx context.Context) doneMsg {
			report, err := o.daemon.Reload(ctx)
			if err != nil {
				return doneMsg{err: err}
			}
			text := o.t("tui.reloaded")
			if len(report.Applied) > 0 {
				text = o.t("tui.reload_applied", "settings", strings.Join(report.Applied, ", "))
			}
			if len(report.RestartNeeded) > 0 {
				text += " " + o.t("tui.reload_restart", "settings", strings.Join(report.RestartNeeded, ", "))
			}
			for _, warning := range report.Warnings {
				text += " " + cells.Plain(warning)
			}
			return doneMsg{notice: text}
		})
	case "enter":
		return func() tea.Msg { return warningsMsg{} }
	}
	return nil
}

func (o *overview) view() []string {
	if !o.known {
		return []string{"", o.style.dim.Render("  " + o.t("tui.waiting"))}
	}
	width := o.width - 2*markWidth
	lines := indent(o.state(width))

	counts := indent(o.counts(width))

	// What is left is for the charts, the apps and the warnings. Blank lines stand
	// between them, and the charts have a heading.
	left := o.height - len(lines) - len(counts) - 4
	const leastWarnings = 4
	chartHeight := max(min(left-leastWarnings, max((left-leastWarnings)*3/5, 6), 10), 2)
	lines = append(append(lines, ""), indent(o.charts(width, chartHeight))...)
	lines = append(append(lines, ""), counts...)
	if left -= chartHeight; left >= 12 && len(o.status.ByApp) > 1 {
		apps := o.byApp(width, min(len(o.status.ByApp), left-8, 8))
		lines = append(append(lines, ""), indent(apps)...)
		left -= len(apps) + 1
	}
	return append(append(lines, ""), indent(o.lastWarnings(width, left))...)
}

// state tells what runs where, and what to worry about.
func (o *overview) state(width int) []string {
	s := o.status
	listen := cells.Plain(s.Listen)
	style := o.style.plain
	if s.TLSExpiresAt != nil {
		left := s.TLSExpiresAt.Sub(o.now())
		date := s.TLSExpiresAt.Local().Format(time.DateOnly)
		switch days := int(left.Hours() / 24); {
		case left <= 0:
			listen, style = listen+"  ▲ "+o.t("tui.tls_expired", "date", date), o.style.bad
		case days < 30:
			listen, style = listen+"  ▲ "+o.t("tui.tls_soon", "date", date, "N", days), o.style.warn
		default:
			listen += "  " + o.t("tui.tls", "date", date, "N", days)
		}
	} else {
		listen += "  " + o.t("tui.no_tls")
	}
	running := o.t("tui.running", "age", o.words.Age(time.Duration(s.UptimeSeconds)*time.Second), "version", cells.Plain(s.Version), "pid", s.PID)
	fields := []field{
		{o.t("tui.service"), o.style.good.Render("● ") + cells.Truncate(running, width-16)},
		{o.t("tui.senders"), style.Render(cells.Truncate(listen, width-14))},
		{o.t("tui.sessions_at"), cells.Truncate(cells.Plain(s.Service), width-14)},
		{o.t("tui.control"), cells.Truncate(cells.Plain(s.Control), width-14)},
		{o.t("tui.log_level"), cells.Truncate(cells.Plain(s.LogLevel), 20) + "   " + o.t("tui.memory", "size", say.Bytes(s.MemoryBytes))},
	}
	delivery := o.t("tui.no_latency")
	if l := s.Latency; l.P50 != nil && l.P99 != nil {
		delivery = o.t("tui.latency", "p50", o.words.Seconds(*l.P50), "p99", o.words.Seconds(*l.P99))
	}
	fields = append(fields, field{o.t("tui.delivery"), cells.Truncate(delivery, width-14)})
	if s.TLSFailure != "" {
		fields = append(fields, field{"▲", o.style.bad.Render(cells.Truncate(cells.Plain(o.t("tui.tls_failure", "why", s.TLSFailure)), width-14))})
	}
	if len(s.RestartNeeded) > 0 {
		fields = append(fields, field{"▲", o.style.warn.Render(cells.Truncate(cells.Plain(o.t("tui.restart_needed", "settings", strings.Join(s.RestartNeeded, ", "))), width-14))})
	}
	if len(s.SettingsNotRead) > 0 {
		fields = append(fields, field{"▲", o.style.warn.Render(cells.Truncate(cells.Plain(o.t("tui.settings_not_read", "files", strings.Join(s.SettingsNotRead, ", "))), width-14))})
	}
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = o.style.label.Render(cells.Left(f.name, 12)+"  ") + f.value
	}
	return lines
}

// charts are the sessions at the left and the messages at the right.
func (o *overview) charts(width, height int) []string {
	const gap = 3
	half := (width - gap) / 2
	st := o.latest
	left := o.chart(o.t("tui.chart_sessions", "n", number(st.Sessions)), o.t("tui.opened_closed", "opened", perSecond(st.Rates.Opened), "closed", perSecond(st.Rates.Closed)), o.sessions, half, height)
	right := o.chart(o.t("tui.chart_delivered", "n", perSecond(st.Rates.Delivered)), o.t("tui.accepted", "n", perSecond(st.Rates.Messages)), o.delivered, half, height)
	lines := make([]string, len(left))
	for i := range left {
		lines[i] = left[i] + strings.Repeat(" ", gap) + right[i]
	}
	return lines
}

// chart draws samples below a heading, with their scale.
func (o *overview) chart(heading, detail string, samples []float64, width, height int) []string {
	top := chart.Top(samples[max(len(samples)-width, 0):])
	scale := number(int64(top))
	axis := cells.Width(scale) + 1
	bars := chart.Bars(samples, width-axis, height, top)
	lines := []string{o.style.title.Render(cells.Truncate(heading, width))}
	if rest := width - cells.Width(heading); rest > cells.Width(detail)+1 {
		lines[0] += o.style.dim.Render(cells.Right(detail, rest))
	} else {
		lines[0] += strings.Repeat(" ", max(rest, 0))
	}
	for i, bar := range bars {
		mark := ""
		switch i {
		case 0:
			mark = scale
		case len(bars) - 1:
			mark = "0"
		}
		lines = append(lines, o.style.dim.Render(cells.Right(mark, axis-1)+"▕")+o.style.accent.Render(bar))
	}
	return lines
}

// counts tell what happened since the daemon was started.
func (o *overview) counts(width int) []string {
	s := o.status
	parts := []string{
		o.t("tui.count_apps", "N", s.Apps), o.t("tui.count_messages", "n", number(s.Messages)), o.t("tui.count_delivered", "n", number(s.Delivered)),
	}
	sum := func(counts map[string]uint64) (n uint64) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	troubles := []string{
		o.t("tui.count_no_recipient", "n", number(s.NoRecipient)), o.t("tui.count_refused", "n", number(sum(s.Refused))),
		o.t("tui.count_http_refused", "n", number(sum(s.HTTP.Refused))), o.t("tui.count_slow", "n", number(s.DroppedAsSlow)),
	}
	return []string{cells.Truncate(strings.Join(parts, " · "), width), o.style.dim.Render(cells.Truncate(strings.Join(troubles, " · "), width))}
}

// byApp shows the busiest apps.
func (o *overview) byApp(width, n int) []string {
	apps := slices.Clone(o.status.ByApp)
	slices.SortStableFunc(apps, func(a, b control.AppStatus) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(b.Messages, a.Messages))
	})
	columns := []column{
		{title: o.t("tui.column_app"), min: 16, max: 40}, {title: o.t("tui.column_sessions"), min: 9, max: 9, right: true},
		{title: o.t("tui.column_messages"), min: 10, max: 10, right: true}, {title: o.t("tui.column_delivered"), min: 11, max: 11, right: true},
		{title: o.t("tui.column_no_recipient"), min: 12, max: 12, right: true, rank: 1},
	}
	table := layout(columns, width)
	lines := []string{o.style.label.Render(table.headings())}
	for _, a := range apps[:n] {
		lines = append(lines, table.row([]string{cells.Plain(a.Title), number(a.Sessions), number(a.Messages), number(a.Delivered), number(a.NoRecipient)}))
	}
	return lines
}

// lastWarnings shows the latest warnings that there is room for.
func (o *overview) lastWarnings(width, room int) []string {
	if len(o.warnings) == 0 {
		return []string{o.style.good.Render("✓ " + o.t("tui.no_warnings"))}
	}
	if room < 2 {
		return []string{o.style.warn.Render(cells.Truncate("▲ "+o.t("tui.last_warnings"), width))}
	}
	lines := []string{o.style.title.Render(o.t("tui.last_warnings"))}
	for _, r := range o.warnings[max(len(o.warnings)-(room-1), 0):] {
		lines = append(lines, recordLine(o.env, r, width))
	}
	return lines
}

// levelNames are the levels as a column has them.
var levelNames = map[string]string{"Information": "Info", "Warning": "Warn", "Critical": "Crit"}

// recordLine is a record of the log in a line of at most width cells.
func recordLine(e *env, r control.LogRecord, width int) string {
	style := e.style.plain
	switch r.Level {
	case "Warning":
		style = e.style.warn
	case "Error", "Critical":
		style = e.style.bad
	case "Debug", "Trace":
		style = e.style.dim
	}
	at, level, text := recordParts(e, r)
	room := width - cells.Width(at) - 2 - 5 - 2
	return e.style.dim.Render(at) + "  " + style.Render(cells.Left(level, 5)) + "  " + cells.Truncate(text, room)
}

// recordParts are the time, the level and the rest of a record, plain.
func recordParts(e *env, r control.LogRecord) (at, level, text string) {
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
	for _, a := range r.Attrs {
		fmt.Fprintf(&b, "  %s=%s", cells.Plain(a.Name), cells.Plain(fmt.Sprint(a.Value)))
	}
	return at, level, b.String()
}
