package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/internal/cells"
)

// dialog stands on top of the screen and gets all keys.
type dialog interface {
	keys() []key.Binding
	typing() bool
	// press tells whether the dialog is over.
	press(k tea.KeyMsg) (cmd tea.Cmd, over bool)
	// done gets what became of the action that the dialog began, and tells whether
	// it is over with that.
	done(msg doneMsg) (over bool)
	// view returns a title and lines, in styles; what does not fit in height is
	// for the dialog to scroll.
	view(width, height int) (title string, lines []string)
}

// option is one answer to a question.
type option struct {
	text   string
	choose func() tea.Cmd // nil: nothing is done
}

// question lets the person choose.
type question struct {
	*env
	title, text string
	options     []option
	at          scroll
	height      int // of the options
}

func (q *question) keys() []key.Binding {
	return []key.Binding{q.bind("tui.key_move", "up", "down"), q.bind("tui.key_choose", "enter"), q.bind("tui.key_cancel", "esc")}
}

func (q *question) typing() bool      { return false }
func (q *question) done(doneMsg) bool { return true }

func (q *question) press(k tea.KeyMsg) (tea.Cmd, bool) {
	switch k.String() {
	case "esc", "q":
		return nil, true
	case "enter":
		if choose := q.options[q.at.pos].choose; choose != nil {
			return choose(), true
		}
		return nil, true
	}
	q.at.press(k.String(), len(q.options), max(q.height, 1))
	return nil, false
}

func (q *question) view(width, height int) (string, []string) {
	var lines []string
	if q.text != "" {
		lines = append(cells.Wrap(q.text, width), "")
	}
	lines = shorten(lines, height-min(len(q.options), 4))
	q.height = max(height-len(lines), 1)
	q.at.fit(len(q.options), q.height)
	end := min(len(q.options), q.at.top+q.height)
	for i := q.at.top; i < end; i++ {
		lines = append(lines, q.selectable(q.options[i].text, i == q.at.pos, width))
	}
	if len(q.options) > q.height {
		return part(q.title, q.at.top, end, len(q.options), width), lines
	}
	return q.title, lines
}

// shorten leaves out what there is no room for at the end of a text.
func shorten(lines []string, room int) []string {
	if room = max(room, 1); len(lines) > room {
		lines = append(lines[:room-1:room-1], "…")
	}
	return lines
}

// part is a title with which part of something is to be seen below it.
func part(title string, from, to, of, width int) string {
	shown := fmt.Sprintf(" · %d–%d/%d", from+1, to, of)
	return cells.Truncate(title, width-2-cells.Width(shown)) + shown
}

// prompt asks for a line of text. It stays while what the person wrote does not
// do, so that nothing is lost.
type prompt struct {
	*env
	title, text string
	input       input
	want        []string // what alone will do; none: anything
	accept      func(text string) tea.Cmd
	problem     string
	busy        bool
}

func (p *prompt) keys() []key.Binding {
	if p.busy { // and nothing can call it back
		return []key.Binding{p.bind("tui.key_back", "esc")}
	}
	return []key.Binding{p.bind("tui.key_done", "enter"), p.bind("tui.key_cancel", "esc")}
}

func (p *prompt) typing() bool { return true }

func (p *prompt) press(k tea.KeyMsg) (tea.Cmd, bool) {
	switch command(k) {
	case "esc":
		return nil, true
	case "enter":
		text := p.input.value()
		switch {
		case p.busy:
		case strings.TrimSpace(text) == "":
			p.problem = p.t("tui.prompt_empty")
		case len(p.want) > 0 && !slices.Contains(p.want, text):
			p.problem = p.t("tui.prompt_other")
		default:
			p.busy, p.problem = true, ""
			return p.accept(text), false
		}
		return nil, false
	}
	p.problem = ""
	p.input.press(k)
	return nil, false
}

func (p *prompt) done(msg doneMsg) bool {
	p.busy = false
	if msg.err != nil {
		p.problem = p.env.problem(msg.err)
	}
	return msg.err == nil
}

func (p *prompt) view(width, height int) (string, []string) {
	entry := []string{"", p.input.view(p.style, width, true), ""}
	switch {
	case p.problem != "":
		for _, line := range cells.Wrap(p.problem, width) {
			entry = append(entry, p.style.bad.Render(line))
		}
	case p.busy:
		entry = append(entry, p.style.dim.Render(p.t("tui.busy")))
	}
	return p.title, append(shorten(cells.Wrap(p.text, width), height-len(entry)), entry...)
}

// reader shows a text that may be longer than the screen.
type reader struct {
	*env
	title string
	lines []string // plain
	// more are keys of what can be done with it, besides those of reading.
	more    []key.Binding
	onMore  func(k string) (cmd tea.Cmd, over bool)
	top     int
	wrapped int // lines that it takes
	height  int
}

func (r *reader) keys() []key.Binding {
	keys := append([]key.Binding{}, r.more...)
	if r.wrapped > r.height {
		keys = append(keys, r.bind("tui.key_scroll", "up", "down"))
	}
	return append(keys, r.bind("tui.key_back", "esc"))
}

func (r *reader) typing() bool      { return false }
func (r *reader) done(doneMsg) bool { return false }

func (r *reader) press(k tea.KeyMsg) (tea.Cmd, bool) {
	for _, b := range r.more {
		if key.Matches(k, b) {
			return r.onMore(k.String())
		}
	}
	switch k.String() {
	case "esc", "q", "enter", "?":
		return nil, true
	case "up", "k":
		r.top--
	case "down", "j":
		r.top++
	case "pgup", "ctrl+b":
		r.top -= r.height
	case "pgdown", "ctrl+f", " ":
		r.top += r.height
	case "home", "g":
		r.top = 0
	case "end", "G":
		r.top = r.wrapped
	}
	r.top = max(min(r.top, r.wrapped-r.height), 0)
	return nil, false
}

func (r *reader) view(width, height int) (string, []string) {
	var all []string
	for _, line := range r.lines {
		all = append(all, cells.Wrap(line, width)...)
	}
	r.wrapped, r.height = len(all), height
	r.top = max(min(r.top, r.wrapped-r.height), 0)
	end := min(r.top+height, len(all))
	if len(all) > height {
		return part(r.title, r.top, end, len(all), width), all[r.top:end]
	}
	return r.title, all[r.top:end]
}
