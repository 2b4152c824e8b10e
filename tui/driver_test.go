package tui_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui"
)

// patience bounds how long a test waits for what must happen soon.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// driver is a person at the panel: it runs the event loop as Bubble Tea does,
// presses keys and looks at the screen.
type driver struct {
	t         testing.TB
	panel     *tui.Panel
	inbox     chan tea.Msg
	clipboard []string
	left      bool // the panel
	slow      bool // what commands bring is kept in late
	late      []tea.Msg
	passed    atomic.Int64 // nanoseconds since moment
	stop      func()
}

// look is how a panel looks.
type look struct {
	width, height int
	lang          locale.Lang
	profile       termenv.Profile
}

var usual = look{80, 24, locale.Russian, termenv.ANSI256}

// open opens a panel on a daemon.
func open(t testing.TB, daemon tui.Daemon, l look) *driver {
	t.Helper()
	d := &driver{t: t, inbox: make(chan tea.Msg)}
	d.panel = tui.New(tui.Config{
		Daemon:     daemon,
		Text:       locale.New(l.lang),
		Renderer:   tui.NewRenderer(l.profile, true),
		Colourless: l.profile == termenv.Ascii,
		Now:        func() time.Time { return moment.Add(time.Duration(d.passed.Load())) },
		Host:       "srv-1c",
		Copy: func(text string) error {
			d.clipboard = append(d.clipboard, text)
			return nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		d.panel.Follow(ctx, func(msg tea.Msg) {
			if _, clock := msg.(tui.BeatMsg); clock {
				return
			}
			select {
			case d.inbox <- msg:
			case <-ctx.Done():
			}
		})
	})
	d.stop = sync.OnceFunc(func() {
		cancel()
		following.Wait()
	})
	t.Cleanup(d.stop)
	d.send(tea.WindowSizeMsg{Width: l.width, Height: l.height})
	d.run(d.panel.Init())
	return d
}

// send has the panel take a message, and all that comes of it.
func (d *driver) send(msg tea.Msg) {
	switch msg := msg.(type) {
	case nil:
	case tea.BatchMsg:
		for _, cmd := range msg {
			d.run(cmd)
		}
	case tea.QuitMsg:
		d.left = true
	default:
		_, cmd := d.panel.Update(msg)
		d.run(cmd)
	}
}

func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	msg := cmd()
	if batch, several := msg.(tea.BatchMsg); d.slow && !several {
		d.late = append(d.late, msg)
	} else if several {
		d.send(batch)
	} else {
		d.send(msg)
	}
}

// catchUp has the panel take what came late.
func (d *driver) catchUp() {
	late := d.late
	d.slow, d.late = false, nil
	for _, msg := range late {
		d.send(msg)
	}
}

var keyTypes = map[string]tea.KeyType{
	"enter":     tea.KeyEnter,
	"esc":       tea.KeyEsc,
	"tab":       tea.KeyTab,
	"shift+tab": tea.KeyShiftTab,
	"up":        tea.KeyUp,
	"down":      tea.KeyDown,
	"left":      tea.KeyLeft,
	"right":     tea.KeyRight,
	"home":      tea.KeyHome,
	"end":       tea.KeyEnd,
	"pgup":      tea.KeyPgUp,
	"pgdown":    tea.KeyPgDown,
	"space":     tea.KeySpace,
	"backspace": tea.KeyBackspace,
	"f1":        tea.KeyF1,
	"ctrl+c":    tea.KeyCtrlC,
	"ctrl+e":    tea.KeyCtrlE,
	"ctrl+n":    tea.KeyCtrlN,
	"ctrl+o":    tea.KeyCtrlO,
	"ctrl+s":    tea.KeyCtrlS,
	"ctrl+u":    tea.KeyCtrlU,
	"ctrl+d":    tea.KeyCtrlD,
	"delete":    tea.KeyDelete,
}

func keyMsg(name string) tea.KeyMsg {
	if kind, special := keyTypes[name]; special {
		if kind == tea.KeySpace {
			return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
		}
		return tea.KeyMsg{Type: kind}
	}
	if letter, alt := strings.CutPrefix(name, "alt+"); alt {
		return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(letter), Alt: true}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// press presses keys.
func (d *driver) press(names ...string) {
	for _, name := range names {
		d.send(keyMsg(name))
	}
}

// write types a text.
func (d *driver) write(text string) {
	for _, r := range text {
		if r == ' ' {
			d.press("space")
			continue
		}
		d.press(string(r))
	}
}

// screen is what is to be seen, without colours; the thin spaces in numbers are blanks.
func (d *driver) screen() string {
	return strings.ReplaceAll(ansi.Strip(d.panel.View()), "\u202f", " ")
}

// await takes what the daemon says until the screen shows all of the texts.
func (d *driver) await(texts ...string) {
	d.t.Helper()
	late := time.After(patience)
	for {
		missing := ""
		for _, text := range texts {
			if !strings.Contains(d.screen(), text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case msg := <-d.inbox:
			d.send(msg)
		case <-late:
			d.t.Fatalf("the screen never showed %q:\n%s", missing, d.screen())
		}
	}
}

// sees checks that the screen shows texts, and hides those that begin with a
// minus.
func (d *driver) sees(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if hidden, ok := strings.CutPrefix(text, "-"); ok {
			if strings.Contains(d.screen(), hidden) {
				d.t.Errorf("the screen shows %q:\n%s", hidden, d.screen())
			}
		} else if !strings.Contains(d.screen(), text) {
			d.t.Errorf("the screen does not show %q:\n%s", text, d.screen())
		}
	}
}
