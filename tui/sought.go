package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// soughtUser is whom a search that found no session was for: its words without fields
// and minus, and those of the field user:.
func soughtUser(search string) string {
	var words []string
	for word := range strings.FieldsSeq(strings.ReplaceAll(search, `"`, "")) {
		field, text, ok := strings.Cut(word, ":")
		switch {
		case strings.HasPrefix(word, "-"):
		case ok && strings.EqualFold(field, "user"):
			words = append(words, text)
		case !ok:
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// explainSought explains why there is no session of whom the person has searched for:
// somebody known by that name, or else an id in an infobase that the person chooses.
func (s *sessionsScreen) explainSought() tea.Cmd {
	who := soughtUser(s.filter.text)
	if who == "" {
		return s.askPerson()
	}
	return s.askPeople(s.appID, who, func(found control.People) tea.Cmd {
		if len(found.People) > 0 {
			return s.choosePerson(found, true, s.explainPerson)
		}
		if s.appID != "" || len(s.apps) == 1 {
			app := s.appID
			if app == "" {
				app = s.apps[0].ID
			}
			return s.explainIn(app, who)
		}
		c := s.chooseApp(func(one control.App) tea.Cmd { return s.explainIn(one.ID, who) })
		c.text = s.t("tui.absent_app", "who", cells.Plain(who))
		return s.open(c)
	})
}

// explainIn explains why a user has no session in an infobase that the person chooses.
func (s *sessionsScreen) explainIn(appID, who string) tea.Cmd {
	if s.ib.id != "" {
		return s.explain(appID, s.ib, called{id: who}, "")
	}
	title := s.t("tui.absent_ib", "who", cells.Plain(who))
	return s.askInfobases(appID, func(found []control.Infobase) tea.Cmd {
		return s.chooseInfobase(title, found, func(ib control.Infobase) tea.Cmd {
			return s.explain(appID, called{ib.ID, ib.Name}, called{id: who}, "")
		})
	})
}
