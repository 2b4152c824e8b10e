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
	"time"

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
	// succession is how sessions go from one process to the next, for tests.
	succession netsvc.SuccessionOptions
	// retryEvery is how often it tries again what failed at a hand-over, for tests.
	retryEvery time.Duration
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
	settings, err := config.Load(config.LoadOptions{Args: d.args, Getenv: d.getenv, Environ: os.Environ(),
		Paths: paths})
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

// fail says to the person what is wrong. Its errors come before or instead of
// logging, so they are not log records.
func (d *daemonRun) fail(text *locale.Localizer, settings *config.Result, err error) int {
	fmt.Fprintln(d.stderr, errorText(text, settings, err))
	return exitFailed
}

func (d *daemonRun) warn(text *locale.Localizer, settings *config.Result) {
	for _, w := range settings.Warnings {
		fmt.Fprintln(d.stderr, text.T("daemon.warning", "what", text.Error(w)))
	}
}

// serve runs the daemon until ctx ends, or another process has taken its sessions over.
func (d *daemonRun) serve(ctx context.Context, text *locale.Localizer, settings *config.Result,
	paths config.Paths) int {
	d.warn(text, settings)
	netsvc.LimitMemory()
	succession, err := netsvc.NewSuccession(os.Args, d.succession)
	if err != nil {
		return d.fail(text, settings, err)
	}
	lines := newLogQueue(d.stderr)
	defer lines.Close()
	var server *netsvc.Server
	server, err = netsvc.Open(ctx, netsvc.Options{
		Config: settings.Config, Version: version, OldKeys: oldKeysPlaces(settings, paths),
		NotRead: settings.NotRead, Log: newLogHandler(lines, d.journal),
		Load: func() (*config.Result, error) {
			return config.Load(config.LoadOptions{Args: d.args, Getenv: d.getenv, Environ: os.Environ(), Paths: paths})
		},
		ErrorText: func(lang locale.Lang, settings *config.Result, err error) string {
			return errorText(locale.New(lang), settings, err)
		},
		Succession: succession, RetryEvery: d.retryEvery,
		Serving: func() {
			d.ready()
			d.welcome(text, settings, server)
		},
	})
	if err != nil {
		return d.fail(text, settings, err)
	}
	ending := context.AfterFunc(ctx, d.stopping)
	defer ending()
	reloading, stopReloading := context.WithCancel(ctx)
	var reloader sync.WaitGroup
	reloader.Go(func() { d.reloadOnSignal(reloading, server) })
	defer reloader.Wait()
	defer stopReloading()
	err = server.Run(ctx)
	switch {
	case errors.Is(err, netsvc.ErrTakenOver) && succession.Managed():
		// systemd looks at this only if it does not follow the other process, and then
		// starts the service again.
		return exitFailed
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, netsvc.ErrTakenOver):
		return exitDone
	}
	fmt.Fprintln(d.stderr, text.T("daemon.stopped", "error", err))
	return exitFailed
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
