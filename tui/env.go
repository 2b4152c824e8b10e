package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// callTimeout is how long a call of the daemon may take.
const callTimeout = 5 * time.Second

// env is what all screens share.
type env struct {
	daemon Daemon
	text   *locale.Localizer
	words  say.Words
	style  styles
	now    func() time.Time
	copy   func(text string) error

	apps    []control.App
	changes int    // counts the changes of apps that were made here
	at      int    // the number of the screen that is shown
	dialog  dialog // on top of the screen; nil: none
	notice  notice
}

// screen is one of the numbered screens. Sizes are those of the part that is
// the screen's own.
type screen interface {
	// tab is what the screen is called.
	tab() string
	// keys are the screen's own keys as they are now, the most useful ones first.
	keys() []key.Binding
	// typing tells that letters are text now, and no commands.
	typing() bool
	resize(width, height int)
	// enter begins to show the screen, leave ends it.
	enter() tea.Cmd
	leave()
	press(k tea.KeyMsg) tea.Cmd
	// click presses the mouse in a line of the screen, or turns its wheel.
	click(line int, wheel int) tea.Cmd
	update(msg tea.Msg) tea.Cmd
	view() []string
}

// t returns a text of the catalogue.
func (e *env) t(id string, args ...any) string { return e.text.T(id, args...) }

// notice is the line that tells what became of an action.
type notice struct {
	text  string
	bad   bool
	busy  bool
	until time.Time
}

const (
	noticeFor  = 8 * time.Second
	problemFor = 30 * time.Second
)

func (e *env) tell(text string) { e.notice = notice{text: text, until: e.now().Add(noticeFor)} }

func (e *env) complain(text string) {
	e.notice = notice{text: text, bad: true, until: e.now().Add(problemFor)}
}

// doneMsg tells what became of an action.
type doneMsg struct {
	from   dialog // in which it was begun
	err    error
	notice string
	// after is called in the event loop if there was no error, and before the
	// dialog is closed.
	after func() tea.Cmd
}

// act has the daemon do something, away from the event loop. The person sees that
// it is being done.
func (e *env) act(do func(ctx context.Context) doneMsg) tea.Cmd {
	e.busy()
	from := e.dialog
	return ask(func(ctx context.Context) tea.Msg {
		msg := do(ctx)
		msg.from = from
		return msg
	})
}

func (e *env) busy() { e.notice = notice{text: e.t("tui.busy"), busy: true} }

// ask calls the daemon away from the event loop, with a deadline.
func ask(do func(ctx context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		return do(ctx)
	}
}

// problem says an error in the person's words.
func (e *env) problem(err error) string {
	var (
		refusal     *control.Error
		unreachable *control.ConnectError
	)
	switch {
	case errors.As(err, &refusal):
		return cells.Plain(say.Refusal(e.words.Text, say.InPanel, refusal))
	case errors.As(err, &unreachable):
		switch unreachable.Kind {
		case control.ConnectMissing:
			return e.t("tui.daemon_missing", "path", unreachable.Path)
		case control.ConnectRefused:
			return e.t("tui.daemon_refused", "path", unreachable.Path)
		case control.ConnectDenied:
			return e.t("tui.daemon_denied", "path", unreachable.Path)
		}
		return e.t("tui.failed", "error", cells.Plain(unreachable.Err.Error()))
	case errors.Is(err, control.ErrEnded):
		return e.t("tui.daemon_gone")
	case errors.Is(err, context.DeadlineExceeded):
		return e.t("tui.no_answer", "N", int(callTimeout/time.Second))
	}
	return e.t("tui.failed", "error", cells.Plain(err.Error()))
}

// appTitle is what an app is called.
func (e *env) appTitle(id string) string { return cells.Plain(e.words.App(id)) }

// put shows an app as a change has made it, before the daemon gives its list.
func (e *env) put(changed control.App) {
	apps := slices.Clone(e.apps)
	if i := slices.IndexFunc(apps, func(a control.App) bool { return a.ID == changed.ID }); i >= 0 {
		apps[i] = changed
	} else {
		apps = append(apps, changed)
	}
	e.changes++
	e.apps, e.words.Titles = apps, say.TitlesOf(apps)
}

// remove takes an app away that was removed, before the daemon gives its list.
func (e *env) remove(id string) {
	e.changes++
	e.apps = slices.DeleteFunc(slices.Clone(e.apps), func(a control.App) bool { return a.ID == id })
}

// userName is what a user is called.
func (e *env) userName(id string) string {
	if id == "" {
		return e.t("live.no_user")
	}
	return cells.Plain(id)
}

func (e *env) appByID(id string) (control.App, bool) {
	for _, a := range e.apps {
		if a.ID == id {
			return a, true
		}
	}
	return control.App{}, false
}

// copied puts a text on the person's clipboard. what it is, is told; the text is
// not.
func (e *env) copied(what, text string) {
	if err := e.copy(text); err != nil {
		e.complain(e.t("tui.failed", "error", cells.Plain(err.Error())))
		return
	}
	e.tell(e.t("tui.copied", "what", what))
}

// number writes a count with its thousands apart.
func number[T int | int64 | uint64](n T) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + " " + digits[at:]
	}
	return digits
}

// perSecond writes a rate.
func perSecond(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 9.95:
		return fmt.Sprintf("%.1f", rate)
	}
	return number(int64(rate + 0.5))
}

// field is a name and a value of a block.
type field struct{ name, value string }

// block sets fields one below the other, values aligned; one that does not fit
// beside its name stands below it, in as many lines as it takes.
func (e *env) block(fields []field, width int) []string {
	widest := 0
	for _, f := range fields {
		widest = max(widest, cells.Width(f.name))
	}
	var lines []string
	for _, f := range fields {
		if f.name == "" && f.value == "" {
			lines = append(lines, "")
			continue
		}
		if name := cells.Left(f.name, widest) + "  "; cells.Width(name)+cells.Width(f.value) <= width {
			lines = append(lines, e.style.label.Render(name)+f.value)
			continue
		}
		lines = append(lines, e.style.label.Render(cells.Truncate(f.name, width)))
		for _, line := range cells.Wrap(f.value, width-2) {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

// indent is the margin of texts that are no rows.
func indent(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if line != "" {
			out[i] = strings.Repeat(" ", markWidth) + line
		}
	}
	return out
}
