package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// dialog stands on top of the screen and gets all keys.
type dialog interface {
	// keys are what can be done now.
	keys() keyTable
	// typing reports whether letters are text, and no commands.
	typing() bool
	// write takes a key that is not in the table: text, or how it is edited.
	write(k tea.KeyMsg)
	// done gets what became of the action that the dialog began, and reports whether
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
	// table is nil, or says what a table of the options has above them, and what it has
	// instead of their texts.
	table func(width int) (head string, row func(i int) string)
	// copies is nil, or gives what can be copied of an option.
	copies func(i int) []field
	under  dialog // that it came from, and goes back to; nil: the screen
	at     scroll
	height int // of the options
}

func (q *question) keys() keyTable {
	table := moving(func(name string) tea.Cmd {
		q.at.move(name, len(q.options), max(q.height, 1))
		return nil
	})
	keys := keyTable{table[0], {keys: "enter", text: "tui.key_choose", do: q.choose}}
	if q.copies != nil {
		ask := func() tea.Cmd { return q.askCopy(q.copies(q.at.pos)) }
		keys = append(keys, keyRow{keys: "c", text: "tui.key_copy", do: ask})
	}
	keys = append(keys, keyRow{keys: "esc q", shown: "esc", text: "tui.key_cancel", do: q.leave})
	return append(keys, table[1:].unseen()...)
}

// leave goes back to where the question came from.
func (q *question) leave() tea.Cmd { return q.open(q.under) }

// choose ends the question with the answer that is selected.
func (q *question) choose() tea.Cmd {
	q.leave()
	if choose := q.options[q.at.pos].choose; choose != nil {
		return choose()
	}
	return nil
}

func (q *question) typing() bool      { return false }
func (q *question) write(tea.KeyMsg)  {}
func (q *question) done(doneMsg) bool { return true }

func (q *question) view(width, height int) (string, []string) {
	var lines []string
	if q.text != "" {
		lines = append(cells.Wrap(q.text, width), "")
	}
	lines = shorten(lines, height-min(len(q.options), 4))
	row := func(i int) string { return q.options[i].text }
	if q.table != nil {
		var head string
		head, row = q.table(width - markWidth)
		lines = append(lines, "  "+q.style.label.Render(head))
	}
	q.height = max(height-len(lines), 1)
	q.at.fit(len(q.options), q.height)
	end := min(len(q.options), q.at.top+q.height)
	for i := q.at.top; i < end; i++ {
		lines = append(lines, q.selectable(row(i), i == q.at.pos, width))
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

func (p *prompt) keys() keyTable {
	if p.busy { // and nothing can call it back
		return keyTable{{keys: "esc", text: "tui.key_back", do: p.close}}
	}
	return keyTable{
		{keys: "enter", text: "tui.key_done", do: p.take},
		{keys: "esc", text: "tui.key_cancel", do: p.close},
	}
}

// take has the action begin with what the person wrote, if it will do.
func (p *prompt) take() tea.Cmd {
	text := p.input.value()
	switch {
	case strings.TrimSpace(text) == "":
		p.problem = p.t("tui.prompt_empty")
	case len(p.want) > 0 && !slices.Contains(p.want, text):
		p.problem = p.t("tui.prompt_other")
	default:
		p.busy, p.problem = true, ""
		return p.accept(text)
	}
	return nil
}

func (p *prompt) typing() bool { return true }

func (p *prompt) write(k tea.KeyMsg) {
	p.problem = ""
	if !p.input.press(k) {
		p.problem = p.t("tui.not_all", "n", number(maxInput))
	}
}

func (p *prompt) done(msg doneMsg) bool {
	p.busy = false
	if msg.err != nil {
		p.problem = p.env.problem(msg.err)
	}
	return msg.err == nil
}

// waiting says that what was entered is being done.
func (p *prompt) waiting() string {
	if p.notice.busy {
		return p.busyText(p.notice.text, p.notice.since)
	}
	return p.t("tui.busy")
}

func (p *prompt) view(width, height int) (string, []string) {
	entry := []string{"", p.input.view(p.style, width, true), ""}
	switch {
	case p.problem != "":
		for _, line := range cells.Wrap(p.problem, width) {
			entry = append(entry, p.style.bad.Render(line))
		}
	case p.busy:
		entry = append(entry, p.style.dim.Render(p.waiting()))
	}
	return p.title, append(shorten(cells.Wrap(p.text, width), height-len(entry)), entry...)
}

// reader shows a text that may be longer than the screen.
type reader struct {
	*env
	title   string
	lines   []string // plain
	more    keyTable // what can be done with it, besides reading
	top     int
	wrapped int // lines that it takes
	height  int
}

func (r *reader) keys() keyTable {
	scroll := moving(r.move).unseen()
	if r.wrapped > r.height {
		scroll[0].text = "tui.key_scroll"
	}
	return append(slices.Concat(r.more, scroll),
		keyRow{keys: "space", doKey: r.move},
		keyRow{keys: "esc q enter ?", shown: "esc", text: "tui.key_back", do: r.close},
	)
}

func (r *reader) move(name string) tea.Cmd {
	switch name {
	case "up", "k":
		r.top--
	case "down", "j":
		r.top++
	case "pgup", "ctrl+b":
		r.top -= r.height
	case "pgdown", "ctrl+f", "space":
		r.top += r.height
	case "home", "g":
		r.top = 0
	case "end", "G":
		r.top = r.wrapped
	}
	r.top = max(min(r.top, r.wrapped-r.height), 0)
	return nil
}

func (r *reader) typing() bool      { return false }
func (r *reader) write(tea.KeyMsg)  {}
func (r *reader) done(doneMsg) bool { return false }

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
