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

// App describes an app that has that many sessions, some of them on old keys.
func App(a *app.App, sessions, onOldKeys int) control.App {
	object := control.App{
		ID: a.ID, Title: a.Title, ServerKey: a.ServerKeys[0].Key, ClientKey: a.ClientKeys[0].Key,
		CreatedAt: a.CreatedAt.UTC(), Sessions: sessions,
	}
	for _, k := range a.ServerKeys[1:] {
		object.OldServerKeyUntil = later(object.OldServerKeyUntil, k.Until)
	}
	for _, k := range a.ClientKeys[1:] {
		object.OldClientKeyUntil = later(object.OldClientKeyUntil, k.Until)
		object.OldClientKeySessions = &onOldKeys
	}
	return object
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
	object := control.ImportReport{Imported: []control.App{}, Present: []control.App{}, Problems: []control.ImportProblem{}, Omitted: r.Omitted}
	for _, a := range r.Imported {
		object.Imported = append(object.Imported, describe(a))
	}
	for _, a := range r.Present {
		object.Present = append(object.Present, describe(a))
	}
	for _, p := range r.Problems {
		object.Problems = append(object.Problems, control.ImportProblem{Line: p.Line, Code: string(p.Code), Skipped: p.Skipped, Title: p.Title, Detail: p.Detail})
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
		AppID: a.ID, Users: a.Names().Users(), Infobases: a.Names().Infobases(), Read: len(file.Names), Header: file.Header,
	}
}
