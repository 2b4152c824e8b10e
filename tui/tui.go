// Package tui is the panel: the daemon in a terminal, full screen. It knows the
// daemon only through the interface Daemon, which control.Client meets.
//
// Panel (panel.go) is the root: it gives each message and each key to whom it
// concerns. frame.go draws what stands around a screen, dialog.go what stands on
// top of it. Each screen is a file: overview, apps, sessions, journal, send; its
// table of keys gives the footer, the help and what is done (keys.go). What screens
// share is in env.go, what they have the daemon do in actions.go, how things are
// written in formats.go.
//
// Screens and dialogs live in Bubble Tea's one event loop and need no locks; a call
// of the daemon is a command with a deadline, and what the daemon says by itself is
// read by the goroutines of feed and journal, which Run starts and waits for.
//
// All text from outside passes cells.Plain before it is shown.
package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/tui/internal/quiet"
	"github.com/pns4ones/pns4ones/tui/internal/terminal"
)

// Daemon is what the panel wants of the daemon; see control.Client. Its methods
// are called concurrently.
type Daemon interface {
	Status(ctx context.Context) (control.Status, error)
	StatusByApp(ctx context.Context) (control.Status, error)
	Reload(ctx context.Context) (control.ReloadReport, error)
	SetLogLevel(ctx context.Context, level string) error

	Apps(ctx context.Context) ([]control.App, error)
	CreateApp(ctx context.Context, title string) (control.App, error)
	RenameApp(ctx context.Context, id, title string) (control.App, error)
	RotateServerKey(ctx context.Context, id string, grace time.Duration) (control.AppChange, error)
	RotateClientKey(ctx context.Context, id string, grace time.Duration) (control.AppChange, error)
	RevokeOld(ctx context.Context, id string, server, client bool) (control.AppChange, error)
	ResetToken(ctx context.Context, id string) (control.App, error)
	RemoveApp(ctx context.Context, id string) (control.AppChange, error)

	Sessions(ctx context.Context, q control.SessionQuery) (control.SessionPage, error)
	CloseSession(ctx context.Context, id string, since time.Time) error
	SendCounting(ctx context.Context, appID string, to wire.Recipient, m wire.Message) (control.Sent, error)
	People(ctx context.Context, appID, text string, limit int) (control.People, error)
	Infobases(ctx context.Context, appID string) ([]control.Infobase, error)
	History(ctx context.Context, appID string, span time.Duration) (control.History, error)
	Explain(ctx context.Context, appID, ibID, userID, userGroup string) (control.Explanation, error)

	Logs(ctx context.Context, q control.LogQuery, follow bool, each func(control.LogRecord) error) error
	Events(ctx context.Context, q control.EventQuery, follow bool, each func(control.Event) error) error
}

// By now Bubble Tea is initialised, and has asked the terminal nothing.
func init() { quiet.Restore() }

// Background is whether the terminal is dark.
type Background string

// Backgrounds.
const (
	BackgroundAuto  Background = "auto" // ask the terminal
	BackgroundDark  Background = "dark"
	BackgroundLight Background = "light"
)

// ErrNoTerminal says that there is no terminal that could show a panel.
var ErrNoTerminal = errors.New("the panel needs a terminal that can place the cursor")

// Options are what Run needs; Mouse and Background may be zero.
type Options struct {
	Daemon Daemon
	Text   *locale.Localizer
	// In and Out are the terminal.
	In, Out *os.File
	Getenv  func(string) string
	// Mouse takes the mouse, and with it the terminal's own selection of text.
	Mouse      bool
	Background Background
}

// Run shows the panel until the person leaves it, the terminal goes away, or ctx ends,
// and frees what it held of the daemon. It returns an error that wraps ErrNoTerminal, or one of the terminal.
func Run(ctx context.Context, o Options) error {
	name := o.Getenv("TERM")
	if name == "dumb" || !term.IsTerminal(int(o.In.Fd())) || !term.IsTerminal(int(o.Out.Fd())) {
		return fmt.Errorf("TERM=%q: %w", name, ErrNoTerminal)
	}
	output := terminal.NewOutput(o.Out)
	dark := o.Background != BackgroundLight
	if o.Background != BackgroundDark && o.Background != BackgroundLight {
		if answered, known := terminal.DarkBackground(o.In, o.Out); known {
			dark = answered
		}
	}
	profile := terminal.Colours(o.Out, o.Getenv)
	// Terminals keep titles on a stack; one that knows nothing of it passes that over.
	fmt.Fprint(o.Out, "\x1b[22;0t")
	defer fmt.Fprint(o.Out, "\x1b[23;0t")
	host, _ := os.Hostname() // nobody has to know it

	panel := New(Config{
		Daemon:     o.Daemon,
		Text:       o.Text,
		Renderer:   NewRenderer(profile, dark),
		Colourless: profile == termenv.Ascii,
		Now:        time.Now,
		Host:       host,
		Copy:       func(text string) error { return output.Copy(text, o.Getenv) },
	})
	input := terminal.NewInput(o.In)
	options := []tea.ProgramOption{
		tea.WithContext(ctx), tea.WithInput(input), tea.WithOutput(output), tea.WithAltScreen(),
	}
	if o.Mouse {
		options = append(options, tea.WithMouseCellMotion())
	}
	program := tea.NewProgram(panel, options...)
	following, stop := context.WithCancel(ctx)
	defer stop()
	var all errgroup.Group
	all.Go(func() error { return panel.Follow(following, program.Send) })
	all.Go(func() error {
		select {
		case <-input.Gone():
			program.Kill()
		case <-following.Done():
		}
		return nil
	})
	all.Go(func() error {
		defer stop()
		_, err := program.Run()
		select {
		case <-input.Gone():
			return nil // nobody is there to be told
		default:
		}
		if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
			return nil // a signal, or the caller's end
		}
		return err
	})
	return all.Wait()
}

// NewRenderer returns a renderer for a terminal with these colours. One without
// any still shows bold and reversed text.
func NewRenderer(profile termenv.Profile, dark bool) *lipgloss.Renderer {
	if profile == termenv.Ascii {
		profile = termenv.ANSI
	}
	renderer := lipgloss.NewRenderer(nil, termenv.WithProfile(profile))
	renderer.SetColorProfile(profile)
	renderer.SetHasDarkBackground(dark)
	return renderer
}
