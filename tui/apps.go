package tui

import (
	"context"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// apps is the second screen: the apps in a table, and one of them in detail.
type apps struct {
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

func newApps(e *env) *apps { return &apps{env: e, filter: newFilter(e)} }

func (a *apps) tab() string    { return a.t("tui.tab_apps") }
func (a *apps) typing() bool   { return a.filter.typing }
func (a *apps) enter() tea.Cmd { return nil }

// leave masks the keys again.
func (a *apps) leave() { a.visible = false }

func (a *apps) resize(width, height int) {
	a.width, a.height = width, height
	a.settle()
}

func (a *apps) keys() []key.Binding {
	switch {
	case a.filter.typing:
		return a.filter.keys()
	case a.opened != "":
		return append([]key.Binding{a.bind("tui.key_back", "esc")}, a.actions()...)
	}
	return []key.Binding{
		a.bind("tui.key_create", "n"), a.bind("tui.key_open", "enter"), a.bind("tui.key_filter", "/"), a.bind("tui.key_rename", "r"), a.bind("tui.key_remove", "d"),
		a.bind("tui.key_sessions_of", "o"),
	}
}

// actions are the keys of the detail.
func (a *apps) actions() []key.Binding {
	view := "tui.key_show_keys"
	if a.visible {
		view = "tui.key_hide_keys"
	}
	return []key.Binding{
		a.bind("tui.key_copy", "c"), a.bind(view, "v"), a.bind("tui.key_server_key", "s"), a.bind("tui.key_client_key", "C"), a.bind("tui.key_reset_token", "t"),
		a.bind("tui.key_rename", "r"), a.bind("tui.key_remove", "d"), a.bind("tui.key_sessions_of", "o"), a.bind("tui.key_write", "w"),
	}
}

// shown are the apps that match the filter.
func (a *apps) shown() []control.App {
	if a.filter.text == "" {
		return a.env.apps
	}
	wanted := strings.ToLower(a.filter.text)
	var matching []control.App
	for _, one := range a.env.apps {
		if strings.Contains(strings.ToLower(one.Title), wanted) || strings.Contains(strings.ToLower(one.ID), wanted) {
			matching = append(matching, one)
		}
	}
	return matching
}

// rows is the height of the table's rows.
func (a *apps) rows() int { return max(a.height-3, 1) }

// settle finds the selected app again.
func (a *apps) settle() {
	shown := a.shown()
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

func (a *apps) update(msg tea.Msg) tea.Cmd {
	if msg, ok := msg.(appsMsg); ok && msg.err == nil {
		a.known = true
		if _, there := a.appByID(a.opened); !there {
			a.opened, a.visible = "", false
		}
		a.settle()
	}
	return nil
}

func (a *apps) press(k tea.KeyMsg) tea.Cmd {
	if a.filter.typing {
		a.filter.press(k)
		a.settle()
		return nil
	}
	if one, there := a.appByID(a.opened); there {
		return a.pressDetail(k.String(), one)
	}
	if a.at.press(k.String(), len(a.shown()), a.rows()) {
		a.selected = ""
		if shown := a.shown(); len(shown) > 0 {
			a.selected = shown[a.at.pos].ID
		}
		return nil
	}
	switch k.String() {
	case "n":
		a.askTitle()
		return nil
	case "/":
		a.filter.begin()
		return nil
	case "esc":
		a.filter.clear()
		a.settle()
		return nil
	}
	one, there := a.appByID(a.selected)
	if !there {
		return nil
	}
	switch k.String() {
	case "enter", "right", "l":
		a.open(one.ID)
		return nil
	}
	return a.pressOnApp(k.String(), one)
}

func (a *apps) click(line, wheel int) tea.Cmd {
	if a.opened != "" {
		return nil
	}
	if wheel != 0 {
		return a.press(tea.KeyMsg{Type: map[int]tea.KeyType{-1: tea.KeyUp, 1: tea.KeyDown}[wheel]})
	}
	if shown, n := a.shown(), line-2+a.at.top; line >= 2 && n < len(shown) {
		if a.selected == shown[n].ID {
			a.open(a.selected)
		}
		a.selected = shown[n].ID
		a.settle()
	}
	return nil
}

// pressOnApp takes the keys that work in the table and in the detail.
func (a *apps) pressOnApp(k string, one control.App) tea.Cmd {
	switch k {
	case "r":
		a.askRename(one)
	case "d":
		a.askRemove(one)
	case "o":
		return func() tea.Msg { return sessionsOfMsg{one.ID} }
	case "w":
		return func() tea.Msg { return writeToMsg{appID: one.ID} }
	}
	return nil
}

func (a *apps) pressDetail(k string, one control.App) tea.Cmd {
	switch k {
	case "esc", "left", "h":
		a.opened, a.visible = "", false
	case "up", "k":
		a.field = max(a.field-1, 0)
	case "down", "j":
		a.field = min(a.field+1, len(a.fields(one))-1)
	case "v":
		a.visible = !a.visible
	case "c", "enter":
		f := a.fields(one)[a.field]
		a.copied(f.name, f.value)
	case "s":
		a.askServerKey(one)
	case "C":
		a.askClientKey(one)
	case "t":
		a.askResetToken(one)
	default:
		return a.pressOnApp(k, one)
	}
	return nil
}

// open shows an app in detail, keys masked.
func (a *apps) open(id string) { a.opened, a.selected, a.field, a.visible = id, id, 0, false }

// fields are what can be copied.
func (a *apps) fields(one control.App) []field {
	return []field{{a.t("tui.app_id"), one.ID}, {a.t("tui.server_key"), one.ServerKey}, {a.t("tui.client_key"), one.ClientKey}}
}

func (a *apps) askTitle() {
	p := &prompt{env: a.env, title: a.t("tui.create_title"), text: a.t("tui.create_text"), input: newInput("")}
	p.accept = func(title string) tea.Cmd {
		return a.act(func(ctx context.Context) doneMsg {
			created, err := a.daemon.CreateApp(ctx, title)
			return doneMsg{err: err, notice: a.t("tui.created", "title", cells.Plain(created.Title)), after: func() tea.Cmd {
				a.changed(created)
				if a.dialog == p { // else the person has gone on to something else
					a.filter.clear()
					a.open(created.ID)
					a.settle()
				}
				return nil
			}}
		})
	}
	a.dialog = p
}

// changed shows an app as a change has made it.
func (a *apps) changed(one control.App) {
	a.put(one)
	a.settle()
}

func (a *apps) askRename(one control.App) {
	a.dialog = &prompt{env: a.env, title: a.t("tui.rename_title"), input: newInput(one.Title), accept: func(title string) tea.Cmd {
		return a.change(func(ctx context.Context) (control.App, string, error) {
			renamed, err := a.daemon.RenameApp(ctx, one.ID, title)
			return renamed, a.t("tui.renamed", "title", cells.Plain(renamed.Title)), err
		})
	}}
}

// change has the daemon change an app, shows it and says what was done.
func (a *apps) change(do func(ctx context.Context) (one control.App, done string, err error)) tea.Cmd {
	return a.act(func(ctx context.Context) doneMsg {
		one, done, err := do(ctx)
		return doneMsg{err: err, notice: done, after: func() tea.Cmd {
			a.changed(one)
			return nil
		}}
	})
}

// shortID is as much of an app's id as tells it from others.
const shortID = 8

func (a *apps) askRemove(one control.App) {
	title := cells.Plain(one.Title)
	a.dialog = &prompt{
		env: a.env, title: a.t("tui.remove_title", "title", title), input: newInput(""),
		text: a.t("tui.remove_text", "title", title, "id", one.ID, "sessions", a.t("live.n_sessions", "N", one.Sessions)),
		want: []string{one.Title, title, one.ID, one.ID[:min(len(one.ID), shortID)]},
		accept: func(string) tea.Cmd {
			return a.act(func(ctx context.Context) doneMsg {
				_, err := a.daemon.RemoveApp(ctx, one.ID)
				return doneMsg{err: err, notice: a.t("tui.removed", "title", title), after: func() tea.Cmd {
					a.remove(one.ID)
					if a.opened == one.ID {
						a.opened, a.visible = "", false
					}
					a.settle()
					return nil
				}}
			})
		},
	}
}

// graces are how long an old key may go on working.
var graces = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// askKey asks how long the old key goes on working, and begins with a day. now is
// what is said of a key that dies at once.
func (a *apps) askKey(title, text, now string, rotate func(ctx context.Context, grace time.Duration) (control.AppChange, error), done func(control.AppChange, time.Duration) string) {
	choose := func(grace time.Duration) func() tea.Cmd {
		return func() tea.Cmd {
			return a.change(func(ctx context.Context) (control.App, string, error) {
				change, err := rotate(ctx, grace)
				return change.App, done(change, grace), err
			})
		}
	}
	q := &question{env: a.env, title: title, text: text}
	for _, grace := range graces {
		q.options = append(q.options, option{a.t("tui.grace", "time", a.graceName(grace)), choose(grace)})
	}
	q.options = append(q.options, option{now, choose(0)}, option{a.t("tui.change_nothing"), nil})
	q.at.pos = 1
	a.dialog = q
}

func (a *apps) graceName(grace time.Duration) string {
	if grace < 48*time.Hour {
		return a.t("tui.hours", "N", int(grace.Hours()))
	}
	return a.t("tui.days", "N", int(grace.Hours()/24))
}

func (a *apps) askServerKey(one control.App) {
	a.askKey(a.t("tui.server_key_title"), a.t("tui.server_key_text", "title", cells.Plain(one.Title), "id", one.ID), a.t("tui.server_key_now"),
		func(ctx context.Context, grace time.Duration) (control.AppChange, error) {
			return a.daemon.RotateServerKey(ctx, one.ID, grace)
		},
		func(_ control.AppChange, grace time.Duration) string {
			if grace == 0 {
				return a.t("tui.server_key_changed")
			}
			return a.t("tui.server_key_grace", "time", a.graceName(grace))
		})
}

func (a *apps) askClientKey(one control.App) {
	a.askKey(a.t("tui.client_key_title"), a.t("tui.client_key_text", "title", cells.Plain(one.Title), "id", one.ID), a.t("tui.client_key_now", "sessions", a.t("live.n_sessions", "N", one.Sessions)),
		func(ctx context.Context, grace time.Duration) (control.AppChange, error) {
			return a.daemon.RotateClientKey(ctx, one.ID, grace)
		},
		func(change control.AppChange, grace time.Duration) string {
			if grace == 0 {
				return a.t("tui.client_key_changed", "sessions", a.t("live.n_sessions", "N", change.ClosedSessions))
			}
			return a.t("tui.client_key_grace", "time", a.graceName(grace))
		})
}

func (a *apps) askResetToken(one control.App) {
	a.dialog = &question{env: a.env, title: a.t("tui.reset_title"), text: a.t("tui.reset_text", "title", cells.Plain(one.Title), "id", one.ID), options: []option{
		{a.t("tui.change_nothing"), nil},
		{a.t("tui.reset_do"), func() tea.Cmd {
			return a.change(func(ctx context.Context) (control.App, string, error) {
				reset, err := a.daemon.ResetToken(ctx, one.ID)
				return reset, a.t("tui.reset_done"), err
			})
		}},
	}}
}

func (a *apps) view() []string {
	if one, there := a.appByID(a.opened); there {
		return a.detail(one)
	}
	shown := a.shown()
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
		{title: a.t("tui.column_old_key"), min: 21, max: 21, rank: 1},
		{title: "ID", min: 9, max: 36, rank: 2},
		{title: a.t("tui.created_at"), min: 16, max: 16, rank: 3},
	}
	table := layout(columns, width)
	lines = append(lines, "  "+a.style.label.Render(table.headings()))
	for i := a.at.top; i < min(len(shown), a.at.top+a.rows()); i++ {
		one := shown[i]
		lines = append(lines, a.selectable(table.row([]string{
			cells.Plain(one.Title), number(one.Sessions), a.oldKeys(one), one.ID, one.CreatedAt.Local().Format("2006-01-02 15:04"),
		}), i == a.at.pos, a.width))
	}
	return lines
}

// oldKeys tells in a cell which old keys still work, and for how long.
func (a *apps) oldKeys(one control.App) string {
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
func (a *apps) detail(one control.App) []string {
	width := a.width - 2*markWidth
	lines := []string{"  " + a.style.title.Render(cells.Truncate(cells.Plain(one.Title), width)), ""}
	nameWidth := 0
	for _, f := range a.fields(one) {
		nameWidth = max(nameWidth, cells.Width(f.name))
	}
	for i, f := range a.fields(one) {
		value := cells.Plain(f.value)
		if i > 0 && !a.visible {
			value = strings.Repeat("•", 24)
		}
		name := cells.Left(f.name, nameWidth) + "  "
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
	facts := []field{{a.t("tui.created_at"), say.Time(one.CreatedAt)}, {a.t("tui.column_sessions"), number(one.Sessions)}}
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
	for _, more := range [][]string{a.listActions(width), where} {
		if len(lines)+1+len(more) <= a.height {
			lines = append(append(lines, ""), indent(more)...)
		}
	}
	return lines
}

// listActions shows all keys of the detail in columns: the footer has no room for
// them on a narrow screen.
func (a *apps) listActions(width int) (lines []string) {
	actions := a.actions()
	wide := 0
	for _, b := range actions {
		wide = max(wide, hintWidth(b)+3)
	}
	columns := max(width/wide, 1)
	rows := (len(actions) + columns - 1) / columns
	for i := range rows {
		line := ""
		for n := i; n < len(actions); n += rows {
			help := actions[n].Help()
			line += a.style.accent.Render(help.Key) + " " + cells.Left(help.Desc, wide-1-cells.Width(help.Key))
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}
