package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/describe"
)

// store is where the app commands do their work: a running daemon, or, with
// --db, the database of a stopped one.
type store interface {
	Apps(ctx context.Context) ([]control.App, error)
	CreateApp(ctx context.Context, title string) (control.App, error)
	RenameApp(ctx context.Context, id, title string) (control.App, error)
	RemoveApp(ctx context.Context, id string) (control.AppChange, error)
	RotateServerKey(ctx context.Context, id string, grace time.Duration) (control.AppChange, error)
	RotateClientKey(ctx context.Context, id string, grace time.Duration) (control.AppChange, error)
	ResetToken(ctx context.Context, id string) (control.App, error)
	Import(ctx context.Context, file io.Reader) (control.ImportReport, error)
	Export(ctx context.Context, w io.Writer) error
	Close()
}

// openStore opens what the flags ask for. Close it in the end.
func (p *program) openStore() (store, error) {
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
	return database{apps}, nil
}

// database is an opened database as a store.
type database struct{ apps *app.Registry }

func (d database) Close() { d.apps.Close() }

func describeApp(a *app.App) control.App { return describe.App(a, 0, 0) }

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

// client returns a client of the daemon's control channel.
func (p *program) client() *control.Client {
	client := control.NewClient(p.controlPath())
	client.Lang = p.text.Lang()
	client.OnVersion = func(daemon string) {
		if daemon != version {
			p.say("admin.other_version", "daemon", locale.Clean(daemon), "own", version)
		}
	}
	return client
}

// daemon returns a client for a command that only a running daemon can carry out.
func (p *program) daemon() (*control.Client, error) {
	if p.db != "" {
		return nil, wrongUsage("admin.db_only_apps")
	}
	return p.client(), nil
}

// controlPath finds the control channel: the flag, the variable, the daemon's
// settings file if we may read it, then the usual places.
func (p *program) controlPath() string {
	if p.control != "" {
		return p.control
	}
	candidates := config.ControlCandidates(p.getenv)
	paths, err := config.DefaultPaths(p.getenv)
	if err == nil {
		// The environment is looked at as well; a daemon's settings that are wrong
		// are the daemon's business.
		settings, err := config.Load(config.LoadOptions{Getenv: p.getenv, Paths: paths})
		if err == nil && settings.Config.Control != paths.Control {
			return settings.Config.Control
		}
	}
	if path := p.getenv("PNS4ONES_CONTROL"); path != "" {
		return path
	}
	for _, path := range candidates {
		// What cannot be looked at is there: the folder is closed to us.
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	p.tried = candidates
	return candidates[0]
}

// find returns the app that ref means: its id, the beginning of it, or its title.
func find(ctx context.Context, s interface {
	Apps(ctx context.Context) ([]control.App, error)
}, ref string) (control.App, error) {
	objects, err := s.Apps(ctx)
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
