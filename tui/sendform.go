package tui

import (
	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// How the form for a message looks.

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
		values := s.fieldLines(f, room, focus)
		if focus {
			values = append(values, s.suggestedLines(f, room)...)
			if f == fieldData {
				for _, line := range cells.Wrap(s.t("tui.data_explained"), room) {
					values = append(values, s.style.dim.Render(line))
				}
			}
		}
		for i, value := range values {
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
		if s.many != nil {
			return []string{s.style.tab.Render(s.manyNames(room))}
		}
		if s.width < phoneWidth {
			text := map[wire.RecipientType]string{
				wire.ToUser: s.t("tui.to_user"), wire.ToGroup: s.t("tui.to_group"), wire.ToAll: s.t("tui.to_all"),
			}[s.to]
			return []string{s.style.tab.Render("‹ " + cells.Truncate(text, room-4) + " ›")}
		}
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
		result = []string{"", "  " + s.style.dim.Render(s.waiting())}
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
