package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// appCommands are the commands of the old product, and those that belong to them.
func (p *program) appCommands() []*cobra.Command {
	return []*cobra.Command{
		p.listCommand(),
		p.create(),
		p.show(),
		p.renameCommand(),
		p.rotateServerKey(),
		p.rotateClientKey(),
		p.rotateCommand(),
		p.revokeOldCommand(),
		p.resetToken(),
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
	cmd := p.withRegistry(name, arguments, func(ctx context.Context, r registry, args []string) error {
		a, err := find(ctx, r, args[0])
		if err != nil {
			return err
		}
		return do(ctx, r, a, args[1:])
	})
	cmd.ValidArgsFunction = p.completeFirstApp
	return cmd
}

// listCommand lists the apps: to a person as a table, which has no keys in it.
func (p *program) listCommand() *cobra.Command {
	var keys bool
	var olderThan time.Duration
	cmd := p.withRegistry("list", nil, func(ctx context.Context, r registry, _ []string) error {
		apps, err := r.Apps(ctx)
		if err != nil {
			return err
		}
		if olderThan > 0 {
			before := time.Now().Add(-olderThan)
			apps = slices.DeleteFunc(apps, func(a control.App) bool {
				o := older(a, before)
				return !o.Server && !o.Client
			})
		}
		switch {
		case p.json:
			return p.printJSON(apps)
		case p.onlyNames():
			return printNames(p, apps, func(a control.App) string { return a.ID })
		case len(apps) > 0:
			p.missing(apps[0].MissingNodes)
		case olderThan > 0:
			p.say("admin.no_older_keys")
			return nil
		default:
			p.say("admin.no_apps", "program", commandName)
		}
		switch {
		case p.forScripts():
			p.printListAsBefore(apps)
		case keys && !p.wide():
			for i, a := range apps {
				p.printBlocks(i, a)
			}
		case len(apps) > 0:
			p.printAppTable(apps)
			p.say("admin.list_hint", "program", commandName)
		}
		return nil
	})
	cmd.Flags().BoolVar(&keys, "keys", false, p.text.T("admin.flag_keys"))
	durationFlag(cmd.Flags(), &olderThan, "keys-older-than", p.text.T("admin.flag_keys_older_than"))
	checkedBefore(cmd, func([]string) error {
		if olderThan < 0 {
			return wrongUsage("admin.negative_time")
		}
		return nil
	})
	return withForms(cmd, formWide, formName)
}

// printBlocks writes the app at place i of several.
func (p *program) printBlocks(i int, a control.App) {
	if i > 0 {
		fmt.Fprintln(p.stdout)
	}
	p.printBlock(p.appFields(a))
}

func (p *program) printAppTable(apps []control.App) {
	words := p.words(nil)
	age := func(since time.Time) string {
		if since.IsZero() {
			return "" // a daemon of an older version does not tell
		}
		return words.Age(time.Since(since))
	}
	var rows [][]string
	for _, a := range apps {
		rows = append(rows, []string{
			p.shortTitle(a.Title), a.ID, count(p, a.Sessions), age(a.ServerKeySince), age(a.ClientKeySince),
		})
	}
	p.printTable([]column{
		{title: p.text.T("admin.field_title")},
		{title: p.text.T("admin.field_id")},
		{title: p.text.T("admin.field_sessions"), number: true},
		{title: p.text.T("admin.key_age_server"), number: true},
		{title: p.text.T("admin.key_age_client"), number: true},
	}, rows)
}

func (p *program) resetToken() *cobra.Command {
	var yes bool
	cmd := p.withApp("reset_token", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
		if err := p.agree(yes, "admin.confirm_reset_token", "title", locale.Clean(a.Title)); err != nil {
			return err
		}
		reset, err := r.ResetToken(ctx, a.ID)
		if err != nil {
			return err
		}
		p.say("admin.tokens_reset", "title", locale.Clean(a.Title))
		if p.json {
			err = p.printJSON(reset)
		}
		return cmp.Or(err, p.settled(reset.PendingNodes))
	})
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

func (p *program) show() *cobra.Command {
	var name string
	cmd := p.withApp("show", nil, func(_ context.Context, _ registry, a control.App, _ []string) error {
		if name == "" {
			return p.printApp(a)
		}
		return p.printField(a, name)
	})
	cmd.Flags().StringVar(&name, "field", "", p.text.T("admin.flag_field"))
	return withForms(cmd, formName)
}

// printField writes one field of the object that --json prints, as it is: for scripts
// that have no program for JSON.
func (p *program) printField(a control.App, name string) error {
	content, err := json.Marshal(a)
	if err != nil {
		return err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(content, &object); err != nil {
		return err
	}
	value, there := object[name]
	if !there {
		fields := strings.Join(slices.Sorted(maps.Keys(object)), ", ")
		return wrongUsage("admin.unknown_field", "field", locale.Clean(name), "fields", fields)
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value) // a number, or a list
	}
	_, err = fmt.Fprintln(p.stdout, text)
	return err
}

func (p *program) create() *cobra.Command {
	var ifMissing bool
	cmd := p.withRegistry("create", []string{"title"}, func(ctx context.Context, r registry, args []string) error {
		if ifMissing {
			apps, err := r.Apps(ctx)
			if err != nil {
				return err
			}
			title := strings.TrimSpace(args[0])
			if i := slices.IndexFunc(apps, func(a control.App) bool { return a.Title == title }); i >= 0 {
				p.say("admin.present_already")
				if p.forScripts() {
					p.printCreatedAsBefore(apps[i])
					return nil
				}
				return p.printApp(apps[i])
			}
		}
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
		return p.settled(a.PendingNodes)
	})
	cmd.Flags().BoolVar(&ifMissing, "if-missing", false, p.text.T("admin.flag_if_missing"))
	return withForms(checkedBefore(cmd, func(args []string) error { return checkTitle(args[0]) }), formName)
}

// checkTitle refuses a title that no app can have, before the daemon is asked.
func checkTitle(title string) error {
	switch {
	case app.CheckTitle(title) == nil:
		return nil
	case !utf8.ValidString(title):
		return wrongUsage("admin.not_utf8")
	}
	return wrongUsage("admin.error_bad_title")
}

// checkGrace refuses a grace that no key can have.
func checkGrace(grace time.Duration) error {
	if grace < 0 || grace > app.MaxGrace {
		return wrongUsage("admin.error_bad_grace")
	}
	return nil
}

// checkedBefore has a command look at its arguments before the daemon is asked. Flags are
// read by then.
func checkedBefore(cmd *cobra.Command, check func(args []string) error) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := check(args); err != nil {
			return err
		}
		return run(cmd, args)
	}
	return cmd
}

func (p *program) renameCommand() *cobra.Command {
	cmd := p.withApp("rename", []string{"title"}, p.rename)
	return withForms(checkedBefore(cmd, func(args []string) error { return checkTitle(args[1]) }), formName)
}

func (p *program) rename(ctx context.Context, r registry, a control.App, args []string) error {
	renamed, err := r.RenameApp(ctx, a.ID, args[0])
	if err != nil {
		return err
	}
	return cmp.Or(p.printApp(renamed), p.settled(renamed.PendingNodes))
}

// printApp writes an app for a person or a script.
func (p *program) printApp(a control.App) error {
	switch {
	case p.json:
		return p.printJSON(a)
	case p.onlyNames():
		return printNames(p, []control.App{a}, func(a control.App) string { return a.ID })
	}
	p.printBlock(p.appFields(a))
	p.missing(a.MissingNodes)
	return nil
}

func (p *program) appFields(a control.App) []field {
	fields := []field{
		{p.text.T("admin.field_title"), locale.Clean(a.Title)},
		{p.text.T("admin.field_id"), a.ID},
		{p.text.T("admin.field_server_key"), a.ServerKey},
		{p.text.T("admin.field_client_key"), a.ClientKey},
		{p.text.T("admin.field_created"), formatTime(a.CreatedAt)},
		{p.text.T("admin.field_sessions"), count(p, a.Sessions)},
	}
	fields = append(fields, p.keyFields(a)...)
	return fields
}

// keyFields tell since when the keys are, and of each old one until when, and who still
// uses it.
func (p *program) keyFields(a control.App) (fields []field) {
	add := func(id string, parts ...string) {
		fields = append(fields, field{p.text.T(id), strings.Join(parts, ", ")})
	}
	made := func(since time.Time) string {
		return p.text.T("admin.key_made", "age", p.words(nil).Age(time.Since(since)), "time", formatTime(since))
	}
	until := func(end time.Time) string { return p.text.T("admin.until", "time", formatTime(end)) }
	tokens := func(n int) string { return p.text.T("admin.n_tokens", "N", n) }
	if !a.ServerKeySince.IsZero() { // else the daemon is of an older version
		add("admin.key_age_server", made(a.ServerKeySince), tokens(a.ServerKeyTokens))
		add("admin.key_age_client", made(a.ClientKeySince))
	}
	for _, k := range a.OldServerKeys {
		add("admin.field_old_server_key", until(k.Until), tokens(k.Tokens))
	}
	for _, k := range a.OldClientKeys {
		sessions := p.text.T("live.n_sessions", "N", k.Sessions)
		add("admin.field_old_client_key", until(k.Until), p.text.T("admin.with_old_key", "sessions", sessions))
	}
	return fields
}

func (p *program) rotateServerKey() *cobra.Command {
	var grace time.Duration
	var yes bool
	cmd := p.withApp("upd_srv_key", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
		if grace == 0 {
			if err := p.agree(yes, "admin.confirm_server_key", "title", locale.Clean(a.Title)); err != nil {
				return err
			}
		}
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
		return p.settled(change.PendingNodes)
	})
	durationFlag(cmd.Flags(), &grace, "grace", p.text.T("admin.flag_grace"))
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return withForms(checkedBefore(cmd, func([]string) error { return checkGrace(grace) }), formName)
}

func (p *program) rotateClientKey() *cobra.Command {
	var grace time.Duration
	var yes bool
	cmd := p.withApp("upd_cli_key", nil, func(ctx context.Context, r registry, a control.App, _ []string) error {
		// Scripts of the old product go on as they did; a person is asked.
		if grace == 0 && a.Sessions > 0 {
			if err := p.agree(yes, "admin.confirm_client_key", "N", a.Sessions, "title",
				locale.Clean(a.Title)); err != nil {
				return err
			}
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
		return p.settled(change.PendingNodes)
	})
	durationFlag(cmd.Flags(), &grace, "grace", p.text.T("admin.flag_grace"))
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	return withForms(checkedBefore(cmd, func([]string) error { return checkGrace(grace) }), formName)
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
			err = p.printJSON(change)
		}
		return cmp.Or(err, p.settled(change.PendingNodes))
	})
	cmd.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
	cmd.ValidArgsFunction = p.completeFirstApp
	return cmd
}

// either chooses between two texts.
func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
