package tui

import (
	"context"
	"net"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// The detail of an app.

// detailKeys are the keys of the detail, but for the one that closes it.
func (a *appsScreen) detailKeys() keyTable {
	view := "tui.key_show_keys"
	if a.visible {
		view = "tui.key_hide_keys"
	}
	return keyTable{
		{keys: "c enter", shown: "c", text: "tui.key_copy", do: a.withApp(a.copyField)},
		{keys: "y", text: "tui.key_copy_all", do: a.withApp(a.copyBlock)},
		{keys: "v", text: view, do: a.toggleKeys},
		{keys: "s", text: "tui.key_server_key", do: a.withApp(a.askServerKey)},
		{keys: "C", text: "tui.key_client_key", do: a.withApp(a.askClientKey)},
		{keys: "R", text: "tui.key_revoke", do: a.withApp(a.askRevoke)},
		{keys: "t", text: "tui.key_reset_token", do: a.withApp(a.askResetToken)},
		{keys: "r", text: "tui.key_rename", do: a.withApp(a.askRename)},
		{keys: "d", text: "tui.key_remove", do: a.withApp(a.askRemove)},
		{keys: "o", text: "tui.key_sessions_of", do: a.withApp(sessionsOf)},
		{keys: "i", text: "tui.key_infobases", do: a.withApp(a.showInfobases)},
		{keys: "w", text: "tui.key_write", do: a.withApp(writeTo)},
		{keys: "h", text: "tui.key_span", do: a.past.next},
		{keys: "up down k j", doKey: a.moveField},
	}
}

// openDetail shows an app in detail, keys masked.
func (a *appsScreen) openDetail(one control.App) tea.Cmd {
	a.opened, a.selected, a.field, a.visible = one.ID, one.ID, 0, false
	return a.past.of(one.ID)
}

func (a *appsScreen) closeDetail() tea.Cmd {
	a.opened, a.visible = "", false
	return nil
}

func (a *appsScreen) moveField(name string) tea.Cmd {
	switch name {
	case "up", "k":
		a.field = max(a.field-1, 0)
	case "down", "j":
		a.field = min(a.field+1, copiedFields-1)
	}
	return nil
}

func (a *appsScreen) toggleKeys() tea.Cmd {
	a.visible = !a.visible
	return nil
}

func (a *appsScreen) copyField(one control.App) tea.Cmd {
	f := a.fields(one)[a.field]
	a.copied(f.name, f.value)
	return nil
}

// copyBlock copies all that goes into 1C.
func (a *appsScreen) copyBlock(one control.App) tea.Cmd {
	return a.act(a.waitsForDaemon(), func(ctx context.Context) doneMsg {
		status, err := a.daemon.Status(ctx)
		return doneMsg{err: err, after: func() tea.Cmd {
			var lines []string
			for _, f := range a.oneC(one, status) {
				lines = append(lines, f.name+": "+f.value)
			}
			a.copied(a.t("tui.block"), strings.Join(lines, "\n")+"\n")
			return nil
		}}
	})
}

// oneC is what 1C has to be told of an app and of the service.
func (a *appsScreen) oneC(one control.App, status control.Status) []field {
	https, scheme := a.t("tui.no"), "http://"
	if status.TLSExpiresAt != nil {
		https, scheme = a.t("tui.yes"), "https://"
	}
	fields := a.fields(one)
	return append(fields[:],
		field{a.t("tui.address_senders"), scheme + a.reachable(status.Listen)},
		field{a.t("tui.address_sessions"), a.reachable(status.Service)},
		field{"HTTPS", https},
	)
}

// reachable is where others reach the address that the service listens at: at the name of
// the machine, if that is all its addresses or a network.
func (e *env) reachable(listen string) string {
	name, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(name); name == "" || name == "*" || strings.Contains(name, "/") ||
		ip != nil && ip.IsUnspecified() {
		name = e.host
	}
	return net.JoinHostPort(name, port)
}

// copiedFields is the number of fields that can be copied.
const copiedFields = 3

// fields are what can be copied.
func (a *appsScreen) fields(one control.App) [copiedFields]field {
	return [...]field{
		{a.t("tui.app_id"), one.ID},
		{a.t("tui.server_key"), one.ServerKey},
		{a.t("tui.client_key"), one.ClientKey},
	}
}

// detail shows one app: what goes into 1C, and what goes on.
func (a *appsScreen) detail(one control.App) []string {
	width := a.width - 2*markWidth
	lines := []string{"  " + a.style.title.Render(cells.Truncate(cells.Plain(one.Title), width)), ""}
	fields := a.fields(one)
	names := nameWidth(fields[:])
	for i, f := range fields {
		value := cells.Plain(f.value)
		if i > 0 && !a.visible {
			value = strings.Repeat("•", 24)
		}
		name := cells.Left(f.name, names) + "  "
		if cells.Width(name)+cells.Width(value) <= width || !a.visible {
			lines = append(lines, a.selectable(name+value, i == a.field, a.width))
			continue
		}
		// A key is shown whole, in one line if it fits there.
		lines = append(lines, a.selectable(name, i == a.field, a.width))
		for _, part := range cells.Wrap(value, a.width-3) {
			lines = append(lines, "   "+part)
		}
	}
	lines = append(lines, "")
	lines = append(lines, indent(a.block(a.facts(one), width))...)
	var where []string
	for _, line := range cells.Wrap(a.t("tui.where_to_put"), width) {
		where = append(where, a.style.dim.Render(line))
	}
	// Where there is no room for all keys, the footer has some and the help all.
	room := a.height - len(lines) - chartFrame - leastChart
	var below []string
	for _, more := range [][]string{where, a.listKeys(width)} {
		if len(below)+1+len(more) <= room {
			below = append(append(below, ""), indent(more)...)
		}
	}
	lines = append(lines, indent(a.charts(width, a.height-len(lines)-len(below)))...)
	return append(lines, below...)
}

// Lines of a chart: those around its bars, with the one before it, and its bars.
const (
	chartFrame   = 3
	leastChart   = 3
	highestChart = 12
)

// charts are what went on in the app lately, in at most height lines; none if that is too
// few.
func (a *appsScreen) charts(width, height int) []string {
	p := &a.past
	bars := min(height-chartFrame, highestChart)
	switch {
	case bars < leastChart || p.appID != a.opened || p.history.To.IsZero():
		return nil
	case !p.history.Kept:
		return append([]string{""}, a.style.dim.Render(cells.Truncate(a.t("tui.history_not_kept"), width)))
	}
	third := (width - 2*chartGap) / 3
	return append([]string{""}, row(
		p.chart(a.t("tui.column_sessions"), "", sessionsAt, third, bars),
		p.chart(a.t("tui.delivered_in_a_minute"), "", deliveredInAMinute, third, bars),
		p.chart(a.t("tui.refused_in_a_minute"), "", refusedInAMinute, third, bars))...)
}

// facts are what is known of an app besides its id and keys.
func (a *appsScreen) facts(one control.App) []field {
	facts := []field{
		{a.t("tui.created_at"), say.Time(one.CreatedAt)},
		{a.t("tui.column_sessions"), number(one.Sessions)},
	}
	return append(facts, a.keyFacts(one)...)
}

// listKeys shows all keys of the detail in columns: the footer has no room for
// them on a narrow screen.
func (a *appsScreen) listKeys(width int) (lines []string) {
	hints := a.hints(a.detailKeys())
	wide := 0
	for _, h := range hints {
		wide = max(wide, h.width()+3)
	}
	columns := max(width/wide, 1)
	rows := (len(hints) + columns - 1) / columns
	for i := range rows {
		line := ""
		for n := i; n < len(hints); n += rows {
			name := hints[n].short()
			line += a.style.accent.Render(name) + " " + cells.Left(hints[n].text, wide-1-cells.Width(name))
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}
