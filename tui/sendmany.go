package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// A message to the users of several sessions.

// manyRecipient is one of several users that a message is for.
type manyRecipient struct {
	appID    string
	ib, user called
}

// manyNames are whom a message to many is for, in a line of at most width cells.
func (s *sendScreen) manyNames(width int) string {
	names := make([]string, len(s.many))
	for i, r := range s.many {
		names[i] = s.userName(r.user)
	}
	return cells.Truncate(s.t("tui.to_many", "N", len(s.many))+": "+strings.Join(names, ", "), width)
}

// sentToManyMsg is what became of a message to many.
type sentToManyMsg struct {
	users, sessions int // that it was sent to
	of              int // users
	waiting         int // of the sessions
	unconfirmed     []string
	at              time.Time
	err             error // that ended it before its time
}

// submitToMany sends the message, if the form is complete and the person means it.
func (s *sendScreen) submitToMany() tea.Cmd {
	m, problem := s.message()
	if problem != "" {
		s.complain(problem)
		return nil
	}
	many, now := s.many, s.now()
	send := func() tea.Cmd {
		s.begin()
		limit := time.Duration(len(many)) * changeTimeout
		return askWithin(limit, func(ctx context.Context) tea.Msg {
			sent := sentToManyMsg{of: len(many), at: now}
			for _, r := range many {
				to := wire.Recipient{Type: wire.ToUser, IbID: r.ib.id, UserID: r.user.id}
				one, err := s.daemon.SendCounting(ctx, r.appID, to, m)
				if err != nil {
					sent.err = orLate(err, limit)
					break
				}
				sent.users++
				sent.sessions += one.Sessions
				sent.waiting += one.Waiting
				sent.unconfirmed = append(sent.unconfirmed, one.UnconfirmedNodes...)
			}
			slices.Sort(sent.unconfirmed)
			sent.unconfirmed = slices.Compact(sent.unconfirmed)
			return sent
		})
	}
	return s.open(&question{
		env:     s.env,
		title:   s.t("tui.send_many_title", "N", len(many)),
		text:    s.manyNames(200),
		options: []option{{s.t("tui.send_not"), nil}, {s.t("tui.key_send"), send}},
	})
}

func (s *sendScreen) showManyResult(msg sentToManyMsg) {
	s.sent = msg.err == nil && msg.sessions > 0
	text := msg.at.Local().Format(time.TimeOnly) + "  " + s.t("tui.sent", "N", msg.sessions)
	if msg.users < msg.of {
		text += " " + s.t("tui.sent_part", "n", msg.users, "of", msg.of)
	}
	s.result = []string{text}
	s.addWaiting(msg.waiting)
	s.addUnconfirmed(msg.unconfirmed)
	if msg.err != nil {
		s.result = append(s.result, s.problem(msg.err))
	}
}
