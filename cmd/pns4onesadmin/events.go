package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// wantedEvents is what the flags of events say.
type wantedEvents struct {
	query control.EventQuery
	app   string
	once  bool
}

// eventsCommand shows what happens to sessions and apps.
func (p *program) eventsCommand() *cobra.Command {
	var w wantedEvents
	var node string
	cmd := p.command("events", nil, func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		if w.query.Tail < 0 {
			return wrongUsage("admin.bad_tail")
		}
		for _, kind := range w.query.Kinds {
			if !slices.Contains(control.EventKinds(), kind) {
				return wrongUsage("admin.unknown_event", "kind", locale.Clean(kind), "kinds",
					strings.Join(control.EventKinds(), ", "))
			}
		}
		if w.once && !cmd.Flags().Changed("tail") {
			w.query.Tail = 100
		}
		return p.withNode(node, func(client *control.Client) error {
			return untilInterrupted(cmd.Context(), func(ctx context.Context) error { return p.events(ctx, client, w, node) })
		})
	})
	flags := cmd.Flags()
	flags.BoolVar(&w.once, "once", false, p.text.T("admin.flag_once"))
	flags.IntVarP(&w.query.Tail, "tail", "n", 0, p.text.T("admin.flag_tail"))
	kinds := strings.Join(control.EventKinds(), ", ")
	flags.StringSliceVar(&w.query.Kinds, "event", nil, p.text.T("admin.flag_event", "kinds", kinds))
	flags.StringVar(&w.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&w.query.Text, "grep", "", p.text.T("admin.flag_grep"))
	p.nodeFlag(cmd, &node, true)
	p.completeNames(cmd)
	cmd.RegisterFlagCompletionFunc("event", completions(control.EventKinds()...))
	return cmd
}

// events prints the events of the daemon, of a node of the cluster, or of every one.
func (p *program) events(ctx context.Context, client *control.Client, w wantedEvents, node string) error {
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
	// A line each second hides what a person is waiting for. It is left out here, for a daemon of
	// an older version refuses kinds that it does not know.
	quiet := len(w.query.Kinds) == 0 && !p.json
	words := p.words(apps)
	if !w.once && !p.json {
		p.say("admin.following_events")
	}
	print := func(p *program, e control.Event) error {
		switch {
		case p.json:
			return p.printJSON(e)
		case quiet && e.Event == control.EventStatistics:
			return nil
		case e.Change != "":
			words.Titles[e.AppID] = e.Title
		}
		_, err := fmt.Fprintln(p.stdout, p.stamp(e.Time)+words.Event(e))
		return err
	}
	if node != allNodes {
		return client.Events(ctx, w.query, !w.once, func(e control.Event) error { return print(p, e) })
	}
	all := everyNode[control.Event]{
		p: p, client: client, tail: w.query.Tail, follow: !w.once, print: print,
		time: func(e control.Event) time.Time { return e.Time },
		read: func(ctx context.Context, client *control.Client, tail int, each func(control.Event) error) error {
			of := w.query
			of.Tail = tail
			return client.Events(ctx, of, !w.once, each)
		},
	}
	return all.run(ctx)
}
