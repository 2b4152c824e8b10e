package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// sendScreen is a form for a message.
type sendScreen struct {
	*env
	width, height int
	appID         string
	chosen        bool // the person chose the app; it stays, even if it is gone
	to            wire.RecipientType
	important     bool
	inputs        [fieldCount]input
	names         [fieldCount]called // of the ids in fieldIb and fieldWho, as far as known
	at            formField
	top           int      // the first line that is shown
	result        []string // what became of the last message, plain
	sent          bool     // and that somebody got it
	busy          bool
}

// formField is a field of the form.
type formField int

const (
	fieldApp formField = iota
	fieldIb
	fieldTo
	fieldWho
	fieldTitle
	fieldBody
	fieldImportant
	fieldTopic
	fieldData
	fieldIcon
	fieldAction
	fieldCount
)

func newSend(e *env) *sendScreen {
	s := &sendScreen{env: e, to: wire.ToUser}
	for f := range fieldCount {
		s.inputs[f] = newInput("")
		s.inputs[f].lines = f == fieldBody || f == fieldData
	}
	return s
}

func (s *sendScreen) tab() string              { return s.t("tui.tab_send") }
func (s *sendScreen) typing() bool             { return true }
func (s *sendScreen) enter() tea.Cmd           { return nil }
func (s *sendScreen) leave()                   {}
func (s *sendScreen) resize(width, height int) { s.width, s.height = width, height }

func (s *sendScreen) keys() keyTable {
	table := keyTable{
		{keys: "ctrl+s", text: "tui.key_send", do: s.submit},
		{keys: "tab down", shown: "tab", text: "tui.key_field", do: s.next},
		{keys: "shift+tab up", do: s.previous},
		{keys: "esc", text: "tui.key_back", do: func() tea.Cmd { return lead(backMsg{}) }},
	}
	table = append(table, s.fieldKeys()...)
	return append(table,
		keyRow{keys: "ctrl+e", text: "tui.key_explain", do: s.explainRecipient},
		keyRow{keys: "ctrl+n", text: "tui.key_empty", do: s.empty},
	)
}

// fieldKeys are the keys of the field that has the focus.
func (s *sendScreen) fieldKeys() keyTable {
	switch s.at {
	case fieldApp:
		return keyTable{
			{keys: "enter space", shown: "enter", text: "tui.key_choose_app", do: s.askApp},
			{keys: "left right", doKey: s.stepApp},
		}
	case fieldTo:
		return keyTable{
			{keys: "space left right", shown: "space", text: "tui.key_switch", doKey: s.stepRecipient},
			{keys: "enter", do: s.next},
		}
	case fieldImportant:
		return keyTable{
			{keys: "space left right", shown: "space", text: "tui.key_switch", do: s.toggleImportant},
			{keys: "enter", do: s.next},
		}
	case fieldBody, fieldData:
		return keyTable{{keys: "enter", text: "tui.key_line_break"}}
	case fieldIb:
		return keyTable{{keys: "ctrl+o", text: "tui.key_pick", do: s.pickInfobase}, {keys: "enter", do: s.next}}
	case fieldWho:
		if s.to == wire.ToUser {
			return keyTable{{keys: "ctrl+o", text: "tui.key_pick", do: s.pickUser}, {keys: "enter", do: s.next}}
		}
	}
	return keyTable{{keys: "enter", do: s.next}}
}

// fields are the fields that there are now, in their order.
func (s *sendScreen) fields() []formField {
	fields := make([]formField, 0, fieldCount)
	for f := range fieldCount {
		if f != fieldWho || s.to != wire.ToAll {
			fields = append(fields, f)
		}
	}
	return fields
}

func (s *sendScreen) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case appsMsg:
		if _, there := s.appByID(s.appID); !there && !s.chosen {
			s.appID = ""
			if len(s.apps) > 0 {
				s.appID = s.apps[0].ID
			}
		}
	case writeToMsg:
		s.choose(msg.appID)
		s.to, s.at, s.result = wire.ToUser, fieldTitle, nil
		s.set(fieldIb, msg.ib)
		s.set(fieldWho, msg.user)
		if msg.ib.id == "" {
			s.at = fieldIb
		}
	case sentMsg:
		s.busy = false
		s.showResult(msg)
	}
	return nil
}

func (s *sendScreen) choose(appID string) { s.appID, s.chosen = appID, true }

func (s *sendScreen) next() tea.Cmd     { return s.step(1) }
func (s *sendScreen) previous() tea.Cmd { return s.step(-1) }

// step goes to another field, round and round.
func (s *sendScreen) step(by int) tea.Cmd {
	fields := s.fields()
	at := slices.Index(fields, s.at)
	if at < 0 { // it is there for other recipients only
		at, by = 0, 0
	}
	s.at = fields[(at+by+len(fields))%len(fields)]
	return nil
}

// empty begins another message to the same recipient.
func (s *sendScreen) empty() tea.Cmd {
	for f := fieldTitle; f < fieldCount; f++ {
		s.inputs[f].set("")
	}
	s.important, s.result, s.at = false, nil, fieldTitle
	return nil
}

// write gives a key to the field, if it is one of text.
func (s *sendScreen) write(k tea.KeyMsg) tea.Cmd {
	switch s.at {
	case fieldApp, fieldTo, fieldImportant:
	default:
		s.inputs[s.at].press(k)
	}
	return nil
}

func (s *sendScreen) toggleImportant() tea.Cmd {
	s.important = !s.important
	return nil
}

func (s *sendScreen) stepRecipient(name string) tea.Cmd {
	types := []wire.RecipientType{wire.ToUser, wire.ToGroup, wire.ToAll}
	by := 1
	if name == "left" {
		by = len(types) - 1
	}
	s.to = types[(slices.Index(types, s.to)+by)%len(types)]
	return nil
}

func (s *sendScreen) stepApp(name string) tea.Cmd {
	n := len(s.apps)
	if n == 0 {
		return nil
	}
	by := 1
	if name == "left" {
		by = n - 1
	}
	s.choose(s.apps[(s.appIndex()+by)%n].ID)
	return nil
}

// appIndex is where the chosen app is among all; where it is gone, the first one.
func (s *sendScreen) appIndex() int {
	return max(slices.IndexFunc(s.apps, func(a control.App) bool { return a.ID == s.appID }), 0)
}

// askApp lets the person choose the app.
func (s *sendScreen) askApp() tea.Cmd {
	if len(s.apps) == 0 {
		return nil
	}
	q := &question{env: s.env, title: s.t("tui.choose_app")}
	for _, a := range s.apps {
		q.options = append(q.options, option{cells.Plain(a.Title), func() tea.Cmd {
			s.choose(a.ID)
			return nil
		}})
	}
	q.at.pos = s.appIndex()
	return s.open(q)
}

// recipient is whom the message is for; problem says what is missing.
func (s *sendScreen) recipient() (to wire.Recipient, problem string) {
	to = wire.Recipient{Type: s.to, IbID: s.inputs[fieldIb].value()}
	who := s.inputs[fieldWho].value()
	_, there := s.appByID(s.appID)
	switch {
	case s.appID == "":
		s.at = fieldApp
		return to, s.t("tui.needs_app")
	case !there:
		s.at = fieldApp
		return to, s.t("tui.needs_other_app")
	case to.IbID == "":
		s.at = fieldIb
		return to, s.t("tui.needs_ib")
	case s.to != wire.ToAll && who == "":
		s.at = fieldWho
		if s.to == wire.ToGroup {
			return to, s.t("tui.needs_group")
		}
		return to, s.t("tui.needs_user")
	}
	switch s.to {
	case wire.ToUser:
		to.UserID = who
	case wire.ToGroup:
		to.UserGroup = who
	}
	return to, ""
}

// message is what the form says; problem is what is wrong with it.
func (s *sendScreen) message() (m wire.Message, problem string) {
	text := func(f formField) string { return s.inputs[f].value() }
	m.Notification = wire.Notification{
		Title:     text(fieldTitle),
		Body:      text(fieldBody),
		Icon:      text(fieldIcon),
		Action:    text(fieldAction),
		Important: s.important,
	}
	m.Topic = text(fieldTopic)
	for line := range strings.Lines(text(fieldData)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			s.at = fieldData
			return m, s.t("tui.bad_data", "item", cells.Plain(line))
		}
		m.Data = append(m.Data, wire.Pair{Key: key, Value: value})
	}
	if string(m.AppendJSON(nil)) == "{}" {
		s.at = fieldTitle
		return m, s.t("tui.empty_message")
	}
	return m, ""
}

// sentMsg is what became of a message.
type sentMsg struct {
	appID    string
	to       wire.Recipient
	sessions int
	unusable []string // keys that 1C cannot hold
	at       time.Time
	err      error
}

// submit sends the message, if the form is complete.
func (s *sendScreen) submit() tea.Cmd {
	if s.busy {
		return nil
	}
	to, problem := s.recipient()
	if problem != "" {
		s.complain(problem)
		return nil
	}
	m, problem := s.message()
	if problem != "" {
		s.complain(problem)
		return nil
	}
	s.busy, s.result, s.notice = true, nil, notice{}
	appID, now := s.appID, s.now()
	return ask(func(ctx context.Context) tea.Msg {
		n, err := s.daemon.Send(ctx, appID, to, m)
		return sentMsg{appID, to, n, m.UnusableKeys(), now, err}
	})
}

func (s *sendScreen) showResult(msg sentMsg) {
	at := msg.at.Local().Format(time.TimeOnly) + "  "
	s.sent = msg.err == nil && msg.sessions > 0
	switch {
	case msg.err != nil:
		s.result = []string{at + s.problem(msg.err)}
	case msg.sessions > 0:
		s.result = []string{at + s.t("tui.sent", "N", msg.sessions)}
	case msg.to.Type == wire.ToGroup:
		s.result = []string{at + s.t("tui.sent_to_no_group")}
	case msg.to.Type == wire.ToUser:
		s.result = []string{at + s.t("tui.sent_to_nobody") + " " + s.t("tui.ask_why")}
	default:
		s.result = []string{at + s.t("tui.sent_to_nobody")}
	}
	if msg.err == nil && len(msg.unusable) > 0 {
		s.result = append(s.result, s.t("tui.unusable_keys", "keys", cells.Plain(`"`+strings.Join(msg.unusable, `", "`)+`"`)))
	}
}

// explainRecipient asks why messages do or do not reach whom the form names.
func (s *sendScreen) explainRecipient() tea.Cmd {
	to, problem := s.recipient()
	if problem == "" && to.Type == wire.ToAll {
		problem = s.t("tui.explain_needs_user")
	}
	if problem != "" {
		s.complain(problem)
		return nil
	}
	user := called{id: to.UserID}
	if to.UserID != "" {
		user.name = s.nameIn(fieldWho)
	}
	return s.explain(s.appID, called{to.IbID, s.nameIn(fieldIb)}, user, to.UserGroup)
}

// click chooses a field.
func (s *sendScreen) click(line, wheel int) tea.Cmd {
	if wheel != 0 {
		s.step(wheel)
		return nil
	}
	_, owners := s.form()
	if n := line + s.top; n < len(owners) {
		s.at = owners[n]
	}
	return nil
}

// form draws all lines, and says which field each of them belongs to.
func (s *sendScreen) form() (lines []string, owners []formField) {
	names := map[formField]string{
		fieldApp:       s.t("tui.column_app"),
		fieldIb:        s.t("tui.column_ib"),
		fieldTo:        s.t("tui.to"),
		fieldWho:       s.t("tui.column_user"),
		fieldTitle:     s.t("tui.message_title"),
		fieldBody:      s.t("tui.message_body"),
		fieldImportant: s.t("tui.message_important"),
		fieldTopic:     s.t("tui.message_topic"),
		fieldData:      s.t("tui.message_data"),
		fieldIcon:      s.t("tui.message_icon"),
		fieldAction:    s.t("tui.message_action"),
	}
	if s.to == wire.ToGroup {
		names[fieldWho] = s.t("tui.column_group")
	}
	widest := 0
	for _, name := range names {
		widest = max(widest, cells.Width(name))
	}
	room := min(s.width-markWidth-widest-2-2, 80)
	for _, f := range s.fields() {
		focus := f == s.at
		for i, value := range s.fieldLines(f, room, focus) {
			mark, name := "  ", ""
			if i == 0 {
				name = names[f]
				if focus {
					mark = s.style.accent.Render("› ")
				}
			}
			label := s.style.label
			if focus {
				label = s.style.tab
			}
			lines = append(lines, mark+label.Render(cells.Left(name, widest))+"  "+value)
			owners = append(owners, f)
		}
	}
	return lines, owners
}

// fieldLines draws the value of a field.
func (s *sendScreen) fieldLines(f formField, room int, focus bool) []string {
	choice := func(text string, chosen bool) string {
		if chosen {
			return s.style.tab.Render("(•) " + text)
		}
		return "( ) " + text
	}
	switch f {
	case fieldApp:
		title := s.t("tui.no_apps_yet")
		if s.appID != "" {
			if _, there := s.appByID(s.appID); !there {
				gone := "▲ " + s.t("tui.app_gone", "id", cells.Plain(s.appID))
				return []string{s.style.warn.Render(cells.Truncate(gone, room))}
			}
			title = s.appTitle(s.appID)
		}
		if focus && len(s.apps) > 1 {
			return []string{s.style.tab.Render("‹ " + cells.Truncate(title, room-4) + " ›")}
		}
		return []string{cells.Truncate(title, room)}
	case fieldTo:
		return []string{choice(s.t("tui.to_user"), s.to == wire.ToUser) + "  " +
			choice(s.t("tui.to_group"), s.to == wire.ToGroup) + "  " + choice(s.t("tui.to_all"), s.to == wire.ToAll)}
	case fieldImportant:
		if s.important {
			return []string{s.style.tab.Render("[x] " + s.t("tui.yes"))}
		}
		return []string{"[ ] " + s.t("tui.no")}
	case fieldBody:
		return s.inputs[f].area(s.style, room, 3, focus)
	case fieldData:
		return s.inputs[f].area(s.style, room, 2, focus)
	}
	if name := s.nameIn(f); name != "" && (f == fieldIb || f == fieldWho && s.to == wire.ToUser) {
		// Beside the whole id with the cursor behind it, if there is room for some of it.
		name = cells.Truncate(cells.Plain(name), max(room-cells.Width(s.names[f].id)-1-2, room/4))
		return []string{s.inputs[f].view(s.style, room-cells.Width(name)-2, focus) + "  " + s.style.good.Render(name)}
	}
	return []string{s.inputs[f].view(s.style, room, focus)}
}

func (s *sendScreen) view() []string {
	lines, owners := s.form()
	var result []string
	switch {
	case s.busy:
		result = []string{"", "  " + s.style.dim.Render(s.t("tui.busy"))}
	case s.result != nil:
		style := s.style.warn
		if s.sent {
			style = s.style.good
		}
		result = []string{""}
		for _, text := range s.result {
			for _, line := range cells.Wrap(text, s.width-2*markWidth) {
				result = append(result, "  "+style.Render(line))
			}
		}
	}
	// What became of the message is always to be seen, and the field as well.
	room := max(s.height-len(result)-1, 3)
	first, last := -1, 0
	for i, f := range owners {
		if f == s.at {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	s.top = max(min(s.top, first), last-room+1, 0)
	s.top = min(s.top, max(len(lines)-room, 0))
	shown := lines[s.top:min(s.top+room, len(lines))]
	return append(append([]string{""}, shown...), result...)
}
