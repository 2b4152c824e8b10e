// Command pns4ones is the daemon: it delivers notifications to running 1C
// sessions. It reads the settings, sets up logging and the service manager, and
// leaves the work to package netsvc.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
)

// version is set by the linker for a release.
var version = "dev"

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // of the commands that manage the service
)

func main() {
	if len(os.Args) > 1 && managesService(os.Args[1]) {
		args := os.Args[2:]
		text := locale.New(locale.Detect(os.Getenv, config.LangFlag(args)))
		os.Exit(manageService(os.Args[1], args, text, os.Stdout, os.Stderr))
	}
	os.Exit(runAsService(func(ctx context.Context, m manager) int {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		d := &daemonRun{args: os.Args[1:], getenv: os.Getenv, manager: m}
		return d.run(ctx)
	}))
}

// manager is the service manager that the daemon runs under, if any.
type manager struct {
	ready     func()           // the daemon serves
	reloading func()           // the daemon reads its settings again; ready follows
	stopping  func()           // the daemon is about to end
	reload    <-chan os.Signal // asks for the settings to be read again; nil: nobody does
	// stdout is where the daemon greets, stderr where it logs and complains.
	stdout, stderr io.Writer
	// journal: stderr goes to systemd's journal.
	journal bool
	// successors are how sessions go from one process to the next; nil: they do not.
	successors *successors
}

// daemonRun is one run of the program with all that it takes from outside.
type daemonRun struct {
	args   []string
	getenv func(string) string
	manager
}

func (d *daemonRun) run(ctx context.Context) int {
	text := locale.New(locale.Detect(d.getenv, config.LangFlag(d.args)))
	paths, pathsErr := config.DefaultPaths(d.getenv)
	settings, err := config.Load(config.LoadOptions{Args: d.args, Getenv: d.getenv, Environ: os.Environ(), Paths: paths})
	if err != nil {
		return d.fail(text, settings, err)
	}
	if pathsErr != nil && settings.Mode != config.ModeHelp && settings.Mode != config.ModeVersion {
		return d.fail(text, nil, pathsErr)
	}
	switch settings.Mode {
	case config.ModeHelp:
		config.WriteHelp(d.stdout, text, programName())
		return exitDone
	case config.ModeVersion:
		fmt.Fprintln(d.stdout, "pns4ones", version)
		return exitDone
	case config.ModePrintConfig:
		d.warn(text, settings)
		config.WriteTOML(d.stdout, settings, text)
		return exitDone
	case config.ModeReservePorts:
		return d.reservePorts(text, settings)
	case config.ModeCheck:
		return d.check(text, settings)
	}
	return d.serve(ctx, text, settings, paths)
}

// fail tells the person what is wrong. Its errors come before or instead of
// logging, so they are not log records.
func (d *daemonRun) fail(text *locale.Localizer, settings *config.Result, err error) int {
	fmt.Fprintln(d.stderr, explain(text, settings, err))
	return exitFailed
}

func (d *daemonRun) warn(text *locale.Localizer, settings *config.Result) {
	for _, w := range settings.Warnings {
		fmt.Fprintln(d.stderr, text.T("daemon.warning", "what", text.Error(w)))
	}
}

// serve runs the daemon until ctx ends.
func (d *daemonRun) serve(ctx context.Context, text *locale.Localizer, settings *config.Result, paths config.Paths) int {
	d.warn(text, settings)
	inherited, err := d.successors.inherit()
	if err != nil {
		fmt.Fprintln(d.stderr, text.T("daemon.not_inherited", "error", err))
	}
	o := netsvc.Options{
		Inherited: inherited, Config: settings.Config, Version: version, OldKeys: oldKeysPlaces(settings, paths),
		NotRead: settings.NotRead, Log: newLogHandler(d.stderr, d.journal),
		Load: func() (*config.Result, error) {
			return config.Load(config.LoadOptions{Args: d.args, Getenv: d.getenv, Environ: os.Environ(), Paths: paths})
		},
		Explain: func(lang locale.Lang, settings *config.Result, err error) string {
			return explain(locale.New(lang), settings, err)
		},
	}
	for {
		left, inForce, status := d.serveOnce(ctx, text, settings, o)
		if left == nil {
			return status
		}
		err := d.successors.passOn(left)
		if err == nil {
			return exitDone
		}
		if !d.successors.goOn() {
			fmt.Fprintln(d.stderr, text.T("daemon.not_handed_over", "N", left.Sessions(), "error", err))
			return exitFailed
		}
		fmt.Fprintln(d.stderr, text.T("daemon.upgrade_failed", "error", err))
		o.Inherited, o.Config, o.UpgradeFailed = left, inForce, err
	}
}

// oldKeysPlaces are where the old product's keys file may be: beside the settings
// file, which -config may have named, and in the settings folder.
func oldKeysPlaces(settings *config.Result, paths config.Paths) []string {
	const name = "keys"
	var folders, places []string
	if settings.File != "" {
		folders = append(folders, filepath.Dir(settings.File))
	}
	if paths.Settings != "" {
		folders = append(folders, paths.Settings)
	}
	for _, folder := range folders {
		place, err := filepath.Abs(filepath.Join(folder, name))
		if err == nil && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return places
}

// serveOnce serves until ctx ends, or until another process is to take over: then
// it returns what it has left and the settings that were in force.
func (d *daemonRun) serveOnce(ctx context.Context, text *locale.Localizer, settings *config.Result, o netsvc.Options) (left *netsvc.Estate, inForce config.Config, status int) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	o.Upgrade = d.successors.upgrade(end)
	server, err := netsvc.Open(ctx, o)
	if err != nil {
		d.successors.giveBack(o.Inherited)
		return nil, inForce, d.fail(text, settings, err)
	}
	if err := d.successors.awaitTurn(); err != nil {
		return nil, inForce, d.fail(text, settings, err)
	}
	if o.UpgradeFailed == nil {
		d.welcome(text, settings, server)
	}
	if o.Inherited != nil {
		fmt.Fprintln(d.stdout, text.T("daemon.inherited", "N", o.Inherited.Sessions(), "version", o.Inherited.Version()))
	}
	d.ready()
	// The server has to know what becomes of its sessions before it is stopped.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	context.AfterFunc(ctx, func() {
		if d.successors.upgrades() {
			d.reloading() // for the manager the service goes on
		} else {
			d.stopping()
		}
		if d.successors.expected() {
			server.KeepSessions()
		}
		stopServing()
	})
	reloading, stopReloading := context.WithCancel(ctx)
	var reloader sync.WaitGroup
	reloader.Go(func() { d.reloadOnSignal(reloading, server) })
	defer reloader.Wait()
	defer stopReloading()
	if err := server.Run(serving); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(d.stderr, text.T("daemon.stopped", "error", err))
		return nil, inForce, exitFailed
	}
	return server.Left(), server.Settings(), exitDone
}

// reloadOnSignal reads the settings again at each SIGHUP until ctx ends. What
// comes of it is in the log.
func (d *daemonRun) reloadOnSignal(ctx context.Context, server *netsvc.Server) {
	for {
		select {
		case <-d.reload:
			d.reloading()
			server.Reload()
			d.ready()
		case <-ctx.Done():
			return
		}
	}
}

// programName is how the person called the program, for the help.
func programName() string { return filepath.Base(os.Args[0]) }
