package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// older says which keys of an app were made before that time.
func older(a control.App, before time.Time) control.Rotation {
	made := func(since time.Time) time.Time {
		if since.IsZero() { // a daemon of an older version does not tell
			return a.CreatedAt
		}
		return since
	}
	return control.Rotation{
		ID:     a.ID,
		Server: !made(a.ServerKeySince).After(before),
		Client: !made(a.ClientKeySince).After(before),
	}
}

// revokeOldCommand ends old keys before their time.
func (p *program) revokeOldCommand() *cobra.Command {
	var server, client, yes bool
	cmd := p.withApp("revoke_old", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
		if !server && !client {
			server, client = true, true
		}
		sessions := 0
		if client && a.OldClientKeySessions != nil {
			sessions = *a.OldClientKeySessions
		}
		none := (!server || a.OldServerKeyUntil == nil) && (!client || a.OldClientKeyUntil == nil)
		if none {
			p.say("admin.no_old_keys", "title", locale.Clean(a.Title))
		} else if err := p.agree(yes, "admin.confirm_revoke_old", "N", sessions, "title",
			locale.Clean(a.Title)); err != nil {
			return err
		}
		change, err := r.RevokeOld(ctx, a.ID, server, client)
		if err != nil {
			return err
		}
		if !none {
			p.say("admin.old_keys_revoked", "N", change.ClosedSessions, "title", locale.Clean(a.Title))
		}
		if p.json {
			err = p.printJSON(change)
		}
		return cmp.Or(err, p.settled(change.PendingNodes))
	})
	flags := cmd.Flags()
	flags.BoolVar(&server, "server", false, p.text.T("admin.flag_only_server"))
	flags.BoolVar(&client, "client", false, p.text.T("admin.flag_only_client"))
	flags.BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

// agree asks a person before something cuts people off, unless --yes was given.
// Scripts are not asked: what they call says what it does.
func (p *program) agree(yes bool, id string, args ...any) error {
	if !yes && p.onTerminal() && !p.confirm(id, args...) {
		return failure("admin.not_confirmed")
	}
	return nil
}

// rotation is what the flags of rotate say.
type rotation struct {
	all, server, client, yes bool
	olderThan, grace         time.Duration
	out                      string
}

// rotateCommand renews keys of several apps at once, as a job that runs at night does.
func (p *program) rotateCommand() *cobra.Command {
	do := rotation{grace: 7 * 24 * time.Hour}
	cmd := p.command("rotate", nil, func(cmd *cobra.Command, args []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		switch {
		case do.all == (len(args) > 0):
			return wrongUsage("admin.rotate_whom")
		case do.olderThan < 0 || do.grace < 0 || do.grace > app.MaxGrace:
			return wrongUsage("admin.negative_time")
		case do.grace == 0 && !do.yes && !p.onTerminal():
			return wrongUsage("admin.rotate_needs_yes")
		}
		if !do.server && !do.client {
			do.server, do.client = true, true
		}
		r, err := p.openRegistry()
		if err != nil {
			return err
		}
		defer r.Close()
		return p.rotate(cmd.Context(), r, args, do)
	})
	cmd.Use = "rotate <" + p.text.T("admin.arg_app") + ">… | --all"
	cmd.Args = cobra.ArbitraryArgs
	cmd.ValidArgsFunction = p.completeApps
	flags := cmd.Flags()
	flags.BoolVar(&do.all, "all", false, p.text.T("admin.flag_all_apps"))
	durationFlag(flags, &do.olderThan, "older-than", p.text.T("admin.flag_older_than"))
	durationFlag(flags, &do.grace, "grace", p.text.T("admin.flag_rotate_grace"))
	flags.StringVar(&do.out, "out", "", p.text.T("admin.flag_out"))
	flags.BoolVar(&do.server, "server", false, p.text.T("admin.flag_only_server"))
	flags.BoolVar(&do.client, "client", false, p.text.T("admin.flag_only_client"))
	flags.BoolVar(&do.yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

func (p *program) rotate(ctx context.Context, r registry, refs []string, do rotation) error {
	apps, err := r.Apps(ctx)
	if err != nil {
		return err
	}
	if !do.all {
		if apps, err = matchAll(apps, refs); err != nil {
			return err
		}
	}
	var due []control.Rotation
	sessions := 0
	before := time.Now().Add(-do.olderThan)
	for _, a := range apps {
		one := older(a, before)
		one.Server, one.Client = one.Server && do.server, one.Client && do.client
		if !one.Server && !one.Client {
			continue
		}
		due = append(due, one)
		if one.Client {
			sessions += a.Sessions
		}
	}
	if len(due) == 0 {
		// A job that runs each night and finds nothing to do has nothing to say either.
		if p.onTerminal() {
			p.say("admin.rotate_nothing")
		}
		if p.json {
			return p.printJSON([]control.AppChange{})
		}
		return nil
	}
	if do.grace == 0 {
		if err := p.agree(do.yes, "admin.confirm_rotate", "N", sessions, "apps", len(due)); err != nil {
			return err
		}
	}
	return p.rotateInto(ctx, r, due, do)
}

// rotateInto renews the keys and writes them down. The file is made beforehand: keys
// that nobody could write down would be of no use.
func (p *program) rotateInto(ctx context.Context, r registry, due []control.Rotation, do rotation) error {
	var file *reservedFile
	if do.out != "" {
		var err error
		if file, err = reserveFile(do.out); err != nil {
			return err
		}
		defer file.discard()
	}
	changes, err := r.Rotate(ctx, due, do.grace)
	if err != nil {
		return err
	}
	if file != nil {
		content, err := json.MarshalIndent(changes, "", "  ")
		if err != nil {
			return err
		}
		if err := file.publish(append(content, '\n')); err != nil {
			return errors.Join(err, failure("admin.rotated_unwritten", "program", commandName))
		}
		p.say("admin.rotated_into", "N", len(changes), "path", do.out)
	} else if p.json {
		if err := p.printJSON(changes); err != nil {
			return err
		}
	} else {
		for i, change := range changes {
			p.printBlocks(i, change.App)
		}
	}
	if do.grace > 0 {
		p.say("admin.rotated_grace", "time", formatTime(time.Now().Add(do.grace)))
	}
	var pending []string
	for _, change := range changes {
		pending = append(pending, change.PendingNodes...)
	}
	slices.Sort(pending)
	return p.settled(slices.Compact(pending))
}

// matchAll finds the apps that refs mean, each once.
func matchAll(apps []control.App, refs []string) ([]control.App, error) {
	var found []control.App
	seen := make(map[string]bool)
	for _, ref := range refs {
		a, err := match(apps, ref)
		if err != nil {
			return nil, err
		}
		if !seen[a.ID] {
			seen[a.ID] = true
			found = append(found, a)
		}
	}
	return found, nil
}
