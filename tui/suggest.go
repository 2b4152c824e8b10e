package tui

import (
	"context"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// suggestions are what the form knows that has the text that is being written.
type suggestions struct {
	field formField
	text  string // for which they are
	all   []suggestion
}

// suggestion is something that a field may become.
type suggestion struct {
	value called
	ib    called // of a user; empty: it says nothing of the infobase
	line  string // plain
}

const (
	// askedSuggestions is how many are asked for, shownSuggestions how many are shown.
	askedSuggestions = 20
	shownSuggestions = 3
)

// suggestedMsg are the suggestions for a text.
type suggestedMsg suggestions

// suggest asks for what the field may become.
func (s *sendScreen) suggest() tea.Cmd {
	f, appID, ib := s.at, s.appID, s.inputs[fieldIb].value()
	text := strings.TrimSpace(s.inputs[f].value())
	var find func(ctx context.Context) ([]suggestion, error)
	switch {
	case text == "" || s.nameIn(f) != "":
	case f == fieldIb:
		find = func(ctx context.Context) ([]suggestion, error) { return s.likeInfobase(ctx, appID, text) }
	case f == fieldWho && s.to == wire.ToUser:
		find = func(ctx context.Context) ([]suggestion, error) { return s.likeUser(ctx, appID, text) }
	case f == fieldWho:
		find = func(ctx context.Context) ([]suggestion, error) { return s.likeGroup(ctx, appID, ib, text) }
	}
	if find == nil {
		s.suggestions = suggestions{}
		return nil
	}
	return ask(func(ctx context.Context) tea.Msg {
		all, err := find(ctx)
		if err != nil { // who writes an id needs none
			return suggestedMsg{field: f, text: text}
		}
		return suggestedMsg{f, text, all}
	})
}

// suggested shows suggestions, unless the person has written on.
func (s *sendScreen) suggested(msg suggestedMsg) {
	if s.at == msg.field && strings.TrimSpace(s.inputs[msg.field].value()) == msg.text {
		s.suggestions = suggestions(msg)
	}
}

// suggestedNow are the suggestions for what is written in a field.
func (s *sendScreen) suggestedNow(f formField) []suggestion {
	if s.suggestions.field != f || s.suggestions.text != strings.TrimSpace(s.inputs[f].value()) {
		return nil
	}
	return s.suggestions.all
}

func (s *sendScreen) likeInfobase(ctx context.Context, appID, text string) (all []suggestion, err error) {
	found, err := s.daemon.Infobases(ctx, appID)
	for _, ib := range found {
		if hasWords(strings.ToLower(ib.ID+"\n"+ib.Name), text) && len(all) < askedSuggestions {
			all = append(all, suggestion{value: called{ib.ID, ib.Name}, line: cells.Plain(say.InFull(ib.ID, ib.Name))})
		}
	}
	return all, err
}

func (s *sendScreen) likeUser(ctx context.Context, appID, text string) (all []suggestion, err error) {
	found, err := s.daemon.People(ctx, appID, text, askedSuggestions)
	for _, who := range found.People {
		all = append(all, suggestion{called{who.UserID, who.UserName}, called{who.IbID, who.IbName}, s.personLine(who)})
	}
	return all, err
}

// likeGroup looks through the groups of sessions, the only ones that are known.
func (s *sendScreen) likeGroup(ctx context.Context, appID, ib, text string) (all []suggestion, err error) {
	const sessions = 500
	q := control.SessionQuery{AppID: appID, IbID: ib, Text: `group:"` + text + `"`, Limit: sessions}
	page, err := s.daemon.Sessions(ctx, q)
	for _, one := range page.Sessions {
		for _, group := range one.InGroups() {
			same := func(other suggestion) bool { return other.value.id == group }
			if hasWords(strings.ToLower(group), text) && !slices.ContainsFunc(all, same) &&
				len(all) < askedSuggestions {
				all = append(all, suggestion{value: called{id: group}, line: cells.Plain(group)})
			}
		}
	}
	return all, err
}

// takeSuggested goes on to the next field. What is written there and is no id, but part
// of something known, becomes that; of several the person chooses.
func (s *sendScreen) takeSuggested() tea.Cmd {
	f := s.at
	all := s.suggestedNow(f)
	written := strings.TrimSpace(s.inputs[f].value())
	if len(all) == 0 || slices.ContainsFunc(all, func(one suggestion) bool { return one.value.id == written }) {
		return s.next()
	}
	take := func(one suggestion) tea.Cmd {
		s.set(f, one.value)
		if one.ib.id != "" {
			s.set(fieldIb, one.ib)
		}
		s.suggestions = suggestions{}
		return s.next()
	}
	if len(all) == 1 {
		return take(all[0])
	}
	q := &question{env: s.env, title: s.t("tui.which")}
	for _, one := range all {
		q.options = append(q.options, option{one.line, func() tea.Cmd { return take(one) }})
	}
	q.options = append(q.options, option{s.t("tui.as_written", "text", cells.Plain(written)), s.next})
	return s.open(q)
}

// suggestedLines shows the first suggestions for the field that has the focus.
func (s *sendScreen) suggestedLines(f formField, room int) (lines []string) {
	all := s.suggestedNow(f)
	for _, one := range all[:min(len(all), shownSuggestions)] {
		lines = append(lines, s.style.dim.Render("↳ "+cells.Truncate(one.line, room-2)))
	}
	if more := len(all) - shownSuggestions; more > 0 {
		lines = append(lines, s.style.dim.Render("  "+s.t("live.and_more", "N", more)))
	}
	return lines
}
