package tui

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/internal/chart"
	"github.com/pns4ones/pns4ones/tui/say"
)

// overviewScreen shows whether all is well.
type overviewScreen struct {
	*env
	width, height int
	seen          bool // it is the screen that is shown
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

func newOverview(e *env) *overviewScreen { return &overviewScreen{env: e} }

func (o *overviewScreen) tab() string              { return o.t("tui.tab_overview") }
func (o *overviewScreen) typing() bool             { return false }
func (o *overviewScreen) resize(width, h int)      { o.width, o.height = width, h }
func (o *overviewScreen) write(tea.KeyMsg) tea.Cmd { return nil }
func (o *overviewScreen) click(int, int) tea.Cmd   { return nil }
func (o *overviewScreen) leave()                   { o.seen = false }

func (o *overviewScreen) keys() keyTable {
	return keyTable{
		{keys: "f", text: "tui.key_find_person"},
		{keys: "enter", text: "tui.key_warnings", do: func() tea.Cmd { return lead(warningsMsg{}) }},
		{keys: "r", text: "tui.key_reload", do: o.reload},
		{keys: "tab", text: "tui.key_next"},
	}
}

func (o *overviewScreen) enter() tea.Cmd {
	o.seen = true
	return o.ask()
}

type overviewMsg struct {
	status   control.Status
	warnings []control.LogRecord
	err      error
}

// ask asks for the state and the last warnings, unless that is under way.
func (o *overviewScreen) ask() tea.Cmd {
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

func (o *overviewScreen) update(msg tea.Msg) tea.Cmd {
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
		if o.seen {
			return o.ask()
		}
	}
	return nil
}

// reload has the daemon read its settings again.
func (o *overviewScreen) reload() tea.Cmd {
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
}

func (o *overviewScreen) view() []string {
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

// state is what runs where, and what to worry about.
func (o *overviewScreen) state(width int) []string {
	const names, gap = 12, 2
	room := width - names - gap
	s := o.status
	listen, style := o.senders()
	age := o.words.Age(time.Duration(s.UptimeSeconds) * time.Second)
	running := o.t("tui.running", "age", age, "version", cells.Plain(s.Version), "pid", s.PID)
	level := cells.Truncate(cells.Plain(s.LogLevel), 20)
	delivery := o.t("tui.no_latency")
	if l := s.Latency; l.P50 != nil && l.P99 != nil {
		delivery = o.t("tui.latency", "p50", o.words.Seconds(*l.P50), "p99", o.words.Seconds(*l.P99))
	}
	fields := []field{
		{o.t("tui.service"), o.style.good.Render("● ") + cells.Truncate(running, room-2)},
		{o.t("tui.senders"), style.Render(cells.Truncate(listen, room))},
		{o.t("tui.sessions_at"), cells.Truncate(cells.Plain(s.Service), room)},
		{o.t("tui.control"), cells.Truncate(cells.Plain(s.Control), room)},
		{o.t("tui.log_level"), level + "   " + o.t("tui.memory", "size", say.Bytes(s.MemoryBytes))},
		{o.t("tui.delivery"), cells.Truncate(delivery, room)},
	}
	bad := func(line string) string { return o.style.bad.Render(cells.Truncate(cells.Plain(line), room)) }
	warn := func(line string) string { return o.style.warn.Render(cells.Truncate(cells.Plain(line), room)) }
	if s.DatabaseUnavailable != "" {
		fields = append(fields, field{"▲", bad(o.t("tui.database_unavailable"))}, field{"", bad(s.DatabaseUnavailable)})
	}
	if s.LastChangeInDoubt {
		fields = append(fields, field{"▲", bad(o.t("tui.last_change_in_doubt"))})
	}
	if s.TLSFailure != "" {
		fields = append(fields, field{"▲", bad(o.t("tui.tls_failure", "why", s.TLSFailure))})
	}
	if len(s.RestartNeeded) > 0 {
		fields = append(fields, field{"▲", warn(o.t("tui.restart_needed", "settings", strings.Join(s.RestartNeeded, ", ")))})
	}
	if len(s.SettingsNotRead) > 0 {
		fields = append(fields,
			field{"▲", warn(o.t("tui.settings_not_read", "files", strings.Join(s.SettingsNotRead, ", ")))})
	}
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = o.style.label.Render(cells.Left(f.name, names)+strings.Repeat(" ", gap)) + f.value
	}
	return lines
}

// senders are where senders connect, and the certificate there.
func (o *overviewScreen) senders() (text string, style lipgloss.Style) {
	listen := cells.Plain(o.status.Listen) + "  "
	if o.status.TLSExpiresAt == nil {
		return listen + o.t("tui.no_tls"), o.style.plain
	}
	left := o.status.TLSExpiresAt.Sub(o.now())
	date := o.status.TLSExpiresAt.Local().Format(time.DateOnly)
	switch days := int(left.Hours() / 24); {
	case left <= 0:
		return listen + "▲ " + o.t("tui.tls_expired", "date", date), o.style.bad
	case days < 30:
		return listen + "▲ " + o.t("tui.tls_soon", "date", date, "N", days), o.style.warn
	default:
		return listen + o.t("tui.tls", "date", date, "N", days), o.style.plain
	}
}

// charts are the sessions at the left and the messages at the right.
func (o *overviewScreen) charts(width, height int) []string {
	const gap = 3
	half := (width - gap) / 2
	st := o.latest
	comeAndGo := o.t("tui.opened_closed", "opened", perSecond(st.Rates.Opened), "closed", perSecond(st.Rates.Closed))
	left := o.chart(o.t("tui.chart_sessions", "n", number(st.Sessions)), comeAndGo, o.sessions, half, height)
	delivered := o.t("tui.chart_delivered", "n", perSecond(st.Rates.Delivered))
	accepted := o.t("tui.accepted", "n", perSecond(st.Rates.Messages))
	right := o.chart(delivered, accepted, o.delivered, half, height)
	lines := make([]string, len(left))
	for i := range left {
		lines[i] = left[i] + strings.Repeat(" ", gap) + right[i]
	}
	return lines
}

// chart draws samples below a heading, with their scale.
func (o *overviewScreen) chart(heading, detail string, samples []float64, width, height int) []string {
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

// counts are what happened since the daemon was started.
func (o *overviewScreen) counts(width int) []string {
	s := o.status
	parts := []string{
		o.t("tui.count_apps", "N", s.Apps),
		o.t("tui.count_messages", "n", number(s.Messages)),
		o.t("tui.count_delivered", "n", number(s.Delivered)),
	}
	sum := func(counts map[string]uint64) (n uint64) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	troubles := []string{
		o.t("tui.count_no_recipient", "n", number(s.NoRecipient)),
		o.t("tui.count_refused", "n", number(sum(s.Refused))),
		o.t("tui.count_http_refused", "n", number(sum(s.HTTP.Refused))),
		o.t("tui.count_slow", "n", number(s.DroppedAsSlow)),
	}
	return []string{
		cells.Truncate(strings.Join(parts, " · "), width),
		o.style.dim.Render(cells.Truncate(strings.Join(troubles, " · "), width)),
	}
}

// byApp shows the busiest apps.
func (o *overviewScreen) byApp(width, n int) []string {
	apps := slices.Clone(o.status.ByApp)
	slices.SortStableFunc(apps, func(a, b control.AppStatus) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(b.Messages, a.Messages))
	})
	columns := []column{
		{title: o.t("tui.column_app"), min: 16, max: 40},
		{title: o.t("tui.column_sessions"), min: 9, max: 9, right: true},
		{title: o.t("tui.column_messages"), min: 10, max: 10, right: true},
		{title: o.t("tui.column_delivered"), min: 11, max: 11, right: true},
		{title: o.t("tui.column_no_recipient"), min: 12, max: 12, right: true, yields: 1},
	}
	table := layout(columns, width)
	lines := []string{o.style.label.Render(table.headings())}
	for _, a := range apps[:n] {
		lines = append(lines, table.row([]string{
			cells.Plain(a.Title),
			number(a.Sessions),
			number(a.Messages),
			number(a.Delivered),
			number(a.NoRecipient),
		}))
	}
	return lines
}

// lastWarnings shows the latest warnings that there is room for.
func (o *overviewScreen) lastWarnings(width, room int) []string {
	if len(o.warnings) == 0 {
		return []string{o.style.good.Render("✓ " + o.t("tui.no_warnings"))}
	}
	if room < 2 {
		return []string{o.style.warn.Render(cells.Truncate("▲ "+o.t("tui.last_warnings"), width))}
	}
	lines := []string{o.style.title.Render(o.t("tui.last_warnings"))}
	for _, r := range o.warnings[max(len(o.warnings)-(room-1), 0):] {
		lines = append(lines, o.recordLine(r, width))
	}
	return lines
}
