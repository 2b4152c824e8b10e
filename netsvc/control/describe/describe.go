// Package describe turns what package app has into the objects of the control
// channel: for the channel's server, and for the admin program when it works on
// the database itself. So neither the objects know the database, nor the admin
// program the daemon.
package describe

import (
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Use is how an app and its keys are used. A database alone knows nothing of it.
type Use struct {
	Tokens      []app.TokenUse // of each server key, in the order of App.ServerKeys; nil: not known
	Sessions    int
	KeySessions map[int]int // by generation of the client key
}

// App describes an app.
func App(a *app.App, use Use) control.App {
	object := control.App{
		ID: a.ID, Title: a.Title, ServerKey: a.ServerKeys[0].Key, ClientKey: a.ClientKeys[0].Key,
		CreatedAt: a.CreatedAt.UTC(), Sessions: use.Sessions,
		ServerKeySince: a.ServerKeys[0].Since, ClientKeySince: a.ClientKeys[0].Since,
	}
	object.ServerKeyTokens, object.ServerKeyLastUsedAt = use.tokens(0)
	for i, k := range a.ServerKeys[1:] {
		old := control.OldServerKey{Since: k.Since, Until: k.Until}
		old.Tokens, old.LastUsedAt = use.tokens(i + 1)
		object.OldServerKeys = append(object.OldServerKeys, old)
		object.OldServerKeyUntil = later(object.OldServerKeyUntil, k.Until)
	}
	onOldKeys := 0
	for _, k := range a.ClientKeys[1:] {
		old := control.OldClientKey{Generation: k.Generation, Since: k.Since, Until: k.Until,
			Sessions: use.KeySessions[k.Generation]}
		onOldKeys += old.Sessions
		object.OldClientKeys = append(object.OldClientKeys, old)
		object.OldClientKeyUntil = later(object.OldClientKeyUntil, k.Until)
		object.OldClientKeySessions = &onOldKeys
	}
	return object
}

// tokens is how the server key at place i was used.
func (u Use) tokens(i int) (recent int, last *time.Time) {
	if i >= len(u.Tokens) || u.Tokens[i].Last.IsZero() {
		return 0, nil
	}
	at := u.Tokens[i].Last.UTC()
	return u.Tokens[i].Recent, &at
}

// later returns the later of two times, the first of which may be unset.
func later(have *time.Time, t time.Time) *time.Time {
	if have == nil || t.After(*have) {
		t = t.UTC()
		return &t
	}
	return have
}

// Import describes what app.Registry.Import returned; describe does it
// for an app.
func Import(r app.ImportReport, describe func(*app.App) control.App) control.ImportReport {
	object := control.ImportReport{Imported: []control.App{}, Present: []control.App{},
		Problems: []control.ImportProblem{}, Omitted: r.Omitted}
	for _, a := range r.Imported {
		object.Imported = append(object.Imported, describe(a))
	}
	for _, a := range r.Present {
		object.Present = append(object.Present, describe(a))
	}
	for _, p := range r.Problems {
		object.Problems = append(object.Problems, control.ImportProblem{Line: p.Line, Code: string(p.Code),
			Skipped: p.Skipped, Title: p.Title, Detail: p.Detail})
	}
	return object
}

// Names describes a table of names.
func Names(t *names.Table) []control.Name {
	objects := make([]control.Name, 0, t.Len())
	for _, n := range t.Sorted() {
		objects = append(objects, control.Name{Kind: n.Kind.String(), ID: n.ID, Name: n.Name})
	}
	return objects
}

// NamesReport describes the names of an app after a change; file is what was imported,
// if that was how they changed.
func NamesReport(a *app.App, file names.File) control.NamesReport {
	return control.NamesReport{
		AppID: a.ID, Users: a.Names().Users(), Infobases: a.Names().Infobases(), Read: len(file.Names),
		Header: file.Header,
	}
}
