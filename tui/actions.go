package tui

import (
	"context"
	"errors"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

const (
	// callTimeout is how long a call of the daemon may take that only asks it something.
	callTimeout = 5 * time.Second
	// changeTimeout is that of a call that changes or sends something. In a cluster a change may
	// take 10 s where two nodes change the same app, and 2 s until the others have it.
	changeTimeout = 15 * time.Second
)

// ask calls the daemon away from the event loop, with a deadline.
func ask(do func(ctx context.Context) tea.Msg) tea.Cmd { return askWithin(callTimeout, do) }

func askWithin(limit time.Duration, do func(ctx context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		return do(ctx)
	}
}

// lateError says that there was no answer in that time.
type lateError struct{ limit time.Duration }

func (lateError) Error() string { return "no answer came in time" }

// orLate is err, or if time was over, that it was.
func orLate(err error, limit time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return lateError{limit}
	}
	return err
}

// doneMsg is what became of an action.
type doneMsg struct {
	from   dialog // in which it was begun
	err    error
	notice string
	// after is called in the event loop if there was no error, and before the
	// dialog is closed.
	after func() tea.Cmd
}

// act has the daemon do something, away from the event loop. The person sees that it is being
// done, and after a second what that waits for.
func (e *env) act(waitsFor string, do func(ctx context.Context) doneMsg) tea.Cmd {
	return e.actOn(1, waitsFor, do)
}

// actOn is act for what takes so many calls, one after the other.
func (e *env) actOn(calls int, waitsFor string, do func(ctx context.Context) doneMsg) tea.Cmd {
	e.busy(waitsFor)
	from, limit := e.dialog, time.Duration(calls)*changeTimeout
	return askWithin(limit, func(ctx context.Context) tea.Msg {
		msg := do(ctx)
		msg.from, msg.err = from, orLate(msg.err, limit)
		return msg
	})
}

// finish shows what became of an action. A prompt that is still open says itself
// why it will not do.
func (e *env) finish(msg doneMsg) tea.Cmd {
	e.notice = notice{}
	still := msg.from != nil && e.dialog == msg.from
	var after tea.Cmd
	switch _, itself := msg.from.(*prompt); {
	case msg.err == nil:
		if msg.notice != "" {
			e.tell(msg.notice)
		}
		if msg.after != nil {
			after = msg.after()
		}
	case !still || !itself:
		e.complain(e.problem(msg.err))
	}
	if still && msg.from.done(msg) {
		e.close()
	}
	return after
}

// copied puts a text on the person's clipboard, and says what it is; the text is
// not shown.
func (e *env) copied(what, text string) {
	if err := e.copy(text); err != nil {
		e.complain(e.t("tui.failed", "error", cells.Plain(err.Error())))
		return
	}
	// How to see whether it arrived is said once, and then in the help.
	if !e.copies {
		e.copies = true
		e.tell(e.t("tui.copied_first", "what", what))
		return
	}
	e.tell(e.t("tui.copied", "what", what))
}

// askCopy lets the person choose which of the fields is copied, and goes back to the dialog
// in which that was asked for.
func (e *env) askCopy(fields []field) tea.Cmd {
	q := &question{env: e, title: e.t("tui.copy_title"), under: e.dialog}
	names := nameWidth(fields)
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		q.options = append(q.options, option{cells.Left(f.name, names) + "  " + cells.Plain(f.value), func() tea.Cmd {
			e.copied(f.name, f.value)
			return nil
		}})
	}
	return e.open(q)
}

// notice is the line that says what became of an action.
type notice struct {
	text  string // of one that is busy, what is waited for
	bad   bool
	busy  bool
	since time.Time // of one that is busy
	until time.Time // of one that is not
}

// How long a notice stands, one of a success and one of a problem.
const (
	noticeFor  = 8 * time.Second
	problemFor = 30 * time.Second
)

func (e *env) tell(text string) { e.notice = notice{text: text, until: e.now().Add(noticeFor)} }

func (e *env) complain(text string) {
	e.notice = notice{text: text, bad: true, until: e.now().Add(problemFor)}
}

func (e *env) busy(waitsFor string) { e.notice = notice{text: waitsFor, busy: true, since: e.now()} }

// busyText says that something is being done, and when that takes longer what it waits for.
func (e *env) busyText(waitsFor string, since time.Time) string {
	if took := int(e.now().Sub(since).Seconds()); took >= 1 {
		return e.t("tui.busy_for", "what", waitsFor, "N", took)
	}
	return e.t("tui.busy")
}

// waitsForAll is what a change of an app waits for.
func (e *env) waitsForAll() string {
	if e.cluster == nil {
		return e.waitsForDaemon()
	}
	return e.t("tui.waits_nodes")
}

func (e *env) waitsForDaemon() string { return e.t("tui.waits_daemon") }

// waitsForNode is what something waits for that is done on a node; empty: on this one.
func (e *env) waitsForNode(node string) string {
	if e.cluster == nil || node == "" || node == e.cluster.Node {
		return e.waitsForDaemon()
	}
	return e.t("tui.waits_node", "node", cells.Plain(node))
}

// problem says an error in the person's words.
func (e *env) problem(err error) string {
	var (
		refusal     *control.Error
		unreachable *control.ConnectError
		late        lateError
	)
	switch {
	case errors.As(err, &refusal):
		return cells.Plain(say.Refusal(e.text, say.InPanel, refusal))
	case errors.As(err, &unreachable):
		return cells.Plain(say.Unreachable(e.text, say.InPanel, unreachable))
	case errors.Is(err, control.ErrEnded):
		return e.t("tui.daemon_gone")
	case errors.As(err, &late):
		return e.t("tui.no_answer_to_change", "N", int(late.limit/time.Second))
	case errors.Is(err, context.DeadlineExceeded):
		return e.t("tui.no_answer", "N", int(callTimeout/time.Second))
	}
	return e.t("tui.failed", "error", cells.Plain(err.Error()))
}
