package tui

import (
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// env is what all screens and dialogs share.
type env struct {
	daemon Daemon
	text   *locale.Localizer
	words  say.Words
	style  styles
	now    func() time.Time
	copy   func(text string) error
	host   string // the name of the machine

	cluster *control.Cluster // that the daemon is a node of; nil: it is alone, or this is not known yet
	apps    []control.App
	changes int    // counts the changes of apps that were made here
	shown   screen // the one of the tab that is open
	dialog  dialog // on top of the screen; nil: none
	notice  notice
	copies  bool // something was copied
}

// t returns a text of the catalogue.
func (e *env) t(id string, args ...any) string { return e.text.T(id, args...) }

// open puts a dialog on top of the screen.
func (e *env) open(d dialog) tea.Cmd {
	e.dialog = d
	return nil
}

// close ends the dialog.
func (e *env) close() tea.Cmd { return e.open(nil) }

// appByID returns an app if there is one with that id.
func (e *env) appByID(id string) (control.App, bool) {
	for _, a := range e.apps {
		if a.ID == id {
			return a, true
		}
	}
	return control.App{}, false
}

// appTitle is what an app is called.
func (e *env) appTitle(id string) string { return cells.Plain(e.words.App(id)) }

// called is an id with the name that people have for it, if there is one.
type called struct{ id, name string }

// plain is the name, or the id where there is none.
func (c called) plain() string { return cells.Plain(say.Name(c.id, c.name)) }

func userOf(one control.Session) called { return called{one.UserID, one.UserName} }
func ibOf(one control.Session) called   { return called{one.IbID, one.IbName} }

// userName is what a user is called.
func (e *env) userName(user called) string {
	if user == (called{}) {
		return e.t("live.no_user")
	}
	return user.plain()
}

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
