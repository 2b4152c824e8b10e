package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// kicking is whom kick is to disconnect: sessions by their numbers, or all that match.
type kicking struct {
	ids   []string
	app   string // as a person writes it
	query control.SessionQuery
	yes   bool
}

// kickCommand closes sessions.
func (p *program) kickCommand() *cobra.Command {
	var k kicking
	cmd := p.command("kick", nil, func(cmd *cobra.Command, args []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		k.ids = args
		if err := k.check(cmd); err != nil {
			return err
		}
		return p.withDaemon(func(client *control.Client) error { return p.kick(cmd.Context(), client, k) })
	})
	number := "<" + p.text.T("admin.arg_session") + ">…"
	cmd.Use = "kick " + number + " | --app … [--ib …] [--user …] [--group …]"
	cmd.Args = cobra.ArbitraryArgs
	cmd.ValidArgsFunction = p.completeSessions
	flags := cmd.Flags()
	flags.StringVar(&k.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&k.query.IbID, "ib", "", p.text.T("admin.flag_ib_name"))
	flags.StringVar(&k.query.UserID, "user", "", p.text.T("admin.flag_user_name"))
	flags.StringVar(&k.query.UserGroup, "group", "", p.text.T("admin.flag_group"))
	flags.BoolVar(&k.yes, "yes", false, p.text.T("admin.flag_yes"))
	p.completeNames(cmd)
	return cmd
}

func (k kicking) check(cmd *cobra.Command) error {
	byFilter := k.app != "" || k.query.IbID != "" || k.query.UserID != "" || k.query.UserGroup != ""
	switch {
	case byFilter && len(k.ids) > 0:
		return wrongUsage("admin.kick_ids_or_filter")
	case !byFilter && (len(k.ids) == 0 || slices.Contains(k.ids, "")):
		return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
	}
	for _, id := range k.ids {
		number, node, ofNode := strings.Cut(id, "@") // 482@web1 in a cluster
		if _, err := strconv.ParseUint(number, 10, 64); err != nil || ofNode && node == "" {
			return wrongUsage("admin.no_session_number", "session", locale.Clean(id))
		}
	}
	return nil
}

// kicked is what came of it.
type kicked struct {
	Closed  int      `json:"closed"`
	Missing []string `json:"missing,omitempty"` // numbers of sessions that there are not
}

func (p *program) kick(ctx context.Context, client *control.Client, k kicking) error {
	chosen := make([]control.Session, 0, len(k.ids))
	for _, id := range k.ids {
		if !slices.ContainsFunc(chosen, func(s control.Session) bool { return s.ID == id }) {
			chosen = append(chosen, control.Session{ID: id})
		}
	}
	if len(k.ids) == 0 {
		if k.app != "" {
			a, err := find(ctx, client, k.app)
			if err != nil {
				return err
			}
			k.query.AppID = a.ID
		}
		var missing []string
		var err error
		if chosen, _, missing, err = allSessions(ctx, client, k.query); err != nil {
			return err
		}
		p.missing(missing)
		if len(chosen) == 0 {
			return notFoundError{locale.NewText("admin.kick_nobody")}
		}
	}
	var err error
	if len(k.ids) == 1 && !k.yes && p.onTerminal() { // what the question is depends on it
		if chosen[0], err = findSession(ctx, client, k.ids[0]); err != nil {
			return err
		}
	}
	switch {
	case len(chosen) == 1 && chosen[0].State == control.SessionDetached:
		err = p.agree(k.yes, "admin.confirm_forget", "session", locale.Clean(chosen[0].ID),
			"waiting", p.text.Number(strconv.Itoa(chosen[0].Waiting)))
	case len(chosen) == 1:
		err = p.agree(k.yes, "admin.confirm_kick", "session", locale.Clean(chosen[0].ID))
	default:
		err = p.agree(k.yes, "admin.confirm_kick_many", "N", len(chosen))
	}
	if err != nil {
		return err
	}
	return p.close(ctx, client, chosen)
}

// close closes sessions one after the other. Whatever ends it before it is through, it is
// said how far it got.
func (p *program) close(ctx context.Context, client *control.Client, chosen []control.Session) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	var done kicked
	for _, s := range chosen {
		err := client.CloseSession(ctx, s.ID, s.Since)
		if refusal, ok := errors.AsType[*control.Error](err); ok && refusal.Code == control.CodeSessionNotFound {
			done.Missing = append(done.Missing, s.ID)
			continue
		}
		if err != nil {
			if len(chosen) > 1 {
				p.warn("admin.kicked_partly", "done", done.Closed, "all", len(chosen))
			}
			if ctx.Err() != nil {
				return failure("admin.interrupted")
			}
			return err
		}
		done.Closed++
	}
	if len(chosen) == 1 && done.Closed == 1 {
		p.say("admin.kicked", "session", locale.Clean(chosen[0].ID))
	} else if done.Closed > 0 {
		p.say("admin.kicked_many", "N", done.Closed)
	}
	if p.json {
		if err := p.printJSON(done); err != nil {
			return err
		}
	}
	// Of those that were only found by a filter, some have gone by themselves.
	if len(done.Missing) > 0 && chosen[0].Since.Equal(time.Time{}) {
		if len(chosen) == 1 {
			return &control.Error{Code: control.CodeSessionNotFound}
		}
		return notFoundError{locale.NewText("admin.kick_missing", "ids",
			locale.Clean(strings.Join(done.Missing, ", ")))}
	}
	return nil
}
