package tui

import (
	"cmp"
	"slices"
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
	sorting       sorting
	selected      string // the id of the row, which stays selected when others come

	opened  string // the id of the app in detail; empty: the table
	past    past   // of that app
	field   int    // of the detail, which can be copied
	visible bool   // keys are shown
	known   bool
}

func newApps(e *env) *appsScreen {
	a := &appsScreen{env: e, past: past{env: e}}
	a.filter = newFilter(e, func() tea.Cmd {
		a.settle()
		return nil
	})
	a.sorting.changed = func() tea.Cmd {
		a.settle()
		return nil
	}
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
		back := keyRow{keys: "esc left", shown: "esc", text: "tui.key_back", do: a.closeDetail}
		return append(keyTable{back}, a.detailKeys()...)
	}
	return append(keyTable{
		{keys: "n", text: "tui.key_create", do: a.askTitle},
		{keys: "enter right l", shown: "enter", text: "tui.key_open", do: a.withApp(a.openDetail)},
		{keys: "/", text: "tui.key_filter", do: a.filter.begin},
		{keys: "i", text: "tui.key_infobases", do: a.withApp(a.showInfobases)},
		{keys: "o", text: "tui.key_sessions_of", do: a.withApp(sessionsOf)},
		{keys: "y", text: "tui.key_copy_all", do: a.withApp(a.copyBlock)},
		{keys: "c", text: "tui.key_copy", do: a.withApp(a.askCopyApp)},
		{keys: "r", text: "tui.key_rename", do: a.withApp(a.askRename)},
		{keys: "d", text: "tui.key_remove", do: a.withApp(a.askRemove)},
		{keys: "w", text: "tui.key_write", do: a.withApp(writeTo)},
		{keys: "esc", do: a.clearFilter},
	}, append(a.sorting.keys(), moving(a.move).unseen()...)...)
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

// askCopyApp copies something of an app, its id first.
func (a *appsScreen) askCopyApp(one control.App) tea.Cmd {
	q := &question{env: a.env, title: a.t("tui.copy_title")}
	fields := a.fields(one)
	for _, f := range append([]field{{a.t("tui.column_title"), one.Title}}, fields[:]...) {
		q.options = append(q.options, option{f.name, func() tea.Cmd { // keys are not to be seen
			a.copied(f.name, f.value)
			return nil
		}})
	}
	q.at.pos = 1
	return a.open(q)
}

// matching are the apps that have all words of the filter and none of those with a minus,
// in the order that the person has chosen.
func (a *appsScreen) matching() []control.App {
	found := a.env.apps
	if a.filter.text != "" {
		found = nil
		for _, one := range a.env.apps {
			if hasWords(strings.ToLower(one.Title+"\n"+one.ID), a.filter.text) {
				found = append(found, one)
			}
		}
	}
	by, backwards := strings.CutPrefix(a.sorting.by, "-")
	if by == "" {
		return found
	}
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(one, other control.App) int {
		if backwards {
			one, other = other, one
		}
		return compareApps(by, one, other)
	})
	return found
}

// hasWords reports whether a text in lower case has all words, and none of those with a
// minus.
func hasWords(text, words string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(words)) {
		unwanted, minus := strings.CutPrefix(word, "-")
		if minus && unwanted != "" && strings.Contains(text, unwanted) || !minus && !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// compareApps compares apps by a column.
func compareApps(by string, one, other control.App) int {
	end := func(a control.App) int64 {
		last := int64(0)
		for _, t := range []*time.Time{a.OldServerKeyUntil, a.OldClientKeyUntil} {
			if t != nil {
				last = max(last, t.Unix())
			}
		}
		return last
	}
	switch by {
	case "title":
		return strings.Compare(strings.ToLower(one.Title), strings.ToLower(other.Title))
	case "sessions":
		return cmp.Compare(one.Sessions, other.Sessions)
	case "old_key":
		return cmp.Compare(end(one), end(other))
	case "created":
		return one.CreatedAt.Compare(other.CreatedAt)
	}
	return strings.Compare(one.ID, other.ID)
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
	switch msg := msg.(type) {
	case openAppMsg:
		if one, there := a.appByID(msg.id); there {
			a.filter.clear()
			a.settle()
			return a.openDetail(one)
		}
	case appsMsg:
		if msg.err != nil {
			return nil
		}
		a.known = true
		if _, there := a.appByID(a.opened); !there {
			a.opened, a.visible = "", false
		}
		a.settle()
	case pastMsg:
		a.past.take(msg)
	case tickMsg:
		if a.opened != "" {
			return a.past.tick(msg)
		}
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
	title := a.t("tui.apps_count", "N", len(shown)) + a.below(a.at, len(shown), a.rows())
	lines := []string{a.filter.view(title, a.width)}
	switch {
	case len(shown) > 0:
	case !a.known:
		return append(lines, "", a.style.dim.Render("  "+a.t("tui.waiting")))
	case a.filter.text != "":
		return append(lines, "", a.style.dim.Render("  "+a.t("tui.nothing_found")))
	default:
		return append(append(lines, ""), indent(cells.Wrap(a.t("tui.no_apps"), a.width-2*markWidth))...)
	}
	list := func(width int) []string { return a.list(shown, width) }
	return append(lines, a.withDetails(a.width, a.height-1, list, func(width int) []string {
		one := shown[min(a.at.pos, len(shown)-1)]
		names := []field{{a.t("tui.column_title"), cells.Plain(one.Title)}, {a.t("tui.app_id"), one.ID}}
		return a.block(append(names, a.facts(one)...), width)
	})...)
}

// list is the table of the apps.
func (a *appsScreen) list(shown []control.App, width int) []string {
	columns := a.sorting.titled([]column{
		{title: a.t("tui.column_title"), min: 24, sort: "title"},
		{title: a.t("tui.column_sessions"), min: 8, right: true, sort: "sessions"},
		{title: a.t("tui.column_old_key"), min: 21, yields: 1, sort: "old_key"},
		{title: "ID", min: 9, yields: 2, sort: "id"},
		{title: a.t("tui.created_at"), min: 16, yields: 3, sort: "created"},
	})
	end := min(len(shown), a.at.top+a.rows())
	var rows [][]string
	for _, one := range shown[a.at.top:end] {
		rows = append(rows, []string{
			cells.Plain(one.Title),
			number(one.Sessions),
			a.oldKeys(one),
			one.ID,
			one.CreatedAt.Local().Format("2006-01-02 15:04"),
		})
	}
	table := fit(columns, rows, width-markWidth)
	lines := []string{a.sorting.heading(a.env, table)}
	for i, row := range rows {
		n := a.at.top + i
		lines = append(lines, a.selectable(table.row(row), n == a.at.pos, width))
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
