package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

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

// withDaemon runs what needs a running daemon.
func (p *program) withDaemon(do func(client *control.Client) error) error {
	client, err := p.daemon()
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

// untilInterrupted runs what goes on until the person has seen enough. Only here an
// interrupt is a good end; elsewhere it kills.
func untilInterrupted(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := do(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, control.ErrEnded):
		return failure("admin.stream_ended")
	}
	return err
}
