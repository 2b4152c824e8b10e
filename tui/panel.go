package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

// Config is what a Panel needs, all of it.
type Config struct {
	Daemon   Daemon
	Text     *locale.Localizer
	Renderer *lipgloss.Renderer
	// Colourless: of the renderer's colours none is used.
	Colourless bool
	Now        func() time.Time
	// Host is the computer that the daemon runs on; it may be empty.
	Host string
	// Copy puts a text on the clipboard of the person's terminal.
	Copy func(text string) error
}

// Panel is the root of the panel, a tea.Model: it gives each message and each key
// to whom it concerns. Everything but Follow is called by Bubble Tea's event loop
// only.
type Panel struct {
	env           *env
	host          string
	width, height int

	overview *overviewScreen
	apps     *appsScreen
	sessions *sessionsScreen
	journal  *journalScreen
	send     *sendScreen
	screens  []screen // all of them, in the order of the tabs
	before   screen   // the one before the one that is shown
	tabs     []span   // where the tabs are, for the mouse

	up       bool
	everUp   bool
	lastSeen time.Time // when the daemon last said something
	down     downMsg

	refresh  bool // the apps are being asked for
	again    bool // and have to be once more
	appsLate int  // seconds until the apps are asked for again
}

// span is a part of a line, in cells; to is not in it.
type span struct{ from, to int }

// New returns a panel that shows the overview.
func New(c Config) *Panel {
	text := c.Text.ForPeople()
	e := &env{
		daemon: c.Daemon,
		text:   text,
		words:  say.Words{Text: text, Titles: map[string]string{}},
		style:  newStyles(c.Renderer, c.Colourless),
		now:    c.Now,
		copy:   c.Copy,
		host:   c.Host,
	}
	p := &Panel{
		env:      e,
		host:     c.Host,
		overview: newOverview(e),
		apps:     newApps(e),
		sessions: newSessions(e),
		journal:  newJournal(e),
		send:     newSend(e),
	}
	p.screens = []screen{p.overview, p.apps, p.sessions, p.journal, p.send}
	e.shown, p.before = p.overview, p.overview
	return p
}

// Init begins with what the panel shows first.
func (p *Panel) Init() tea.Cmd {
	return tea.Batch(tea.SetWindowTitle(p.title()), p.askApps(), p.env.shown.enter())
}

// Update takes a message of the terminal, of the daemon, or of a command.
func (p *Panel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		p.width, p.height = msg.Width, msg.Height
		for _, s := range p.screens {
			s.resize(max(p.width, MinWidth), max(p.height, MinHeight)-frameLines)
		}
		// Terminals reflow what they show when they are resized.
		return p, tea.Batch(tea.ClearScreen, p.update(msg))
	case tea.KeyMsg:
		return p, p.press(msg)
	case tea.MouseMsg:
		return p, p.click(msg)
	case doneMsg:
		return p, tea.Batch(p.env.finish(msg), p.askApps())
	case explainedMsg:
		p.env.explained(msg)
		return p, nil
	case foundMsg:
		return p, p.env.found(msg)
	case suggestedMsg:
		p.send.suggested(msg)
		return p, nil
	case infobasesMsg:
		return p, p.env.tookInfobases(msg)
	case sessionsOfMsg:
		return p, tea.Batch(p.show(p.sessions), p.update(msg))
	case openAppMsg:
		return p, tea.Batch(p.show(p.apps), p.update(msg))
	case journalMsg:
		return p, tea.Batch(p.update(msg), p.show(p.journal))
	case writeToMsg, writeToManyMsg:
		return p, tea.Batch(p.show(p.send), p.update(msg))
	case backMsg:
		return p, p.show(p.before)
	case appsMsg:
		return p, p.takeApps(msg)
	case appsChangedMsg:
		return p, p.askApps()
	case upMsg:
		p.up, p.everUp, p.lastSeen = true, true, p.env.now()
		return p, tea.Batch(p.askApps(), p.update(msg), p.env.shown.enter())
	case downMsg:
		p.up, p.down = false, msg
	case tickMsg:
		p.up, p.lastSeen = true, p.env.now()
		// A list of thousands of apps is not for every second. In a cluster each node is asked
		// for its sessions by app: about one a second, however many there are.
		var apps tea.Cmd
		if p.appsLate--; p.appsLate <= 0 {
			p.appsLate = 1 + len(p.env.apps)/500
			if c := p.env.cluster; c != nil {
				p.appsLate = max(p.appsLate, len(c.Nodes))
			}
			apps = p.askApps()
		}
		return p, tea.Batch(apps, p.update(msg))
	case beatMsg:
		if n := p.env.notice; !n.busy && n.text != "" && !p.env.now().Before(n.until) {
			p.env.notice = notice{}
		}
	case panicMsg:
		panic(fmt.Sprintf("%v\n\n%s", msg.value, msg.stack))
	}
	return p, p.update(msg)
}

// update gives a message to all screens.
func (p *Panel) update(msg tea.Msg) tea.Cmd {
	_, tick := msg.(tickMsg)
	var cmds []tea.Cmd
	for _, s := range p.screens {
		if tick && s != p.env.shown && s != screen(p.overview) {
			continue // what is not seen is not kept up to date
		}
		cmds = append(cmds, s.update(msg))
	}
	return tea.Batch(cmds...)
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

// show changes to another screen.
func (p *Panel) show(s screen) tea.Cmd {
	if s == p.env.shown {
		return nil
	}
	p.env.shown.leave()
	p.before, p.env.shown = p.env.shown, s
	return s.enter()
}

// showTab shows the screen whose number is the last character of a key.
func (p *Panel) showTab(name string) tea.Cmd { return p.show(p.screens[name[len(name)-1]-'1']) }

// showNext goes to the tab beside, round and round.
func (p *Panel) showNext(name string) tea.Cmd {
	by := 1
	if name == "shift+tab" {
		by = len(p.screens) - 1
	}
	return p.show(p.screens[(slices.Index(p.screens, p.env.shown)+by)%len(p.screens)])
}

// press gives a key to whom it concerns: those that work whatever is shown, the
// dialog, those that work on every screen, the screen.
func (p *Panel) press(k tea.KeyMsg) tea.Cmd {
	if k.Type == tea.KeyRunes && len(k.Runes) > 1 && !k.Paste && !p.typing() {
		// Keys that came faster than they were read.
		first, rest := k, k
		first.Runes, rest.Runes = k.Runes[:1], k.Runes[1:]
		return tea.Batch(p.press(first), p.press(rest))
	}
	if !p.typing() {
		k = asLatin(k)
	}
	name, everywhere := command(k), p.everywhere()
	if strings.HasPrefix(name, "ctrl+") {
		if cmd, has := everywhere.press(name); has {
			return cmd
		}
	}
	if p.tooSmall() {
		if name == "q" {
			return tea.Quit
		}
		return nil
	}
	if d := p.env.dialog; d != nil {
		if cmd, has := d.keys().press(name); has {
			return cmd
		}
		d.write(k)
		return nil
	}
	s := p.env.shown
	if s.typing() {
		everywhere = everywhere.whileTyping()
	}
	for _, table := range []keyTable{everywhere, s.keys()} {
		if cmd, has := table.press(name); has {
			return cmd
		}
	}
	return s.write(k)
}

// typing reports whether letters are text now, and no commands.
func (p *Panel) typing() bool {
	switch {
	case p.tooSmall():
		return false
	case p.env.dialog != nil:
		return p.env.dialog.typing()
	}
	return p.env.shown.typing()
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
				return p.show(p.screens[i])
			}
		}
		return nil
	}
	if line := m.Y - linesAbove; line >= 0 && line < p.height-frameLines {
		return p.env.shown.click(line, wheel)
	}
	return nil
}
