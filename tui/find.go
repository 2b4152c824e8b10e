package tui

import (
	"context"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// maxFound is how many people are offered to choose from.
const maxFound = 100

// askPerson asks for a name and explains whoever it is.
func (e *env) askPerson() tea.Cmd {
	p := &prompt{env: e, title: e.t("tui.find_title"), text: e.t("tui.find_text"), input: newInput("")}
	p.accept = func(text string) tea.Cmd {
		return e.askPeople("", text, func(found control.People) tea.Cmd {
			if len(found.People) == 0 {
				p.busy, p.problem = false, e.t("tui.found_nobody", "who", cells.Plain(text))
				return nil
			}
			return e.choosePerson(found, true, e.explainPerson)
		})
	}
	return e.open(p)
}

// foundMsg are the people that were asked for.
type foundMsg struct {
	from   dialog // on top of which they were asked for
	screen screen // and on which screen
	people control.People
	err    error
	then   func(control.People) tea.Cmd
}

// askPeople asks for the people whose name or id has a text, and hands them to then,
// unless the person has gone on to something else.
func (e *env) askPeople(appID, text string, then func(control.People) tea.Cmd) tea.Cmd {
	from, shown := e.dialog, e.shown
	return ask(func(ctx context.Context) tea.Msg {
		found, err := e.daemon.People(ctx, appID, text, maxFound)
		return foundMsg{from, shown, found, err, then}
	})
}

// found shows the people that were asked for.
func (e *env) found(msg foundMsg) tea.Cmd {
	if e.dialog != msg.from || e.shown != msg.screen {
		return nil
	}
	if msg.err != nil {
		if p, asked := msg.from.(*prompt); asked {
			p.busy, p.problem = false, e.problem(msg.err)
		} else {
			e.complain(e.problem(msg.err))
		}
		return nil
	}
	return msg.then(msg.people)
}

// choosePerson lets the person choose among those found. With one it is asked nothing if
// only one is meant.
func (e *env) choosePerson(found control.People, one bool, chosen func(control.Person) tea.Cmd) tea.Cmd {
	people := found.People
	e.close()
	if one && (len(people) == 1 || people[0].Exact && !people[1].Exact) {
		return chosen(people[0])
	}
	title := e.t("tui.found_title", "N", found.Total)
	if more := found.Total - len(people); more > 0 {
		title += " · " + e.t("tui.more", "N", more)
	}
	q := &question{env: e, title: title, copies: func(i int) []field {
		who := people[i]
		return []field{
			{e.t("tui.user_id"), who.UserID},
			{e.t("tui.column_user"), who.UserName},
			{e.t("tui.ib_id"), who.IbID},
			{e.t("tui.column_ib"), who.IbName},
			{e.t("tui.app_id"), who.AppID},
		}
	}}
	for _, who := range people {
		q.options = append(q.options, option{who.UserID, func() tea.Cmd { return chosen(who) }})
	}
	rows := make([][]string, len(people))
	for i, who := range people {
		rows[i] = e.personRow(who)
	}
	q.table = func(width int) (head string, row func(i int) string) {
		table := fit([]column{
			{title: e.t("tui.column_user"), min: 24},
			{title: e.t("tui.column_ib"), min: 10, yields: 1},
			{title: e.t("tui.column_app"), min: 10, yields: 2},
			{title: e.t("tui.column_sessions"), min: 3, right: true},
		}, rows, width)
		return table.headings(), func(i int) string { return table.row(rows[i]) }
	}
	return e.open(q)
}

// personRow is somebody in a table.
func (e *env) personRow(who control.Person) []string {
	ib := ""
	if who.IbID != "" {
		ib = cells.Plain(say.Name(who.IbID, who.IbName))
	}
	return []string{cells.Plain(say.Called(who.UserID, who.UserName)), ib, e.appTitle(who.AppID), number(who.Sessions)}
}

// personLine is somebody in a line.
func (e *env) personLine(who control.Person) string {
	line := cells.Plain(say.Called(who.UserID, who.UserName))
	if who.IbID != "" {
		line += " · " + cells.Plain(say.Name(who.IbID, who.IbName))
	}
	line += " · " + e.appTitle(who.AppID)
	if who.Sessions > 0 {
		line += " · " + e.t("live.n_sessions", "N", who.Sessions)
	}
	return line
}

// explainPerson explains why messages do or do not reach somebody.
func (e *env) explainPerson(who control.Person) tea.Cmd {
	if who.IbID != "" {
		return e.explain(who.AppID, called{who.IbID, who.IbName}, called{who.UserID, who.UserName}, "")
	}
	text := e.t("live.explain_only_name", "user", say.InFull(who.UserID, who.UserName), "app", e.words.App(who.AppID))
	return e.open(&reader{env: e, title: cells.Plain(say.Name(who.UserID, who.UserName)),
		lines: []string{cells.Plain(text)}})
}
