package tui

import tea "github.com/charmbracelet/bubbletea"

// screen is what a tab shows. Sizes are those of the part of the terminal that is
// the screen's own.
type screen interface {
	// tab is what the screen is called.
	tab() string
	// keys are the screen's own keys as they are now.
	keys() keyTable
	// typing reports whether letters are text now, and no commands.
	typing() bool
	resize(width, height int)
	// enter begins to show the screen, leave ends it.
	enter() tea.Cmd
	leave()
	// write takes a key that is in no table: text, or how it is edited.
	write(k tea.KeyMsg) tea.Cmd
	// click presses the mouse in a line of the screen, or turns its wheel: up with
	// -1, down with 1.
	click(line int, wheel int) tea.Cmd
	update(msg tea.Msg) tea.Cmd
	view() []string
}

// Messages by which a screen leads to another one.
type (
	// sessionsOfMsg shows the sessions of an app, or of one of its infobases.
	sessionsOfMsg struct {
		appID string
		ib    called
		user  string // or a part of the id or the name; empty: all
	}
	// openAppMsg shows an app in detail.
	openAppMsg struct{ id string }
	// writeToMsg begins a message.
	writeToMsg struct {
		appID    string
		ib, user called
	}
	// journalMsg shows some records of the log, those of a query.
	journalMsg struct{ only }
	// writeToManyMsg begins a message to several users.
	writeToManyMsg struct{ to []manyRecipient }
	// backMsg shows the screen that was shown before.
	backMsg struct{}
)

// lead is a command that leads to another screen.
func lead(msg tea.Msg) tea.Cmd { return func() tea.Msg { return msg } }
