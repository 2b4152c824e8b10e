package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
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

// detailKeys are the keys of the detail, but for the one that closes it.
func (a *appsScreen) detailKeys() keyTable {
	view := "tui.key_show_keys"
	if a.visible {
		view = "tui.key_hide_keys"
	}
	return keyTable{
		{keys: "c enter", shown: "c", text: "tui.key_copy", do: a.withApp(a.copyField)},
		{keys: "v", text: view, do: a.toggleKeys},
		{keys: "s", text: "tui.key_server_key", do: a.withApp(a.askServerKey)},
		{keys: "C", text: "tui.key_client_key", do: a.withApp(a.askClientKey)},
		{keys: "t", text: "tui.key_reset_token", do: a.withApp(a.askResetToken)},
		{keys: "r", text: "tui.key_rename", do: a.withApp(a.askRename)},
		{keys: "d", text: "tui.key_remove", do: a.withApp(a.askRemove)},
		{keys: "o", text: "tui.key_sessions_of", do: a.withApp(sessionsOf)},
		{keys: "i", text: "tui.key_infobases", do: a.withApp(a.showInfobases)},
		{keys: "w", text: "tui.key_write", do: a.withApp(writeTo)},
		{keys: "up down k j", doKey: a.moveField},
	}
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

// openDetail shows an app in detail, keys masked.
func (a *appsScreen) openDetail(one control.App) tea.Cmd {
	a.opened, a.selected, a.field, a.visible = one.ID, one.ID, 0, false
	return nil
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

// askTitle creates an app when its title has been given.
func (a *appsScreen) askTitle() tea.Cmd {
	p := &prompt{env: a.env, title: a.t("tui.create_title"), text: a.t("tui.create_text"), input: newInput("")}
	p.accept = func(title string) tea.Cmd {
		return a.act(func(ctx context.Context) doneMsg {
			created, err := a.daemon.CreateApp(ctx, title)
			done := a.t("tui.created", "title", cells.Plain(created.Title))
			return doneMsg{err: err, notice: done, after: func() tea.Cmd {
				a.changed(created)
				if a.dialog == p { // else the person has gone on to something else
					a.filter.clear()
					a.openDetail(created)
					a.settle()
				}
				return nil
			}}
		})
	}
	return a.open(p)
}

// changed shows an app as a change has made it.
func (a *appsScreen) changed(one control.App) {
	a.put(one)
	a.settle()
}

func (a *appsScreen) askRename(one control.App) tea.Cmd {
	rename := func(title string) tea.Cmd {
		return a.change(func(ctx context.Context) (control.App, string, error) {
			renamed, err := a.daemon.RenameApp(ctx, one.ID, title)
			return renamed, a.t("tui.renamed", "title", cells.Plain(renamed.Title)), err
		})
	}
	return a.open(&prompt{env: a.env, title: a.t("tui.rename_title"), input: newInput(one.Title), accept: rename})
}

// change has the daemon change an app, shows it and says what was done.
func (a *appsScreen) change(do func(ctx context.Context) (one control.App, done string, err error)) tea.Cmd {
	return a.act(func(ctx context.Context) doneMsg {
		one, done, err := do(ctx)
		return doneMsg{err: err, notice: done, after: func() tea.Cmd {
			a.changed(one)
			return nil
		}}
	})
}

// shortID is as much of an app's id as distinguishes it from others.
const shortID = 8

func (a *appsScreen) askRemove(one control.App) tea.Cmd {
	title := cells.Plain(one.Title)
	sessions := a.t("live.n_sessions", "N", one.Sessions)
	remove := func(string) tea.Cmd {
		return a.act(func(ctx context.Context) doneMsg {
			_, err := a.daemon.RemoveApp(ctx, one.ID)
			return doneMsg{err: err, notice: a.t("tui.removed", "title", title), after: func() tea.Cmd {
				a.remove(one.ID)
				if a.opened == one.ID {
					a.closeDetail()
				}
				a.settle()
				return nil
			}}
		})
	}
	return a.open(&prompt{
		env:    a.env,
		title:  a.t("tui.remove_title", "title", title),
		text:   a.t("tui.remove_text", "title", title, "id", one.ID, "sessions", sessions),
		input:  newInput(""),
		want:   []string{one.Title, title, one.ID, one.ID[:min(len(one.ID), shortID)]},
		accept: remove,
	})
}

// graces are how long an old key may go on working.
var graces = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// renewal is a key that is to be replaced, in words and in deed.
type renewal struct {
	title, text string
	now         string // what is said of a key that ends at once
	rotate      func(ctx context.Context, grace time.Duration) (control.AppChange, error)
	done        func(change control.AppChange, grace time.Duration) string
}

// askKey asks how long the old key goes on working, and begins with a day.
func (a *appsScreen) askKey(r renewal) tea.Cmd {
	choose := func(grace time.Duration) func() tea.Cmd {
		return func() tea.Cmd {
			return a.change(func(ctx context.Context) (control.App, string, error) {
				change, err := r.rotate(ctx, grace)
				return change.App, r.done(change, grace), err
			})
		}
	}
	q := &question{env: a.env, title: r.title, text: r.text}
	for _, grace := range graces {
		q.options = append(q.options, option{a.t("tui.grace", "time", a.graceName(grace)), choose(grace)})
	}
	q.options = append(q.options, option{r.now, choose(0)}, option{a.t("tui.change_nothing"), nil})
	q.at.pos = 1
	return a.open(q)
}

func (a *appsScreen) graceName(grace time.Duration) string {
	if grace < 48*time.Hour {
		return a.t("tui.hours", "N", int(grace.Hours()))
	}
	return a.t("tui.days", "N", int(grace.Hours()/24))
}

func (a *appsScreen) askServerKey(one control.App) tea.Cmd {
	return a.askKey(renewal{
		title: a.t("tui.server_key_title"),
		text:  a.t("tui.server_key_text", "title", cells.Plain(one.Title), "id", one.ID),
		now:   a.t("tui.server_key_now"),
		rotate: func(ctx context.Context, grace time.Duration) (control.AppChange, error) {
			return a.daemon.RotateServerKey(ctx, one.ID, grace)
		},
		done: func(_ control.AppChange, grace time.Duration) string {
			if grace == 0 {
				return a.t("tui.server_key_changed")
			}
			return a.t("tui.server_key_grace", "time", a.graceName(grace))
		},
	})
}

func (a *appsScreen) askClientKey(one control.App) tea.Cmd {
	return a.askKey(renewal{
		title: a.t("tui.client_key_title"),
		text:  a.t("tui.client_key_text", "title", cells.Plain(one.Title), "id", one.ID),
		now:   a.t("tui.client_key_now", "sessions", a.t("live.n_sessions", "N", one.Sessions)),
		rotate: func(ctx context.Context, grace time.Duration) (control.AppChange, error) {
			return a.daemon.RotateClientKey(ctx, one.ID, grace)
		},
		done: func(change control.AppChange, grace time.Duration) string {
			if grace == 0 {
				return a.t("tui.client_key_changed", "sessions", a.t("live.n_sessions", "N", change.ClosedSessions))
			}
			return a.t("tui.client_key_grace", "time", a.graceName(grace))
		},
	})
}

func (a *appsScreen) askResetToken(one control.App) tea.Cmd {
	reset := func() tea.Cmd {
		return a.change(func(ctx context.Context) (control.App, string, error) {
			changed, err := a.daemon.ResetToken(ctx, one.ID)
			return changed, a.t("tui.reset_done"), err
		})
	}
	return a.open(&question{
		env:     a.env,
		title:   a.t("tui.reset_title"),
		text:    a.t("tui.reset_text", "title", cells.Plain(one.Title), "id", one.ID),
		options: []option{{a.t("tui.change_nothing"), nil}, {a.t("tui.reset_do"), reset}},
	})
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
	facts := []field{
		{a.t("tui.created_at"), say.Time(one.CreatedAt)},
		{a.t("tui.column_sessions"), number(one.Sessions)},
	}
	until := func(t time.Time) string {
		return a.t("tui.old_until", "left", a.words.Age(max(t.Sub(a.now()), 0)), "time", say.Time(t))
	}
	if t := one.OldServerKeyUntil; t != nil {
		facts = append(facts, field{a.t("tui.old_server_key"), until(*t)})
	}
	if t := one.OldClientKeyUntil; t != nil {
		facts = append(facts, field{a.t("tui.old_client_key"), until(*t)})
		if n := one.OldClientKeySessions; n != nil {
			facts = append(facts, field{a.t("tui.on_old_key"), number(*n)})
		}
	}
	lines = append(lines, indent(a.block(facts, width))...)
	var where []string
	for _, line := range cells.Wrap(a.t("tui.where_to_put"), width) {
		where = append(where, a.style.dim.Render(line))
	}
	// Where there is no room for all keys, the footer has some and the help all.
	for _, more := range [][]string{a.listKeys(width), where} {
		if len(lines)+1+len(more) <= a.height {
			lines = append(append(lines, ""), indent(more)...)
		}
	}
	return lines
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
