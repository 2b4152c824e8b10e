package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// following runs what goes on until the person has seen enough. Only here an
// interrupt is a good end; elsewhere it kills.
func following(ctx context.Context, do func(ctx context.Context) error) error {
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

// logsCommand shows the daemon's log.
func (p *program) logsCommand() *cobra.Command {
	var query control.LogQuery
	var follow bool
	cmd := p.command("logs", nil, func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		if query.Tail < 0 {
			return wrongUsage("admin.bad_tail")
		}
		return p.withDaemon(func(client *control.Client) error {
			return following(cmd.Context(), func(ctx context.Context) error {
				return client.Logs(ctx, query, follow, p.printLogRecord)
			})
		})
	})
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, p.text.T("admin.flag_follow"))
	flags.IntVarP(&query.Tail, "tail", "n", 100, p.text.T("admin.flag_tail"))
	flags.StringVar(&query.Level, "level", "", p.text.T("admin.flag_level", "levels", strings.Join(config.LevelNames(), ", ")))
	flags.StringVar(&query.Text, "grep", "", p.text.T("admin.flag_grep"))
	p.completeLevels(cmd, "level")
	return cmd
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

// completeLevels has the shell know the levels.
func (p *program) completeLevels(cmd *cobra.Command, flag string) {
	cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(config.LevelNames(), cobra.ShellCompDirectiveNoFileComp))
}

// levelWidth fits the longest name of a level.
const levelWidth = len("Information")

func (p *program) printLogRecord(r control.LogRecord) error {
	if p.json {
		return p.printJSON(r)
	}
	if r.Lost > 0 {
		p.say("live.lost", "N", r.Lost)
		return nil
	}
	line := formatTime(r.Time) + "  " + runewidth.FillRight(r.Level, levelWidth) + "  " + locale.Clean(r.Message)
	for _, a := range r.Attrs {
		line += "  " + locale.Clean(a.Name) + "=" + locale.Clean(fmt.Sprint(a.Value))
	}
	_, err := fmt.Fprintln(p.stdout, line)
	return err
}

// watchingEvents is what the flags of events say.
type watchingEvents struct {
	query control.EventQuery
	app   string
	once  bool
}

// eventsCommand shows what happens to sessions and apps.
func (p *program) eventsCommand() *cobra.Command {
	var w watchingEvents
	cmd := p.command("events", nil, func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		if w.query.Tail < 0 {
			return wrongUsage("admin.bad_tail")
		}
		if w.once && !cmd.Flags().Changed("tail") {
			w.query.Tail = 100
		}
		return p.withDaemon(func(client *control.Client) error {
			return following(cmd.Context(), func(ctx context.Context) error { return p.events(ctx, client, w) })
		})
	})
	flags := cmd.Flags()
	flags.BoolVar(&w.once, "once", false, p.text.T("admin.flag_once"))
	flags.IntVarP(&w.query.Tail, "tail", "n", 0, p.text.T("admin.flag_tail"))
	flags.StringSliceVar(&w.query.Kinds, "event", nil, p.text.T("admin.flag_event", "kinds", strings.Join(control.EventKinds(), ", ")))
	flags.StringVar(&w.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&w.query.Text, "grep", "", p.text.T("admin.flag_grep"))
	cmd.RegisterFlagCompletionFunc("event", cobra.FixedCompletions(control.EventKinds(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (p *program) events(ctx context.Context, client *control.Client, w watchingEvents) error {
	apps, err := client.Apps(ctx)
	if err != nil {
		return err
	}
	if w.app != "" {
		a, err := match(apps, w.app)
		if err != nil {
			return err
		}
		w.query.AppID = a.ID
	}
	if len(w.query.Kinds) == 0 && !p.json {
		// A line each second hides what a person is waiting for.
		for _, kind := range control.EventKinds() {
			if kind != control.EventStatistics {
				w.query.Kinds = append(w.query.Kinds, kind)
			}
		}
	}
	words := p.words(apps)
	if !w.once && !p.json {
		p.say("admin.following_events")
	}
	return client.Events(ctx, w.query, !w.once, func(e control.Event) error {
		if p.json {
			return p.printJSON(e)
		}
		if e.Change != "" {
			words.Titles[e.AppID] = e.Title
		}
		_, err := fmt.Fprintln(p.stdout, formatTime(e.Time)+"  "+words.Event(e))
		return err
	})
}
