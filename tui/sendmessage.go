package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// What the form for a message says, and what becomes of it.

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
	sent     control.Sent
	unusable []string // keys that 1C cannot hold
	at       time.Time
	err      error
}

// submit sends the message, if the form is complete.
func (s *sendScreen) submit() tea.Cmd {
	if s.busy {
		return nil
	}
	if s.many != nil {
		return s.submitToMany()
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
	s.begin()
	appID, now := s.appID, s.now()
	return askWithin(changeTimeout, func(ctx context.Context) tea.Msg {
		sent, err := s.daemon.SendCounting(ctx, appID, to, m)
		return sentMsg{appID, to, sent, m.UnusableKeys(), now, orLate(err, changeTimeout)}
	})
}

// begin shows that a message is being sent.
func (s *sendScreen) begin() { s.busy, s.begun, s.result, s.notice = true, s.now(), nil, notice{} }

// waiting says what the sending of a message waits for.
func (s *sendScreen) waiting() string {
	waitsFor := s.waitsForDaemon()
	if s.cluster != nil {
		waitsFor = s.t("tui.waits_confirmations")
	}
	return s.busyText(waitsFor, s.begun)
}

func (s *sendScreen) showResult(msg sentMsg) {
	at := msg.at.Local().Format(time.TimeOnly) + "  "
	s.sent = msg.err == nil && msg.sent.Sessions > 0
	switch {
	case msg.err != nil:
		s.result = []string{at + s.problem(msg.err)}
	case msg.sent.Sessions > 0:
		s.result = []string{at + s.t("tui.sent", "N", msg.sent.Sessions)}
	case msg.to.Type == wire.ToGroup:
		s.result = []string{at + s.t("tui.sent_to_no_group")}
	case msg.to.Type == wire.ToUser:
		s.result = []string{at + s.t("tui.sent_to_nobody") + " " + s.t("tui.ask_why")}
	default:
		s.result = []string{at + s.t("tui.sent_to_nobody")}
	}
	s.addWaiting(msg.sent.Waiting)
	s.addUnconfirmed(msg.sent.UnconfirmedNodes)
	if msg.err == nil && len(msg.unusable) > 0 {
		s.result = append(s.result, s.t("tui.unusable_keys", "keys",
			cells.Plain(`"`+strings.Join(msg.unusable, `", "`)+`"`)))
	}
}

// addWaiting adds to what became of a message how many sessions get it when they are back.
func (s *sendScreen) addWaiting(sessions int) {
	if sessions > 0 {
		s.result = append(s.result, s.t("tui.sent_waiting", "n", sessions))
	}
}

// addUnconfirmed adds to what became of a message which nodes may or may not have got it.
func (s *sendScreen) addUnconfirmed(nodes []string) {
	if len(nodes) > 0 {
		s.sent = false
		s.result = append(s.result, s.t("tui.unconfirmed", "nodes", cells.Plain(strings.Join(nodes, ", "))))
	}
}

// explainRecipient asks why messages do or do not reach whom the form names.
func (s *sendScreen) explainRecipient() tea.Cmd {
	to, problem := s.recipient()
	if problem == "" && (to.Type == wire.ToAll || s.many != nil) {
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
