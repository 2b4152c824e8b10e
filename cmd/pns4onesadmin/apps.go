package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// appCommands are the commands of the old product, and those that belong to them.
func (p *program) appCommands() []*cobra.Command {
	return []*cobra.Command{
		p.command("list", nil, func(cmd *cobra.Command, _ []string) error { return p.list(cmd.Context()) }),
		p.create(),
		p.withApp("show", nil, func(_ context.Context, _ registry, a control.App, _ []string) error {
			return p.printApp(a)
		}),
		p.withApp("rename", []string{"title"}, p.rename),
		p.rotateServerKey(),
		p.rotateClientKey(),
		p.withApp("reset_token", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
			reset, err := r.ResetToken(ctx, a.ID)
			if err != nil {
				return err
			}
			p.say("admin.tokens_reset", "title", locale.Clean(a.Title))
			if p.json {
				return p.printJSON(reset)
			}
			return nil
		}),
		p.remove(),
	}
}

// What a command does with the apps, and with one of them.
type (
	workOnApps func(ctx context.Context, r registry, args []string) error
	workOnApp  func(ctx context.Context, r registry, a control.App, args []string) error
)

// withRegistry makes a command that works on the apps.
func (p *program) withRegistry(name string, arguments []string, do workOnApps) *cobra.Command {
	return p.command(name, arguments, func(cmd *cobra.Command, args []string) error {
		r, err := p.openRegistry()
		if err != nil {
			return err
		}
		defer r.Close()
		return do(cmd.Context(), r, args)
	})
}

// withApp makes a command whose first argument is an app.
func (p *program) withApp(name string, arguments []string, do workOnApp) *cobra.Command {
	arguments = append([]string{"app"}, arguments...)
	return p.withRegistry(name, arguments, func(ctx context.Context, r registry, args []string) error {
		a, err := find(ctx, r, args[0])
		if err != nil {
			return err
		}
		return do(ctx, r, a, args[1:])
	})
}

func (p *program) list(ctx context.Context) error {
	r, err := p.openRegistry()
	if err != nil {
		return err
	}
	defer r.Close()
	apps, err := r.Apps(ctx)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(apps)
	}
	if len(apps) == 0 {
		p.say("admin.no_apps", "program", commandName)
	}
	if p.forScripts() {
		p.printListAsBefore(apps)
		return nil
	}
	for i, a := range apps {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		p.printBlock(p.appFields(a))
	}
	return nil
}

func (p *program) create() *cobra.Command {
	return p.withRegistry("create", []string{"title"}, func(ctx context.Context, r registry, args []string) error {
		a, err := r.CreateApp(ctx, args[0])
		if err != nil {
			return err
		}
		if p.forScripts() {
			p.printCreatedAsBefore(a)
		} else if err := p.printApp(a); err != nil {
			return err
		}
		p.say("admin.created")
		return nil
	})
}

func (p *program) rename(ctx context.Context, r registry, a control.App, args []string) error {
	renamed, err := r.RenameApp(ctx, a.ID, args[0])
	if err != nil {
		return err
	}
	return p.printApp(renamed)
}

// printApp writes an app for a person or a script.
func (p *program) printApp(a control.App) error {
	if p.json {
		return p.printJSON(a)
	}
	p.printBlock(p.appFields(a))
	return nil
}

func (p *program) appFields(a control.App) []field {
	fields := []field{
		{p.text.T("admin.field_title"), locale.Clean(a.Title)},
		{p.text.T("admin.field_id"), a.ID},
		{p.text.T("admin.field_server_key"), a.ServerKey},
		{p.text.T("admin.field_client_key"), a.ClientKey},
		{p.text.T("admin.field_created"), formatTime(a.CreatedAt)},
		{p.text.T("admin.field_sessions"), fmt.Sprint(a.Sessions)},
	}
	if a.OldServerKeyUntil != nil {
		value := p.text.T("admin.until", "time", formatTime(*a.OldServerKeyUntil))
		fields = append(fields, field{p.text.T("admin.field_old_server_key"), value})
	}
	if a.OldClientKeyUntil != nil {
		value := p.text.T("admin.until", "time", formatTime(*a.OldClientKeyUntil))
		if a.OldClientKeySessions != nil {
			sessions := p.text.T("live.n_sessions", "N", *a.OldClientKeySessions)
			value += ", " + p.text.T("admin.with_old_key", "sessions", sessions)
		}
		fields = append(fields, field{p.text.T("admin.field_old_client_key"), value})
	}
	return fields
}

func (p *program) rotateServerKey() *cobra.Command {
	var grace time.Duration
	cmd := p.withApp("upd_srv_key", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
		change, err := r.RotateServerKey(ctx, a.ID, grace)
		if err != nil {
			return err
		}
		if p.forScripts() {
			p.printServerKeyAsBefore(change.App)
		} else if err := p.printApp(change.App); err != nil {
			return err
		}
		if grace > 0 {
			p.say("admin.server_key_grace", "time", formatTime(*change.OldServerKeyUntil))
		} else {
			p.say("admin.server_key_changed")
		}
		return nil
	})
	durationFlag(cmd.Flags(), &grace, "grace", p.text.T("admin.flag_grace"))
	return cmd
}

func (p *program) rotateClientKey() *cobra.Command {
	var grace time.Duration
	var yes bool
	cmd := p.withApp("upd_cli_key", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
		// Scripts of the old product go on as they did; a person is asked.
		if grace == 0 && a.Sessions > 0 && !yes && p.onTerminal() &&
			!p.confirm("admin.confirm_client_key", "N", a.Sessions, "title", locale.Clean(a.Title)) {
			return failure("admin.not_confirmed")
		}
		change, err := r.RotateClientKey(ctx, a.ID, grace)
		if err != nil {
			return err
		}
		if p.forScripts() {
			p.printClientKeyAsBefore(change.App)
		} else if err := p.printApp(change.App); err != nil {
			return err
		}
		if grace > 0 {
			p.say("admin.client_key_grace", "time", formatTime(*change.OldClientKeyUntil))
		} else {
			changed := either(change.ClosedSessions == 0, "admin.client_key_changed_idle", "admin.client_key_changed")
			p.say(changed, "N", change.ClosedSessions)
		}
		return nil
	})
	durationFlag(cmd.Flags(), &grace, "grace", p.text.T("admin.flag_grace"))
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

func (p *program) remove() *cobra.Command {
	var yes bool
	cmd := p.withRegistry("remove", []string{"app"}, func(ctx context.Context, r registry, args []string) error {
		a, err := find(ctx, r, args[0])
		if err != nil {
			return err
		}
		if !yes {
			// The old product names apps by the full id, and asks nothing.
			inFull := strings.EqualFold(args[0], a.ID)
			if !p.onTerminal() && !inFull {
				return wrongUsage("admin.needs_yes")
			}
			question := either(a.Sessions == 0, "admin.confirm_remove_idle", "admin.confirm_remove")
			if p.onTerminal() && !p.confirm(question, "N", a.Sessions, "title", locale.Clean(a.Title)) {
				return failure("admin.not_confirmed")
			}
		}
		change, err := r.RemoveApp(ctx, a.ID)
		if err != nil {
			return err
		}
		removed := either(change.ClosedSessions == 0, "admin.removed_idle", "admin.removed")
		p.say(removed, "title", locale.Clean(a.Title), "N", change.ClosedSessions)
		if p.json {
			return p.printJSON(change)
		}
		return nil
	})
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

// either chooses between two texts.
func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
