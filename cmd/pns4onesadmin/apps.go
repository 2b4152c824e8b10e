package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// appCommands are the commands of the old product, and those that belong to them.
func (p *program) appCommands() []*cobra.Command {
	return []*cobra.Command{
		p.command("list", nil, func(cmd *cobra.Command, _ []string) error { return p.list(cmd.Context()) }),
		p.create(),
		p.withApp("show", nil, func(_ context.Context, _ store, a control.App, _ []string) error { return p.printApp(a) }),
		p.withApp("rename", []string{"title"}, func(ctx context.Context, s store, a control.App, args []string) error {
			renamed, err := s.RenameApp(ctx, a.ID, args[0])
			if err != nil {
				return err
			}
			return p.printApp(renamed)
		}),
		p.rotateServerKey(),
		p.rotateClientKey(),
		p.withApp("reset_token", nil, func(ctx context.Context, s store, a control.App, _ []string) error {
			reset, err := s.ResetToken(ctx, a.ID)
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

// withStore makes a command that needs a store.
func (p *program) withStore(name string, arguments []string, do func(ctx context.Context, s store, args []string) error) *cobra.Command {
	return p.command(name, arguments, func(cmd *cobra.Command, args []string) error {
		s, err := p.openStore()
		if err != nil {
			return err
		}
		defer s.Close()
		return do(cmd.Context(), s, args)
	})
}

// withApp makes a command whose first argument is an app.
func (p *program) withApp(name string, arguments []string, do func(ctx context.Context, s store, a control.App, args []string) error) *cobra.Command {
	return p.withStore(name, append([]string{"app"}, arguments...), func(ctx context.Context, s store, args []string) error {
		a, err := find(ctx, s, args[0])
		if err != nil {
			return err
		}
		return do(ctx, s, a, args[1:])
	})
}

func (p *program) list(ctx context.Context) error {
	s, err := p.openStore()
	if err != nil {
		return err
	}
	defer s.Close()
	apps, err := s.Apps(ctx)
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
	return p.withStore("create", []string{"title"}, func(ctx context.Context, s store, args []string) error {
		a, err := s.CreateApp(ctx, args[0])
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
		fields = append(fields, field{p.text.T("admin.field_old_server_key"), p.text.T("admin.until", "time", formatTime(*a.OldServerKeyUntil))})
	}
	if a.OldClientKeyUntil != nil {
		value := p.text.T("admin.until", "time", formatTime(*a.OldClientKeyUntil))
		if a.OldClientKeySessions != nil {
			value += ", " + p.text.T("admin.with_old_key", "sessions", p.text.T("live.n_sessions", "N", *a.OldClientKeySessions))
		}
		fields = append(fields, field{p.text.T("admin.field_old_client_key"), value})
	}
	return fields
}

func (p *program) rotateServerKey() *cobra.Command {
	var grace time.Duration
	cmd := p.withApp("upd_srv_key", nil, func(ctx context.Context, s store, a control.App, _ []string) error {
		change, err := s.RotateServerKey(ctx, a.ID, grace)
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
	cmd.Flags().DurationVar(&grace, "grace", 0, p.text.T("admin.flag_grace"))
	return cmd
}

func (p *program) rotateClientKey() *cobra.Command {
	var grace time.Duration
	var yes bool
	cmd := p.withApp("upd_cli_key", nil, func(ctx context.Context, s store, a control.App, _ []string) error {
		// Scripts of the old product go on as they did; a person is asked.
		if grace == 0 && a.Sessions > 0 && !yes && p.onTerminal() &&
			!p.confirm("admin.confirm_client_key", "N", a.Sessions, "title", locale.Clean(a.Title)) {
			return failure("admin.not_confirmed")
		}
		change, err := s.RotateClientKey(ctx, a.ID, grace)
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
			p.say(either(change.ClosedSessions == 0, "admin.client_key_changed_idle", "admin.client_key_changed"), "N", change.ClosedSessions)
		}
		return nil
	})
	cmd.Flags().DurationVar(&grace, "grace", 0, p.text.T("admin.flag_grace"))
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

func (p *program) remove() *cobra.Command {
	var yes bool
	cmd := p.withStore("remove", []string{"app"}, func(ctx context.Context, s store, args []string) error {
		a, err := find(ctx, s, args[0])
		if err != nil {
			return err
		}
		if !yes {
			// The old product names apps by the full id, and asks nothing.
			inFull := strings.EqualFold(args[0], a.ID)
			if !p.onTerminal() && !inFull {
				return wrongUsage("admin.needs_yes")
			}
			if p.onTerminal() && !p.confirm(either(a.Sessions == 0, "admin.confirm_remove_idle", "admin.confirm_remove"), "N", a.Sessions, "title", locale.Clean(a.Title)) {
				return failure("admin.not_confirmed")
			}
		}
		change, err := s.RemoveApp(ctx, a.ID)
		if err != nil {
			return err
		}
		p.say(either(change.ClosedSessions == 0, "admin.removed_idle", "admin.removed"), "title", locale.Clean(a.Title), "N", change.ClosedSessions)
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

// onTerminal tells whether a person can be asked.
func (p *program) onTerminal() bool {
	in, inFile := p.stdin.(*os.File)
	out, outFile := p.stderr.(*os.File)
	return inFile && outFile && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// confirm asks and takes anything but a plain yes for no.
func (p *program) confirm(id string, args ...any) bool {
	fmt.Fprint(p.stderr, p.text.T(id, args...), " ", p.text.T("admin.yes_no"), " ")
	answer, _ := bufio.NewReader(p.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "д", "да":
		return true
	}
	return false
}
