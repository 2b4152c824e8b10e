package tui

import (
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
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
	many          []manyRecipient // instead of one recipient
	suggestions   suggestions
	top           int      // the first line that is shown
	result        []string // what became of the last message, plain
	sent          bool     // and that somebody got it
	busy          bool
	begun         time.Time // when it became busy
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
		return keyTable{{keys: "ctrl+o", text: "tui.key_pick", do: s.pickInfobase},
			{keys: "enter", do: s.takeSuggested}}
	case fieldWho:
		if s.to == wire.ToUser {
			return keyTable{{keys: "ctrl+o", text: "tui.key_pick", do: s.pickUser},
				{keys: "enter", do: s.takeSuggested}}
		}
		return keyTable{{keys: "enter", do: s.takeSuggested}}
	}
	return keyTable{{keys: "enter", do: s.next}}
}

// fields are the fields that there are now, in their order.
func (s *sendScreen) fields() []formField {
	fields := make([]formField, 0, fieldCount)
	for f := range fieldCount {
		if s.many != nil && f != fieldTo && f < fieldTitle || f == fieldWho && s.to == wire.ToAll {
			continue
		}
		fields = append(fields, f)
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
		s.many = nil
		s.to, s.at, s.result = wire.ToUser, fieldTitle, nil
		s.set(fieldIb, msg.ib)
		s.set(fieldWho, msg.user)
		if msg.ib.id == "" {
			s.at = fieldIb
		}
	case writeToManyMsg:
		s.many, s.at, s.result = msg.to, fieldTitle, nil
	case sentToManyMsg:
		s.busy = false
		s.showManyResult(msg)
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
	case fieldApp:
		if k.Type == tea.KeyRunes { // the first letters of what the person looks for
			return s.askAppLike(string(k.Runes))
		}
	case fieldTo, fieldImportant:
	default:
		if !s.inputs[s.at].press(k) {
			s.complain(s.t("tui.not_all", "n", number(maxInput)))
		}
		return s.suggest()
	}
	return nil
}

func (s *sendScreen) toggleImportant() tea.Cmd {
	s.important = !s.important
	return nil
}

// stepRecipient chooses another kind of recipient; from many it goes back to one.
func (s *sendScreen) stepRecipient(name string) tea.Cmd {
	if s.many != nil {
		s.many = nil
		return nil
	}
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
func (s *sendScreen) askApp() tea.Cmd { return s.askAppLike("") }

// askAppLike does, and begins with those whose title has a text.
func (s *sendScreen) askAppLike(text string) tea.Cmd {
	if len(s.apps) == 0 {
		return nil
	}
	c := s.chooseApp(func(one control.App) tea.Cmd {
		s.choose(one.ID)
		return nil
	})
	c.input.set(text)
	if text == "" {
		c.at.pos = s.appIndex()
	}
	return s.open(c)
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
