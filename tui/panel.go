package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// The smallest terminal that the panel works in.
const (
	MinWidth  = 60
	MinHeight = 15
)

// frame is what the root needs of the height: header, rule, notice, footer.
const frame = 4

// Config is what a Panel needs, all of it.
type Config struct {
	Daemon   Daemon
	Text     *locale.Localizer
	Renderer *lipgloss.Renderer
	// Colourless: of the renderer's colours none is used.
	Colourless bool
	Now        func() time.Time
	// Copy puts a text on the clipboard of the person's terminal.
	Copy func(text string) error
}

// Panel is the root of the panel, a tea.Model. Everything but Follow is called by
// Bubble Tea's event loop only.
type Panel struct {
	env           *env
	screens       []screen
	overview      *overview
	journal       *journal
	before        int // the screen before the one that is shown
	width, height int

	up       bool
	everUp   bool
	lastSeen time.Time // when the daemon last said something
	down     downMsg
	refresh  bool // the apps are being asked for
	again    bool // and have to be once more
	appsLate int  // seconds until the apps are asked for again

	tabs []span // where the tabs are, for the mouse
}

type span struct{ from, to int }

// New returns a panel that shows the overview.
func New(c Config) *Panel {
	e := &env{
		daemon: c.Daemon, text: c.Text, style: newStyles(c.Renderer, c.Colourless), now: c.Now, copy: c.Copy,
		words: say.Words{Text: c.Text, Titles: map[string]string{}},
	}
	p := &Panel{env: e, overview: newOverview(e), journal: newJournal(e)}
	p.screens = []screen{p.overview, newApps(e), newSessions(e), p.journal, newSend(e)}
	return p
}

// The numbers of the screens.
const (
	screenOverview = iota
	screenApps
	screenSessions
	screenJournal
	screenSend
)

// Messages by which a screen leads to another one.
type (
	// sessionsOfMsg shows the sessions of an app.
	sessionsOfMsg struct{ appID string }
	// writeToMsg begins a message.
	writeToMsg struct{ appID, ibID, userID string }
	// warningsMsg shows the log from warnings on.
	warningsMsg struct{}
)

// Init begins with what the panel shows first.
func (p *Panel) Init() tea.Cmd {
	return tea.Batch(tea.SetWindowTitle("pns4ones"), p.askApps(), p.screens[p.env.at].enter())
}

type appsMsg struct {
	changes int // as env had it when the apps were asked for
	apps    []control.App
	err     error
}

// askApps asks for the apps. While that is under way it is noted to be done again:
// the answer may be older than what is to be seen.
func (p *Panel) askApps() tea.Cmd {
	if p.refresh {
		p.again = true
		return nil
	}
	p.refresh, p.again = true, false
	changes := p.env.changes
	return ask(func(ctx context.Context) tea.Msg {
		apps, err := p.env.daemon.Apps(ctx)
		return appsMsg{changes, apps, err}
	})
}

// takeApps shows other apps, but for those of before a change that is shown.
func (p *Panel) takeApps(msg appsMsg) tea.Cmd {
	p.refresh = false
	var cmd tea.Cmd
	if p.again {
		cmd = p.askApps()
	}
	if msg.err != nil || msg.changes != p.env.changes {
		return cmd
	}
	p.env.apps, p.env.words.Titles = msg.apps, say.TitlesOf(msg.apps)
	return tea.Batch(cmd, p.update(msg))
}

// Update takes a message of the terminal, of the daemon, or of a command.
func (p *Panel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		p.width, p.height = msg.Width, msg.Height
		for _, s := range p.screens {
			s.resize(max(p.width, MinWidth), max(p.height, MinHeight)-frame)
		}
		// Terminals reflow what they show when they are resized.
		return p, tea.Batch(tea.ClearScreen, p.update(msg))
	case tea.KeyMsg:
		return p, p.press(msg)
	case tea.MouseMsg:
		return p, p.click(msg)
	case doneMsg:
		return p, p.done(msg)
	case sessionsOfMsg:
		return p, tea.Batch(p.show(screenSessions), p.update(msg))
	case warningsMsg:
		return p, tea.Batch(p.update(msg), p.show(screenJournal))
	case writeToMsg:
		return p, tea.Batch(p.show(screenSend), p.update(msg))
	case appsMsg:
		return p, p.takeApps(msg)
	case upMsg:
		p.up, p.everUp, p.lastSeen = true, true, p.env.now()
		return p, tea.Batch(p.askApps(), p.update(msg), p.screens[p.env.at].enter())
	case downMsg:
		p.up, p.down = false, msg
	case tickMsg:
		p.up, p.lastSeen = true, p.env.now()
		// A list of thousands of apps is not for every second.
		var apps tea.Cmd
		if p.appsLate--; p.appsLate <= 0 {
			p.appsLate = 1 + len(p.env.apps)/500
			apps = p.askApps()
		}
		return p, tea.Batch(apps, p.update(msg))
	case appsChangedMsg:
		return p, p.askApps()
	case explainedMsg:
		p.env.explained(msg)
		return p, nil
	case panicMsg:
		panic(fmt.Sprintf("%v\n\n%s", msg.value, msg.stack))
	case beatMsg:
		if n := p.env.notice; !n.busy && n.text != "" && !p.env.now().Before(n.until) {
			p.env.notice = notice{}
		}
	}
	return p, p.update(msg)
}

// update gives a message to all screens.
func (p *Panel) update(msg tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for i, s := range p.screens {
		if _, tick := msg.(tickMsg); tick && i != p.env.at && i != screenOverview {
			continue // what is not seen is not kept up to date
		}
		cmds = append(cmds, s.update(msg))
	}
	return tea.Batch(cmds...)
}

// done shows what became of an action.
func (p *Panel) done(msg doneMsg) tea.Cmd {
	p.env.notice = notice{}
	still := msg.from != nil && p.env.dialog == msg.from
	var after tea.Cmd
	switch _, itself := msg.from.(*prompt); {
	case msg.err == nil:
		if msg.notice != "" {
			p.env.tell(msg.notice)
		}
		if msg.after != nil {
			after = msg.after()
		}
	case !still || !itself:
		p.env.complain(p.env.problem(msg.err))
	}
	if still && msg.from.done(msg) {
		p.env.dialog = nil
	}
	return tea.Batch(after, p.askApps())
}

// show changes to another screen.
func (p *Panel) show(n int) tea.Cmd {
	at := p.env.at
	if n == at {
		return nil
	}
	p.screens[at].leave()
	p.before, p.env.at = at, n
	return p.screens[n].enter()
}

// press gives a key to whom it concerns: the dialog, the keys that work
// everywhere, the screen.
func (p *Panel) press(k tea.KeyMsg) tea.Cmd {
	if k.Type == tea.KeyRunes && len(k.Runes) > 1 && !k.Paste && !p.typing() {
		// Keys that came faster than they were read.
		first, rest := k, k
		first.Runes, rest.Runes = k.Runes[:1], k.Runes[1:]
		return tea.Batch(p.press(first), p.press(rest))
	}
	switch command(k) {
	case "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "ctrl+l":
		return tea.ClearScreen
	}
	if p.tooSmall() {
		if asLatin(k).String() == "q" {
			return tea.Quit
		}
		return nil
	}
	if d := p.env.dialog; d != nil {
		if !d.typing() {
			k = asLatin(k)
		}
		cmd, over := d.press(k)
		if over && p.env.dialog == d {
			p.env.dialog = nil
		}
		return cmd
	}

	s := p.screens[p.env.at]
	if !s.typing() {
		k = asLatin(k)
	}
	name := command(k)
	if n := strings.TrimPrefix(name, "alt+"); len(n) == 1 && n >= "1" && n <= "5" && (n != name || !s.typing()) {
		return p.show(int(n[0] - '1'))
	}
	if name == "f1" {
		p.env.dialog = p.help()
		return nil
	}
	if s.typing() {
		if name == "esc" && p.env.at == screenSend {
			return p.show(p.before)
		}
		return s.press(k)
	}
	switch name {
	case "q":
		return tea.Quit
	case "?":
		p.env.dialog = p.help()
		return nil
	case "tab":
		return p.show((p.env.at + 1) % len(p.screens))
	case "shift+tab":
		return p.show((p.env.at + len(p.screens) - 1) % len(p.screens))
	}
	return s.press(k)
}

// typing tells that letters are text now, and no commands.
func (p *Panel) typing() bool {
	switch {
	case p.tooSmall():
		return false
	case p.env.dialog != nil:
		return p.env.dialog.typing()
	}
	return p.screens[p.env.at].typing()
}

// click takes the mouse: tabs, rows and the wheel.
func (p *Panel) click(m tea.MouseMsg) tea.Cmd {
	if p.tooSmall() || p.env.dialog != nil {
		return nil
	}
	wheel := 0
	switch {
	case m.Button == tea.MouseButtonWheelUp:
		wheel = -1
	case m.Button == tea.MouseButtonWheelDown:
		wheel = 1
	case m.Button != tea.MouseButtonLeft || m.Action != tea.MouseActionPress:
		return nil
	case m.Y == 0:
		for i, tab := range p.tabs {
			if m.X >= tab.from && m.X < tab.to {
				return p.show(i)
			}
		}
		return nil
	}
	if line := m.Y - 2; line >= 0 && line < p.height-frame {
		return p.screens[p.env.at].click(line, wheel)
	}
	return nil
}

// help lists the keys of the screen and those that work everywhere.
func (p *Panel) help() *reader {
	e := p.env
	list := func(lines []string, keys []key.Binding) []string {
		for _, b := range keys {
			var names []string
			for _, k := range b.Keys() {
				names = append(names, keyName(k))
			}
			lines = append(lines, "  "+cells.Left(strings.Join(names, " "), 16)+"  "+b.Help().Desc)
		}
		return lines
	}
	lines := list([]string{p.screens[p.env.at].tab()}, p.screens[p.env.at].keys())
	lines = list(append(lines, "", e.t("tui.help_moving")), []key.Binding{
		e.bind("tui.key_move", "up", "down", "k", "j"), e.bind("tui.key_page", "pgup", "pgdown"), e.bind("tui.key_ends", "home", "end", "g", "G"),
	})
	lines = list(append(lines, "", e.t("tui.help_everywhere")), []key.Binding{
		e.bind("tui.key_screens", "1", "…", "5"), e.bind("tui.key_screens_typing", "alt+1", "…", "5"), e.bind("tui.key_next", "tab", "shift+tab"),
		e.bind("tui.key_back", "esc"), e.bind("tui.key_help", "?", "f1"), e.bind("tui.key_redraw", "ctrl+l"), e.bind("tui.key_quit", "q", "ctrl+c"),
	})
	return &reader{env: e, title: e.t("tui.help"), lines: append(lines, "", e.t("tui.help_layout"))}
}

func (p *Panel) tooSmall() bool { return p.width < MinWidth || p.height < MinHeight }

// View draws the screen.
func (p *Panel) View() string {
	if p.width == 0 {
		return ""
	}
	if p.tooSmall() {
		var lines []string
		for _, line := range cells.Wrap(p.env.t("tui.too_small", "width", MinWidth, "height", MinHeight, "w", p.width, "h", p.height), p.width) {
			lines = append(lines, cells.Truncate(line, p.width))
		}
		return strings.Join(lines[:min(len(lines), p.height)], "\n")
	}
	room := p.height - frame
	body := p.screens[p.env.at].view()
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

// header shows the tabs, and how many sessions there are.
func (p *Panel) header() string {
	var b strings.Builder
	at := 1
	b.WriteString(" ")
	p.tabs = p.tabs[:0]
	for i, s := range p.screens {
		text := " " + string(rune('1'+i)) + " " + s.tab() + " "
		if i == p.env.at {
			text = "[" + text[1:len(text)-1] + "]"
			b.WriteString(p.env.style.tab.Render(text))
		} else {
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

// rule divides the header from the screen, or tells that the daemon is gone.
func (p *Panel) rule() string {
	if p.up || p.down.err == nil {
		return p.env.style.dim.Render(strings.Repeat("─", p.width))
	}
	e := p.env
	text := e.problem(p.down.err)
	end := e.t("tui.retrying")
	if left := p.down.retry.Sub(e.now()).Round(time.Second); left > 0 {
		end = e.t("tui.retry_in", "N", int(left.Seconds()))
	}
	if p.everUp {
		end += " " + e.t("tui.data_of", "time", p.lastSeen.Local().Format(time.TimeOnly))
	}
	return e.style.banner.Render(cells.Left(" ▲ "+cells.Truncate(text, p.width-cells.Width(end)-7)+" · "+end, p.width))
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
	// A frame and a blank at each side; the margin shows that it is a dialog.
	width := min(p.width-4, 84) - 4
	title, lines := p.env.dialog.view(width, len(body)-2)
	lines = lines[:min(len(lines), len(body)-2)]
	title = cells.Truncate(title, width-2)
	box := []string{style.accent.Render("┌ ") + style.title.Render(title) + style.accent.Render(" "+strings.Repeat("─", width-cells.Width(title))+"┐")}
	for _, line := range lines {
		pad := strings.Repeat(" ", max(width-ansi.StringWidth(line), 0))
		box = append(box, style.accent.Render("│ ")+line+pad+style.accent.Render(" │"))
	}
	box = append(box, style.accent.Render("└"+strings.Repeat("─", width+2)+"┘"))

	left, top := (p.width-width-4)/2, max((len(body)-len(box))/3, 0)
	out := p.faded(body)
	for i, line := range box {
		under := cells.Left(ansi.Strip(body[top+i]), p.width)
		out[top+i] = style.dim.Render(cells.Cut(under, 0, left)) + line + style.dim.Render(cells.Cut(under, left+width+4, p.width))
	}
	return out
}

// noticeLine tells what became of the last action.
func (p *Panel) noticeLine() string {
	n := p.env.notice
	text := cells.Truncate(n.text, p.width-4)
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
	var keys, last []key.Binding
	switch s := p.screens[p.env.at]; {
	case e.dialog != nil:
		keys = e.dialog.keys()
	case s.typing():
		keys, last = s.keys(), []key.Binding{e.bind("tui.key_help", "f1")}
	default:
		keys, last = s.keys(), []key.Binding{e.bind("tui.key_help", "?"), e.bind("tui.key_quit", "q")}
	}
	const gap = 2
	room := p.width - 1
	for _, b := range last {
		room -= gap + hintWidth(b)
	}
	var b strings.Builder
	b.WriteString(" ")
	hint := func(k key.Binding) {
		b.WriteString(e.style.accent.Render(k.Help().Key) + " " + e.style.dim.Render(k.Help().Desc) + strings.Repeat(" ", gap))
	}
	for _, k := range keys {
		if room -= gap + hintWidth(k); room < 0 {
			break
		}
		hint(k)
	}
	for _, k := range last {
		hint(k)
	}
	return strings.TrimRight(b.String(), " ")
}

func hintWidth(b key.Binding) int { return cells.Width(b.Help().Key) + 1 + cells.Width(b.Help().Desc) }
