package tui

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// overviewScreen shows whether all is well.
type overviewScreen struct {
	*env
	width, height int
	seen          bool // it is the screen that is shown
	asking        bool
	known         bool
	state
	past   past
	latest control.Statistics
	ticked bool // latest is known
	unseen int  // seconds since the state was asked for
	link   int  // that is selected: 0 the warnings, then the counters that are not 0
}

func newOverview(e *env) *overviewScreen { return &overviewScreen{env: e, past: past{env: e}} }

func (o *overviewScreen) tab() string              { return o.t("tui.tab_overview") }
func (o *overviewScreen) typing() bool             { return false }
func (o *overviewScreen) resize(width, h int)      { o.width, o.height = width, h }
func (o *overviewScreen) write(tea.KeyMsg) tea.Cmd { return nil }
func (o *overviewScreen) click(int, int) tea.Cmd   { return nil }
func (o *overviewScreen) leave()                   { o.seen = false }

func (o *overviewScreen) keys() keyTable {
	return keyTable{
		{keys: "f", text: "tui.key_find_person"},
		{keys: "enter", text: "tui.key_open", do: o.follow},
		{keys: "h", text: "tui.key_span", do: o.past.next},
		{keys: "right left down up l j k", shown: "right left", text: "tui.key_counters", doKey: o.choose},
		{keys: "r", text: "tui.key_reload", do: o.reload},
		{keys: "c", text: "tui.key_copy", do: o.askCopyAddress},
		{keys: "tab", text: "tui.key_next"},
	}
}

func (o *overviewScreen) enter() tea.Cmd {
	o.seen = true
	return tea.Batch(o.ask(), o.past.ask())
}

// ask asks for the state and the last warnings, unless that is under way.
func (o *overviewScreen) ask() tea.Cmd {
	if o.asking {
		return nil
	}
	o.asking, o.unseen = true, 0
	return o.askState(o.seen)
}

func (o *overviewScreen) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case stateMsg:
		o.asking = false
		if msg.err == nil {
			o.known, o.state = true, msg.state
			o.cluster = o.status.Cluster
			o.link = min(o.link, len(o.links())-1)
		}
	case pastMsg:
		o.past.take(msg)
	case upMsg:
		return tea.Batch(o.ask(), o.past.ask())
	case tickMsg:
		o.latest, o.ticked = msg.statistics, true
		cmd := o.past.tick(msg)
		if o.unseen++; o.seen || o.unseen >= watchEvery {
			return tea.Batch(cmd, o.ask())
		}
		return cmd
	}
	return nil
}

// askCopyAddress copies something of where the daemon is.
func (o *overviewScreen) askCopyAddress() tea.Cmd {
	s := o.status
	return o.askCopy([]field{
		{o.t("tui.address_senders"), o.reachable(s.Listen)},
		{o.t("tui.address_sessions"), o.reachable(s.Service)},
		{o.t("tui.control"), s.Control},
		{o.t("tui.version"), s.Version},
	})
}

// reload has the daemon read its settings again.
func (o *overviewScreen) reload() tea.Cmd {
	return o.act(o.waitsForDaemon(), func(ctx context.Context) doneMsg {
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
	lines := indent(o.facts(width))
	if o.cluster != nil && o.height >= nodesAsTable {
		lines = append(append(lines, ""), indent(o.nodesTable(width))...)
	}

	counts := indent(o.counts(width))

	// What is left is for the charts, the apps and the warnings. Blank lines stand
	// between them, and the charts have a heading. On a wide screen the warnings are
	// beside the apps.
	left := o.height - len(lines) - len(counts) - 4
	const leastWarnings, mostApps, highest = 4, 8, 30
	reserved, tableHeight := min(len(o.warnings)+1, max(leastWarnings, left/3)), 0
	wide := o.width >= sideFrom
	apps := min(len(o.status.ByApp), mostApps)
	if apps > 1 && left >= 24 {
		tableHeight = apps + 1
		if len(o.status.ByApp) > apps {
			tableHeight++ // how many more there are
		}
		if wide {
			reserved = tableHeight
		} else {
			reserved += tableHeight + 1
		}
	}
	chartHeight := max(min(left-reserved, highest), 3)
	lines = append(append(lines, ""), indent(o.charts(width, chartHeight))...)
	lines = append(append(lines, ""), counts...)
	left -= chartHeight
	switch {
	case tableHeight > 0 && wide:
		half := (width - chartGap) / 2
		both := halves(o.byApp(half, apps), o.lastWarnings(half, tableHeight), half)
		return append(append(lines, ""), indent(both)...)
	case tableHeight > 0:
		lines = append(append(lines, ""), indent(o.byApp(width, apps))...)
		left -= tableHeight + 1
	}
	return append(append(lines, ""), indent(o.lastWarnings(width, left))...)
}

// halves sets lines at the right of others, which are in styles and take width cells.
func halves(left, right []string, width int) []string {
	lines := slices.Clone(left)
	for i := range min(len(left), len(right)) {
		lines[i] += strings.Repeat(" ", width-ansi.StringWidth(left[i])+chartGap) + right[i]
	}
	return lines
}

// facts are what runs where, and what to worry about.
func (o *overviewScreen) facts(width int) []string {
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
	memory := o.t("tui.memory", "size", o.words.Bytes(s.MemoryBytes))
	if s.QueueMemory.MaxBytes > 0 { // a daemon of a version before does not tell
		memory += "   " + o.queues("tui.queue_memory")
	}
	fields := []field{
		{o.t("tui.service"), o.style.good.Render("● ") + cells.Truncate(running, room-2)},
		{o.t("tui.senders"), style.Render(cells.Truncate(listen, room))},
		{o.t("tui.sessions_at"), cells.Truncate(cells.Plain(s.Service), room)},
		{o.t("tui.control"), cells.Truncate(cells.Plain(s.Control), room)},
		{o.t("tui.log_level"), cells.Truncate(level+"   "+memory, room)},
		{o.t("tui.delivery"), cells.Truncate(delivery, room)},
	}
	bad := func(line string) string { return o.style.bad.Render(cells.Truncate(cells.Plain(line), room)) }
	warn := func(line string) string { return o.style.warn.Render(cells.Truncate(cells.Plain(line), room)) }
	if s.DatabaseUnavailable != "" {
		fields = append(fields, field{"▲", bad(o.t("tui.database_unavailable"))}, field{"", bad(s.DatabaseUnavailable)})
	}
	if o.cluster != nil && o.height < nodesAsTable {
		fields = append(fields, field{o.t("tui.nodes"), o.nodesLine(room)})
	}
	if c := o.cluster; c != nil && c.AppsProblem != "" && o.tooFar() == "" {
		fields = append(fields, field{"▲", warn(o.words.AppsProblem(c))})
	}
	if s.LastChangeInDoubt {
		fields = append(fields, field{"▲", bad(o.t("tui.last_change_in_doubt"))})
	}
	if s.TLSFailure != "" {
		fields = append(fields, field{"▲", bad(o.t("tui.tls_failure", "why", s.TLSFailure))})
	}
	if q := s.QueueMemory; q.Bytes > q.MaxBytes/5*4 {
		fields = append(fields, field{"▲", warn(o.queues("tui.queue_memory_full"))})
	}
	if len(s.RestartNeeded) > 0 {
		fields = append(fields, field{"▲", warn(o.t("tui.restart_needed", "settings",
			strings.Join(s.RestartNeeded, ", ")))})
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

// queues says how much memory all queues take, and may take.
func (o *overviewScreen) queues(text string) string {
	q := o.status.QueueMemory
	return o.t(text, "bytes", o.words.Bytes(uint64(q.Bytes)), "max", o.words.Bytes(uint64(q.MaxBytes)))
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

// charts are the sessions at the left and the messages at the right, and where there is
// room refusals and latency below them; height is that of all but the first heading.
func (o *overviewScreen) charts(width, height int) []string {
	const twoRows = 15
	half := (width - chartGap) / 2
	st := o.latest
	if !o.ticked {
		st.Sessions, st.Rates = o.status.Sessions, o.status.Rates
	}
	comeAndGo := o.t("tui.opened_closed", "opened", o.words.Rate(st.Rates.Opened), "closed",
		o.words.Rate(st.Rates.Closed))
	delivered := o.t("tui.chart_delivered", "n", o.words.Rate(st.Rates.Delivered))
	accepted := o.t("tui.accepted", "n", o.words.Rate(st.Rates.Messages))
	bars := height - 1 // below them stands the time
	if height >= twoRows {
		bars = (height - 4) / 2
	}
	lines := row(
		o.past.chart(o.t("tui.chart_sessions", "n", number(st.Sessions)), comeAndGo, sessionsAt, half, bars),
		o.past.chart(delivered, accepted, deliveredAt, half, bars))
	if height < twoRows {
		return lines
	}
	bars = height - 4 - bars
	return append(append(lines, ""), row(
		o.past.chart(o.t("tui.chart_refused"), "", refusedAt, half, bars),
		o.past.chart(o.t("tui.chart_latency"), "", latencyAt, half, bars))...)
}

// link is something on the overview that leads to records of the log.
type link struct {
	text  string
	count uint64
	to    journalMsg
}

// counters are what happened since the daemon was started and should not have.
func (o *overviewScreen) counters() []link {
	s := o.status
	sum := func(counts map[string]uint64) (n uint64) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	counter := func(id string, count uint64, title string, q control.LogQuery) link {
		return link{o.t(id, "n", number(count)), count, journalMsg{only{o.t(title), q}}}
	}
	return []link{
		counter("tui.count_http_refused", sum(s.HTTP.Refused), "tui.only_requests",
			control.LogQuery{Message: "request refused"}),
		counter("tui.count_refused", sum(s.Refused), "tui.only_registrations",
			control.LogQuery{Message: "registration refused"}),
		counter("tui.count_no_recipient", s.NoRecipient, "tui.only_unmet",
			control.LogQuery{Message: "message without a recipient"}),
		counter("tui.count_slow", s.DroppedAsSlow, "tui.only_slow",
			control.LogQuery{Message: "session closed", Text: "reason=too_slow"}),
	}
}

// links are what can be followed: the warnings, and the counters that are not 0.
func (o *overviewScreen) links() []link {
	links := []link{{to: journalMsg{only{query: control.LogQuery{Level: "Warning"}}}}}
	for _, c := range o.counters() {
		if c.count > 0 {
			links = append(links, c)
		}
	}
	return links
}

// choose goes to another link.
func (o *overviewScreen) choose(name string) tea.Cmd {
	n := len(o.links())
	switch name {
	case "left", "up", "k":
		o.link = (o.link + n - 1) % n
	default:
		o.link = (o.link + 1) % n
	}
	return nil
}

// follow shows the records that the link leads to.
func (o *overviewScreen) follow() tea.Cmd { return lead(o.links()[o.link].to) }

// counts are what happened since the daemon was started.
func (o *overviewScreen) counts(width int) []string {
	s := o.status
	parts := []string{o.t("tui.count_apps", "N", s.Apps)}
	if s.Detached > 0 {
		parts = append(parts, o.t("tui.count_detached", "n", number(s.Detached)))
	}
	parts = append(parts,
		o.t("tui.count_messages", "n", number(s.Messages)),
		o.t("tui.count_delivered", "n", number(s.Delivered)))
	var troubles []string
	selected := o.links()[o.link].text
	for _, c := range o.counters() {
		style := o.style.dim
		switch {
		case c.count > 0 && c.text == selected:
			style = o.style.selected
		case c.count > 0:
			style = o.style.warn
		}
		troubles = append(troubles, style.Render(c.text))
	}
	return []string{
		cells.Truncate(strings.Join(parts, " · "), width),
		ansi.Truncate(strings.Join(troubles, o.style.dim.Render(" · ")), width, "…"),
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
		{title: o.t("tui.column_no_recipient"), min: 14, max: 14, right: true, yields: 1},
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
	if more := len(apps) - n; more > 0 {
		lines = append(lines, o.style.dim.Render("… "+o.t("tui.more", "N", more)))
	}
	return lines
}

// lastWarnings shows the latest warnings that there is room for, and whether any is new.
func (o *overviewScreen) lastWarnings(width, room int) []string {
	if len(o.warnings) == 0 {
		return []string{o.style.good.Render("✓ " + o.t("tui.no_warnings"))}
	}
	heading := o.style.title.Render(cells.Truncate(o.t("tui.last_warnings"), width))
	if recent := o.recent(o.now()); recent == 0 {
		heading += o.style.good.Render(cells.Truncate(" · "+o.t("tui.no_new_warnings", "N", int(alertFor.Minutes())),
			width-ansi.StringWidth(heading)))
	} else if room < 2 {
		return []string{o.style.warn.Render(cells.Truncate("▲ "+o.t("tui.last_warnings"), width))}
	}
	if more := len(o.warnings) - max(room-1, 0); more > 0 {
		heading += o.style.dim.Render(cells.Truncate(" · "+o.t("tui.more", "N", more), width-ansi.StringWidth(heading)))
	}
	lines := []string{heading}
	shown := o.warnings[max(len(o.warnings)-max(room-1, 0), 0):]
	form := o.recordForm(shown, false)
	for _, r := range shown {
		lines = append(lines, o.recordLine(r, form, width))
	}
	return lines
}
