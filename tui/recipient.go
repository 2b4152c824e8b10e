package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// The recipient of the form for a message: a message is for ids, a person knows names.

// set writes an id into a field, and remembers its name.
func (s *sendScreen) set(f formField, value called) {
	s.inputs[f].set(value.id)
	s.names[f] = value
}

// nameIn is the name of the id in a field, empty if it is not known.
func (s *sendScreen) nameIn(f formField) string {
	if s.names[f].id != s.inputs[f].value() {
		return ""
	}
	return s.names[f].name
}

// pickInfobase lets the person choose one of the app's infobases.
func (s *sendScreen) pickInfobase() tea.Cmd {
	title := s.t("tui.infobases_title", "app", s.appTitle(s.appID))
	return s.askInfobases(s.appID, func(found []control.Infobase) tea.Cmd {
		return s.chooseInfobase(title, found, func(ib control.Infobase) tea.Cmd {
			s.set(fieldIb, called{ib.ID, ib.Name})
			return nil
		})
	})
}

// pickUser lets the person choose one of the app's users, whose name or id has what is
// written so far.
func (s *sendScreen) pickUser() tea.Cmd {
	return s.askPeople(s.appID, s.inputs[fieldWho].value(), func(found control.People) tea.Cmd {
		if len(found.People) == 0 {
			s.complain(s.t("tui.found_nobody_here"))
			return nil
		}
		return s.choosePerson(found, false, func(who control.Person) tea.Cmd {
			s.set(fieldWho, called{who.UserID, who.UserName})
			if who.IbID != "" {
				s.set(fieldIb, called{who.IbID, who.IbName})
			}
			return nil
		})
	})
}
