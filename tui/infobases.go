package tui

import (
	"context"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// infobasesMsg are the infobases of an app.
type infobasesMsg struct {
	from      dialog // on top of which they were asked for
	screen    screen // and on which screen
	infobases []control.Infobase
	err       error
	then      func([]control.Infobase) tea.Cmd
}

// askInfobases asks for the infobases of an app, and hands them to then, unless the
// person has gone on to something else.
func (e *env) askInfobases(appID string, then func([]control.Infobase) tea.Cmd) tea.Cmd {
	from, shown := e.dialog, e.shown
	e.busy(e.waitsForDaemon())
	return ask(func(ctx context.Context) tea.Msg {
		found, err := e.daemon.Infobases(ctx, appID)
		return infobasesMsg{from, shown, found, err, then}
	})
}

func (e *env) tookInfobases(msg infobasesMsg) tea.Cmd {
	e.notice = notice{}
	switch {
	case e.dialog != msg.from || e.shown != msg.screen:
		return nil
	case msg.err != nil:
		e.complain(e.problem(msg.err))
		return nil
	}
	return msg.then(msg.infobases)
}

// showInfobases shows the infobases of an app, the level between it and its sessions.
func (e *env) showInfobases(one control.App) tea.Cmd {
	return e.askInfobases(one.ID, func(found []control.Infobase) tea.Cmd {
		return e.chooseInfobase(e.t("tui.infobases_title", "app", cells.Plain(one.Title)), found,
			func(ib control.Infobase) tea.Cmd {
				return lead(sessionsOfMsg{appID: one.ID, ib: called{ib.ID, ib.Name}})
			})
	})
}

// chooseInfobase lets the person choose one of a table.
func (e *env) chooseInfobase(title string, found []control.Infobase, chosen func(control.Infobase) tea.Cmd) tea.Cmd {
	if len(found) == 0 {
		return e.open(&reader{env: e, title: title, lines: []string{e.t("tui.no_infobases")}})
	}
	q := &question{env: e, title: title, copies: func(i int) []field {
		return []field{{e.t("tui.ib_id"), found[i].ID}, {e.t("tui.column_ib"), found[i].Name}}
	}}
	for _, ib := range found {
		q.options = append(q.options, option{ib.ID, func() tea.Cmd { return chosen(ib) }})
	}
	q.table = func(width int) (head string, row func(i int) string) {
		table := e.infobaseTable(width)
		return table.headings(), func(i int) string { return e.infobaseRow(table, found[i]) }
	}
	return e.open(q)
}

func (e *env) infobaseTable(width int) grid {
	return layout([]column{
		{title: e.t("tui.column_ib"), min: 12, max: 38},
		{title: e.t("tui.column_sessions"), min: 8, max: 8, right: true},
		{title: e.t("tui.column_users_short"), min: 6, max: 8, right: true, yields: 3},
		{title: e.t("tui.column_groups_short"), min: 5, max: 6, right: true, yields: 4},
		{title: e.t("tui.column_messages"), min: 9, max: 9, right: true, yields: 1},
		{title: e.t("tui.column_no_recipient"), min: 14, max: 14, right: true},
		{title: e.t("tui.column_last_short"), min: 6, max: 6, right: true, yields: 2},
	}, width)
}

func (e *env) infobaseRow(table grid, ib control.Infobase) string {
	last := "—"
	if ib.LastMessageAt != nil {
		last = e.shortAge(e.now().Sub(*ib.LastMessageAt))
	}
	return table.row([]string{
		cells.Plain(say.Name(ib.ID, ib.Name)), number(ib.Sessions), number(ib.Users), number(ib.Groups),
		number(ib.Messages),
		number(ib.Unmatched), last,
	})
}
