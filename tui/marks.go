package tui

import (
	"context"
	"errors"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// marks are the sessions that the person has marked, to do something with all of them.
// Numbers begin anew with each run of the daemon, so that the time belongs to them.
type marks map[string]control.Session

func (m marks) has(one control.Session) bool {
	marked, there := m[one.ID]
	return there && marked.Since.Equal(one.Since)
}

// all are the marked sessions in the order of their numbers.
func (m marks) all() []control.Session {
	var all []control.Session
	for _, one := range m {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b control.Session) int {
		if a.Since.Equal(b.Since) {
			return strings.Compare(a.ID, b.ID)
		}
		return a.Since.Compare(b.Since)
	})
	return all
}

// mark marks the selected session, or takes its mark away, and goes on to the next row.
func (s *sessionsScreen) mark() tea.Cmd {
	one, there := s.selectedRow()
	if !there {
		return nil
	}
	if s.marked.has(one) {
		delete(s.marked, one.ID)
	} else {
		s.marked[one.ID] = one
	}
	return s.move("down")
}

// markedKeys are what can be done with all marked sessions.
func (s *sessionsScreen) markedKeys() keyTable {
	return keyTable{
		{keys: "x", text: "tui.key_disconnect_marked", do: s.askDisconnectMarked},
		{keys: "w", text: "tui.key_write_marked", do: s.writeToMarked},
	}
}

// askDisconnectMarked disconnects the marked sessions, if the person means it.
func (s *sessionsScreen) askDisconnectMarked() tea.Cmd {
	all := s.marked.all()
	disconnect := func() tea.Cmd {
		return s.actOn(len(all), s.waitsForDaemon(), func(ctx context.Context) doneMsg {
			closed := 0
			for _, one := range all {
				err := s.daemon.CloseSession(ctx, one.ID, one.Since)
				refusal, refused := errors.AsType[*control.Error](err)
				switch {
				case err == nil:
					closed++
				case refused && refusal.Code == control.CodeSessionNotFound: // it has ended by itself
				default:
					return doneMsg{err: err}
				}
			}
			return doneMsg{notice: s.t("tui.disconnected_marked", "N", closed), after: func() tea.Cmd {
				clear(s.marked)
				return s.ask()
			}}
		})
	}
	var names []string
	for _, one := range all {
		names = append(names, s.userName(userOf(one)))
	}
	text := s.t("tui.disconnect_marked_text", "who", cells.Truncate(strings.Join(names, ", "), 200))
	return s.open(&question{
		env:     s.env,
		title:   s.t("tui.disconnect_marked_title", "N", len(all)),
		text:    text,
		options: []option{{s.t("tui.change_nothing"), nil}, {s.t("tui.disconnect_do"), disconnect}},
	})
}

// writeToMarked begins a message to the users of the marked sessions.
func (s *sessionsScreen) writeToMarked() tea.Cmd {
	var to []manyRecipient
	for _, one := range s.marked.all() {
		if one.UserID == "" { // only a message to all reaches it
			continue
		}
		r := manyRecipient{one.AppID, ibOf(one), userOf(one)}
		same := func(other manyRecipient) bool {
			return other.appID == r.appID && other.ib.id == r.ib.id && other.user.id == r.user.id
		}
		if !slices.ContainsFunc(to, same) {
			to = append(to, r)
		}
	}
	if len(to) == 0 {
		s.complain(s.t("tui.marked_nobody"))
		return nil
	}
	return lead(writeToManyMsg{to})
}
