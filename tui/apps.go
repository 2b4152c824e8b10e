package tui

import (
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// appsScreen shows the apps in a table, and one of them in detail.
type appsScreen struct {
	*env
	width, height int
	filter        filter
	at            scroll
	selected      string // the id of the row, which stays selected when others come

	opened  string // the id of the app in detail; empty: the table
	field   int    // of the detail, which can be copied
	visible bool   // keys are shown
	known   bool
}

func newApps(e *env) *appsScreen {
	a := &appsScreen{env: e}
	a.filter = newFilter(e, func() tea.Cmd {
		a.settle()
		return nil
	})
	return a
}

func (a *appsScreen) tab() string    { return a.t("tui.tab_apps") }
func (a *appsScreen) typing() bool   { return a.filter.typing }
func (a *appsScreen) enter() tea.Cmd { return nil }

// leave masks the keys again.
func (a *appsScreen) leave() { a.visible = false }

func (a *appsScreen) resize(width, height int) {
	a.width, a.height = width, height
	a.settle()
}

func (a *appsScreen) keys() keyTable {
	switch {
	case a.filter.typing:
		return a.filter.keys()
	case a.opened != "":
		back := keyRow{keys: "esc left h", shown: "esc", text: "tui.key_back", do: a.closeDetail}
		return append(keyTable{back}, a.detailKeys()...)
	}
	return append(keyTable{
		{keys: "n", text: "tui.key_create", do: a.askTitle},
		{keys: "enter right l", shown: "enter", text: "tui.key_open", do: a.withApp(a.openDetail)},
		{keys: "/", text: "tui.key_filter", do: a.filter.begin},
		{keys: "r", text: "tui.key_rename", do: a.withApp(a.askRename)},
		{keys: "d", text: "tui.key_remove", do: a.withApp(a.askRemove)},
		{keys: "o", text: "tui.key_sessions_of", do: a.withApp(sessionsOf)},
		{keys: "i", text: "tui.key_infobases", do: a.withApp(a.showInfobases)},
		{keys: "w", do: a.withApp(writeTo)},
		{keys: "esc", do: a.clearFilter},
	}, moving(a.move).unseen()...)
}

// withApp is what a key does with the app in detail or in the selected row, if
// there is one.
func (a *appsScreen) withApp(do func(control.App) tea.Cmd) func() tea.Cmd {
	return func() tea.Cmd {
		id := a.selected
		if a.opened != "" {
			id = a.opened
		}
		if one, there := a.appByID(id); there {
			return do(one)
		}
		return nil
	}
}

func sessionsOf(one control.App) tea.Cmd { return lead(sessionsOfMsg{appID: one.ID}) }
func writeTo(one control.App) tea.Cmd    { return lead(writeToMsg{appID: one.ID}) }

// matching are the apps that match the filter.
func (a *appsScreen) matching() []control.App {
	if a.filter.text == "" {
		return a.env.apps
	}
	wanted := strings.ToLower(a.filter.text)
	var found []control.App
	for _, one := range a.env.apps {
		title, id := strings.ToLower(one.Title), strings.ToLower(one.ID)
		if strings.Contains(title, wanted) || strings.Contains(id, wanted) {
			found = append(found, one)
		}
	}
	return found
}

// rows is the height of the table's rows.
func (a *appsScreen) rows() int { return max(a.height-3, 1) }

// settle finds the selected app again.
func (a *appsScreen) settle() {
	shown := a.matching()
	for i, one := range shown {
		if one.ID == a.selected {
			a.at.pos = i
		}
	}
	a.at.fit(len(shown), a.rows())
	a.selected = ""
	if a.at.pos < len(shown) {
		a.selected = shown[a.at.pos].ID
	}
}

func (a *appsScreen) update(msg tea.Msg) tea.Cmd {
	if msg, ok := msg.(appsMsg); ok && msg.err == nil {
		a.known = true
		if _, there := a.appByID(a.opened); !there {
			a.opened, a.visible = "", false
		}
		a.settle()
	}
	return nil
}

// write edits the filter.
func (a *appsScreen) write(k tea.KeyMsg) tea.Cmd {
	if a.filter.typing {
		return a.filter.write(k)
	}
	return nil
}

func (a *appsScreen) clearFilter() tea.Cmd {
	a.filter.clear()
	a.settle()
	return nil
}

// move moves in the table.
func (a *appsScreen) move(name string) tea.Cmd {
	shown := a.matching()
	a.at.move(name, len(shown), a.rows())
	a.selected = ""
	if len(shown) > 0 {
		a.selected = shown[a.at.pos].ID
	}
	return nil
}

func (a *appsScreen) click(line, wheel int) tea.Cmd {
	switch n, shown := line-2+a.at.top, a.matching(); {
	case a.opened != "":
	case wheel < 0:
		return a.move("up")
	case wheel > 0:
		return a.move("down")
	case line < 2 || n >= len(shown):
	case a.selected == shown[n].ID:
		return a.openDetail(shown[n])
	default:
		a.selected = shown[n].ID
		a.settle()
	}
	return nil
}

func (a *appsScreen) view() []string {
	if one, there := a.appByID(a.opened); there {
		return a.detail(one)
	}
	shown := a.matching()
	width := a.width - markWidth
	lines := []string{a.filter.view(a.t("tui.apps_count", "N", len(shown)), a.width)}
	switch {
	case len(shown) > 0:
	case !a.known:
		return append(lines, "", a.style.dim.Render("  "+a.t("tui.waiting")))
	case a.filter.text != "":
		return append(lines, "", a.style.dim.Render("  "+a.t("tui.nothing_found")))
	default:
		return append(append(lines, ""), indent(cells.Wrap(a.t("tui.no_apps"), width-markWidth))...)
	}
	title := 0
	for _, one := range shown {
		title = max(title, min(cells.Width(cells.Plain(one.Title)), 44))
	}
	columns := []column{
		{title: a.t("tui.column_title"), min: min(max(title, 12), 34), max: max(title, 12)},
		{title: a.t("tui.column_sessions"), min: 8, max: 8, right: true},
		{title: a.t("tui.column_old_key"), min: 21, max: 21, yields: 1},
		{title: "ID", min: 9, max: 36, yields: 2},
		{title: a.t("tui.created_at"), min: 16, max: 16, yields: 3},
	}
	table := layout(columns, width)
	lines = append(lines, "  "+a.style.label.Render(table.headings()))
	for i := a.at.top; i < min(len(shown), a.at.top+a.rows()); i++ {
		one := shown[i]
		row := table.row([]string{
			cells.Plain(one.Title),
			number(one.Sessions),
			a.oldKeys(one),
			one.ID,
			one.CreatedAt.Local().Format("2006-01-02 15:04"),
		})
		lines = append(lines, a.selectable(row, i == a.at.pos, a.width))
	}
	return lines
}

// oldKeys is a cell: which old keys still work, and for how long.
func (a *appsScreen) oldKeys(one control.App) string {
	left := func(until *time.Time) string { return a.words.Age(max(until.Sub(a.now()), 0)) }
	switch {
	case one.OldServerKeyUntil != nil && one.OldClientKeyUntil != nil:
		return a.t("tui.old_both", "left", left(one.OldClientKeyUntil))
	case one.OldClientKeyUntil != nil:
		return a.t("tui.old_client", "left", left(one.OldClientKeyUntil))
	case one.OldServerKeyUntil != nil:
		return a.t("tui.old_server", "left", left(one.OldServerKeyUntil))
	}
	return ""
}
