package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/describe"
)

// registry is where the app commands do their work: a running daemon, or, with
// --db, the database of a stopped one.
type registry interface {
	Apps(ctx context.Context) ([]control.App, error)
	CreateApp(ctx context.Context, title string) (control.App, error)
	RenameApp(ctx context.Context, id, title string) (control.App, error)
	RemoveApp(ctx context.Context, id string) (control.AppChange, error)
	RotateServerKey(ctx context.Context, id string, grace time.Duration) (control.AppChange, error)
	RotateClientKey(ctx context.Context, id string, grace time.Duration) (control.AppChange, error)
	Rotate(ctx context.Context, rotations []control.Rotation, grace time.Duration) ([]control.AppChange, error)
	RevokeOld(ctx context.Context, id string, server, client bool) (control.AppChange, error)
	ResetToken(ctx context.Context, id string) (control.App, error)
	Import(ctx context.Context, file io.Reader) (control.ImportReport, error)
	Export(ctx context.Context, w io.Writer) error
	Names(ctx context.Context, appID string) ([]control.Name, error)
	ImportNames(ctx context.Context, appID string, file io.Reader, merge bool) (control.NamesReport, error)
	ExportNames(ctx context.Context, appID string, w io.Writer) error
	ClearNames(ctx context.Context, appID string) (control.NamesReport, error)
	SetName(ctx context.Context, appID string, n control.Name) (control.NamesReport, error)
	Close()
}

// openRegistry opens what the flags ask for. Close it in the end.
func (p *program) openRegistry() (registry, error) {
	if p.db == "" {
		return p.client(), nil
	}
	if _, err := os.Stat(p.db); err != nil {
		return nil, failure("admin.db_missing", "path", p.db, "error", files.WithoutPath(err))
	}
	apps, err := app.Open(p.db, app.Options{})
	if err != nil {
		return nil, err
	}
	if apps.LastChangeInDoubt() {
		p.say("admin.warning", "what", p.text.T("admin.last_change_in_doubt"))
	}
	return database{apps}, nil
}

// database is an opened database as a registry.
type database struct{ apps *app.Registry }

func (d database) Close() { d.apps.Close() }

func describeApp(a *app.App) control.App { return describe.App(a, describe.Use{}) }

func described(a *app.App, err error) (control.App, error) {
	if err != nil {
		return control.App{}, err
	}
	return describeApp(a), nil
}

func changed(a *app.App, err error) (control.AppChange, error) {
	object, err := described(a, err)
	return control.AppChange{App: object}, err
}

func (d database) Apps(context.Context) ([]control.App, error) {
	objects := []control.App{}
	for _, a := range d.apps.List() {
		objects = append(objects, describeApp(a))
	}
	return objects, nil
}

func (d database) CreateApp(_ context.Context, title string) (control.App, error) {
	return described(d.apps.Create(title))
}

func (d database) RenameApp(_ context.Context, id, title string) (control.App, error) {
	return described(d.apps.Rename(id, title))
}

func (d database) RemoveApp(_ context.Context, id string) (control.AppChange, error) {
	a, ok := d.apps.Get(id)
	if !ok {
		return control.AppChange{}, app.ErrNotFound
	}
	return changed(a, d.apps.Remove(id))
}

func (d database) RotateServerKey(_ context.Context, id string, grace time.Duration) (control.AppChange, error) {
	return changed(d.apps.RotateServerKey(id, grace))
}

func (d database) RotateClientKey(_ context.Context, id string, grace time.Duration) (control.AppChange, error) {
	return changed(d.apps.RotateClientKey(id, grace))
}

func (d database) Rotate(_ context.Context, rotations []control.Rotation, grace time.Duration) ([]control.AppChange,
	error) {
	var which []app.Rotation
	for _, rotation := range rotations {
		which = append(which, app.Rotation(rotation))
	}
	apps, err := d.apps.RotateAll(which, grace)
	if err != nil {
		return nil, err
	}
	changes := []control.AppChange{}
	for _, a := range apps {
		changes = append(changes, control.AppChange{App: describeApp(a)})
	}
	return changes, nil
}

func (d database) RevokeOld(_ context.Context, id string, server, client bool) (control.AppChange, error) {
	return changed(d.apps.RevokeOld(id, server, client))
}

func (d database) ResetToken(_ context.Context, id string) (control.App, error) {
	return described(d.apps.ResetToken(id))
}

func (d database) Import(_ context.Context, file io.Reader) (control.ImportReport, error) {
	report, err := d.apps.Import(file)
	if err != nil {
		return control.ImportReport{}, err
	}
	return describe.Import(report, describeApp), nil
}

func (d database) Export(_ context.Context, w io.Writer) error { return d.apps.Export(w) }

func (d database) Names(_ context.Context, appID string) ([]control.Name, error) {
	return describe.Names(d.apps.NamesOf(appID)), nil
}

func (d database) ImportNames(_ context.Context, appID string, rd io.Reader, merge bool) (control.NamesReport, error) {
	file, err := names.Read(rd)
	if err != nil {
		return control.NamesReport{}, err
	}
	return namesChanged(file)(d.apps.SetNames(appID, file.Names, merge))
}

func (d database) ExportNames(_ context.Context, appID string, w io.Writer) error {
	return d.apps.NamesOf(appID).Write(w)
}

func (d database) ClearNames(_ context.Context, appID string) (control.NamesReport, error) {
	return namesChanged(names.File{})(d.apps.SetNames(appID, nil, false))
}

func (d database) SetName(_ context.Context, appID string, n control.Name) (control.NamesReport, error) {
	kind, _ := names.ParseKind(n.Kind) // the command has looked at it
	return namesChanged(names.File{})(d.apps.SetName(appID, names.Name{Kind: kind, ID: n.ID, Name: n.Name}))
}

func namesChanged(file names.File) func(*app.App, error) (control.NamesReport, error) {
	return func(a *app.App, err error) (control.NamesReport, error) {
		if err != nil {
			return control.NamesReport{}, err
		}
		return describe.NamesReport(a, file), nil
	}
}

// find returns the app that ref means: its id, the beginning of it, or its title.
func find(ctx context.Context, r interface {
	Apps(ctx context.Context) ([]control.App, error)
}, ref string) (control.App, error) {
	objects, err := r.Apps(ctx)
	if err != nil {
		return control.App{}, err
	}
	return match(objects, ref)
}

// match is find among apps that are known already.
func match(objects []control.App, ref string) (control.App, error) {
	byID := make(map[string]control.App)
	var apps []*app.App
	for _, object := range objects {
		byID[object.ID] = object
		apps = append(apps, &app.App{ID: object.ID, Title: object.Title})
	}
	found, err := app.Match(apps, ref)
	if err != nil {
		return control.App{}, err
	}
	return byID[found.ID], nil
}
