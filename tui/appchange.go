package tui

import (
	"context"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// What changes an app.

// askTitle creates an app when its title has been given.
func (a *appsScreen) askTitle() tea.Cmd {
	p := &prompt{env: a.env, title: a.t("tui.create_title"), text: a.t("tui.create_text"), input: newInput("")}
	p.accept = func(title string) tea.Cmd {
		return a.act(a.waitsForAll(), func(ctx context.Context) doneMsg {
			created, err := a.daemon.CreateApp(ctx, title)
			done := a.andPending(a.t("tui.created", "title", cells.Plain(created.Title)), created.PendingNodes)
			return doneMsg{err: err, notice: done, after: func() tea.Cmd {
				a.changed(created)
				if a.dialog == p { // else the person has gone on to something else
					a.filter.clear()
					a.openDetail(created)
					a.settle()
				}
				return nil
			}}
		})
	}
	return a.open(p)
}

// changed shows an app as a change has made it.
func (a *appsScreen) changed(one control.App) {
	a.put(one)
	a.settle()
}

func (a *appsScreen) askRename(one control.App) tea.Cmd {
	rename := func(title string) tea.Cmd {
		return a.change(func(ctx context.Context) (control.App, string, error) {
			renamed, err := a.daemon.RenameApp(ctx, one.ID, title)
			return renamed, a.t("tui.renamed", "title", cells.Plain(renamed.Title)), err
		})
	}
	return a.open(&prompt{env: a.env, title: a.t("tui.rename_title"), input: newInput(one.Title), accept: rename})
}

// change has the daemon change an app, shows it and says what was done.
func (a *appsScreen) change(do func(ctx context.Context) (one control.App, done string, err error)) tea.Cmd {
	return a.act(a.waitsForAll(), func(ctx context.Context) doneMsg {
		one, done, err := do(ctx)
		return doneMsg{err: err, notice: a.andPending(done, one.PendingNodes), after: func() tea.Cmd {
			a.changed(one)
			return nil
		}}
	})
}

// shortID is as much of an app's id as distinguishes it from others.
const shortID = 8

func (a *appsScreen) askRemove(one control.App) tea.Cmd {
	title := cells.Plain(one.Title)
	remove := func(string) tea.Cmd {
		return a.act(a.waitsForAll(), func(ctx context.Context) doneMsg {
			removed, err := a.daemon.RemoveApp(ctx, one.ID)
			done := a.andPending(a.t("tui.removed", "title", title), removed.PendingNodes)
			return doneMsg{err: err, notice: done, after: func() tea.Cmd {
				a.remove(one.ID)
				if a.opened == one.ID {
					a.closeDetail()
				}
				a.settle()
				return nil
			}}
		})
	}
	return a.open(&prompt{
		env:    a.env,
		title:  a.t("tui.remove_title", "title", title),
		text:   a.t("tui.remove_text", "title", title, "id", one.ID, "sessions", a.cutsOff(one.Sessions)),
		input:  newInput(""),
		want:   []string{one.Title, title, one.ID, one.ID[:min(len(one.ID), shortID)]},
		accept: remove,
	})
}
