package tui

import (
	"context"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// explainedMsg is the answer to explain.
type explainedMsg struct {
	from        dialog // on top of which it was asked for
	screen      screen // and on which screen
	title       string
	explanation control.Explanation
	err         error
}

// explain asks why messages do or do not arrive.
func (e *env) explain(appID string, ib, user called, group string) tea.Cmd {
	who := e.userName(user)
	if user.id == "" && group != "" {
		who = cells.Plain(group)
	}
	e.busy(e.waitsForDaemon())
	from, shown := e.dialog, e.shown
	title := e.t("tui.explain_title", "who", who, "ib", ib.plain())
	return ask(func(ctx context.Context) tea.Msg {
		explanation, err := e.daemon.Explain(ctx, appID, ib.id, user.id, group)
		return explainedMsg{from, shown, title, explanation, err}
	})
}

// explained shows the answer to explain, unless the person has gone on to
// something else.
func (e *env) explained(msg explainedMsg) {
	e.notice = notice{}
	if e.dialog != msg.from || e.shown != msg.screen {
		return
	}
	if msg.err != nil {
		e.complain(e.problem(msg.err))
		return
	}
	var lines []string
	for _, line := range e.words.Explanation(msg.explanation, e.now()) {
		lines = append(lines, cells.Plain(line))
	}
	text := strings.Join(append([]string{msg.title, ""}, lines...), "\n")
	e.open(&reader{env: e, title: msg.title, lines: lines,
		more: keyTable{{keys: "c", text: "tui.key_copy", do: func() tea.Cmd {
			e.copied(e.t("tui.explanation"), text)
			return nil
		}}}})
}
