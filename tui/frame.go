package tui

import (
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// The smallest terminal that the panel works in.
const (
	MinWidth  = 36
	MinHeight = 12
)

// Below phoneWidth cells lists have their first column and what else there is room for,
// and only the tab that is shown has its name.
const phoneWidth = 60

// The lines of the frame: the header and the rule above a screen, the notice and
// the footer below it.
const (
	linesAbove = 2
	linesBelow = 2
	frameLines = linesAbove + linesBelow
)

func (p *Panel) tooSmall() bool { return p.width < MinWidth || p.height < MinHeight }

// View draws the screen that is shown in its frame, and the dialog on top of it.
func (p *Panel) View() string {
	if p.width == 0 {
		return ""
	}
	if p.tooSmall() {
		return p.smallView()
	}
	room := p.height - frameLines
	body := p.env.shown.view()
	body = body[:min(len(body), room)]
	for len(body) < room {
		body = append(body, "")
	}
	if p.env.dialog != nil {
		body = p.overlay(body)
	} else if !p.up {
		body = p.faded(body)
	}
	lines := append([]string{p.header(), p.rule()}, body...)
	lines = append(lines, p.noticeLine(), p.footer())
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, p.width, "")
	}
	return strings.Join(lines, "\n")
}

// smallView says what size is needed.
func (p *Panel) smallView() string {
	text := p.env.t("tui.too_small", "width", MinWidth, "height", MinHeight, "w", p.width, "h", p.height)
	var lines []string
	for _, line := range cells.Wrap(text, p.width) {
		lines = append(lines, cells.Truncate(line, p.width))
	}
	return strings.Join(lines[:min(len(lines), p.height)], "\n")
}

// header shows the tabs, and whether the daemon answers.
func (p *Panel) header() string {
	var b strings.Builder
	at := 1
	b.WriteString(" ")
	p.tabs = p.tabs[:0]
	for i, s := range p.screens {
		text := " " + string(rune('1'+i)) + " " + s.tab() + " "
		if s == p.env.shown {
			text = "[" + text[1:len(text)-1] + "]"
			b.WriteString(p.env.style.tab.Render(text))
		} else {
			if p.width < phoneWidth {
				text = " " + string(rune('1'+i)) + " "
			}
			b.WriteString(p.env.style.plain.Render(text))
		}
		p.tabs = append(p.tabs, span{at, at + cells.Width(text)})
		at += cells.Width(text)
	}
	state, style := p.env.t("tui.connecting"), p.env.style.dim
	switch {
	case p.up:
		state, style = p.env.t("tui.online"), p.env.style.good
	case p.everUp || p.down.err != nil:
		state, style = p.env.t("tui.offline"), p.env.style.bad
	}
	left := p.width - at - 1
	if left <= cells.Width(state) { // its mark at least
		state, _, _ = strings.Cut(state, " ")
	}
	if left > cells.Width(state) {
		b.WriteString(strings.Repeat(" ", left-cells.Width(state)))
		b.WriteString(style.Render(state))
	}
	return b.String()
}

// rule divides the header from the screen, or says that the daemon is gone, or cut off from
// its cluster.
func (p *Panel) rule() string {
	e := p.env
	if p.up || p.down.err == nil {
		if apart := e.tooFar(); apart != "" {
			return e.style.banner.Render(cells.Left(" ▲ "+cells.Truncate(apart, p.width-4), p.width))
		}
		return p.plainRule()
	}
	end := e.t("tui.retrying")
	if left := p.down.retry.Sub(e.now()).Round(time.Second); left > 0 {
		end = e.t("tui.retry_in", "N", int(left.Seconds()))
	}
	if p.everUp {
		end += " " + e.t("tui.data_of", "time", p.lastSeen.Local().Format(time.TimeOnly))
	}
	why := e.problem(p.down.err)
	if p.host != "" {
		why = cells.Plain(p.host) + ": " + why
	}
	why = cells.Truncate(why, p.width-cells.Width(end)-7)
	return e.style.banner.Render(cells.Left(" ▲ "+why+" · "+end, p.width))
}

// plainRule says where the daemon runs, and what there is to worry about.
func (p *Panel) plainRule() string {
	style := p.env.style
	left, right := "", ""
	alerts, bad := p.env.alerts(&p.overview.state)
	if alerts != "" {
		colour := style.warn
		if bad {
			colour = style.bad
		}
		alerts = cells.Truncate(alerts, p.width/2)
		right = " " + colour.Render(alerts) + " " + style.dim.Render("──")
	}
	if host := cells.Truncate(cells.Plain(p.host), p.width/3); host != "" {
		left = style.dim.Render("── ") + style.title.Render(host) + " "
	}
	line := strings.Repeat("─", max(p.width-ansi.StringWidth(left)-ansi.StringWidth(right), 0))
	return left + style.dim.Render(line) + right
}

// title is that of the terminal.
func (p *Panel) title() string {
	if p.host == "" {
		return "pns4ones"
	}
	return "pns4ones · " + cells.Plain(p.host)
}

// faded is a screen that is no longer true.
func (p *Panel) faded(body []string) []string {
	out := make([]string, len(body))
	for i, line := range body {
		out[i] = p.env.style.dim.Render(ansi.Strip(line))
	}
	return out
}

// overlay puts the dialog on top of the screen.
func (p *Panel) overlay(body []string) []string {
	style := p.env.style
	// A border and a blank at each side; the margin shows that it is a dialog.
	width := min(p.width-4, 84) - 4
	title, lines := p.env.dialog.view(width, len(body)-2)
	lines = lines[:min(len(lines), len(body)-2)]
	title = cells.Truncate(title, width-2)
	line := strings.Repeat("─", width-cells.Width(title))
	box := []string{style.accent.Render("┌ ") + style.title.Render(title) + style.accent.Render(" "+line+"┐")}
	for _, line := range lines {
		pad := strings.Repeat(" ", max(width-ansi.StringWidth(line), 0))
		box = append(box, style.accent.Render("│ ")+line+pad+style.accent.Render(" │"))
	}
	box = append(box, style.accent.Render("└"+strings.Repeat("─", width+2)+"┘"))

	left, top := (p.width-width-4)/2, max((len(body)-len(box))/3, 0)
	out := p.faded(body)
	for i, line := range box {
		under := cells.Left(ansi.Strip(body[top+i]), p.width)
		before, after := cells.Cut(under, 0, left), cells.Cut(under, left+width+4, p.width)
		out[top+i] = style.dim.Render(before) + line + style.dim.Render(after)
	}
	return out
}

// noticeLine says what became of the last action.
func (p *Panel) noticeLine() string {
	n := p.env.notice
	text := n.text
	if n.busy {
		text = p.env.busyText(n.text, n.since)
	}
	text = cells.Truncate(text, p.width-4)
	switch {
	case n.text == "":
		return ""
	case n.bad:
		return p.env.style.bad.Render(" ▲ " + text)
	case n.busy:
		return p.env.style.dim.Render(" … " + text)
	}
	return p.env.style.good.Render(" ✓ " + text)
}

// footer shows the keys that matter here, as many as there is room for; those of
// help and leaving always.
func (p *Panel) footer() string {
	e := p.env
	var table, last keyTable
	switch s := e.shown; {
	case e.dialog != nil:
		table = e.dialog.keys()
	case s.typing():
		table, last = s.keys(), keyTable{p.helpKeys().whileTyping()}
	default:
		table, last = s.keys(), keyTable{p.helpKeys(), p.quitKeys()}
	}
	const gap = 2
	room := p.width - 1
	lastHints := e.hints(last)
	for _, h := range lastHints {
		room -= gap + h.width()
	}
	var b strings.Builder
	b.WriteString(" ")
	write := func(h hint) {
		b.WriteString(e.style.accent.Render(h.short()) + " " + e.style.dim.Render(h.text) + strings.Repeat(" ", gap))
	}
	hints := e.hints(table)
	for i, h := range hints {
		need := gap + h.width()
		if i < len(hints)-1 {
			need += gap + 1 // for the sign that there are more
		}
		if room < need {
			b.WriteString(e.style.dim.Render("…") + strings.Repeat(" ", gap))
			break
		}
		room -= gap + h.width()
		write(h)
	}
	for _, h := range lastHints {
		write(h)
	}
	return strings.TrimRight(b.String(), " ")
}

// width is the number of cells that a hint takes in the footer.
func (h hint) width() int { return cells.Width(h.short()) + 1 + cells.Width(h.text) }
