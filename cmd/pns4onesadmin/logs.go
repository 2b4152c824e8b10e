package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// logsCommand shows the daemon's log.
func (p *program) logsCommand() *cobra.Command {
	var query control.LogQuery
	var follow, raw bool
	var since, node string
	cmd := p.command("logs", nil, func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		if query.Tail < 0 {
			return wrongUsage("admin.bad_tail")
		}
		if query.Level != "" {
			if _, err := config.ParseLevel(query.Level); err != nil {
				return usageError{locale.NewText("admin.bad_level", "what", err)}
			}
		}
		if since != "" {
			var known bool
			if query.Since, known = parseSince(since, time.Now()); !known {
				return wrongUsage("admin.bad_since", "since", locale.Clean(since))
			}
			if !cmd.Flags().Changed("tail") {
				query.Tail = allRecords
			}
		}
		return p.withNode(node, func(client *control.Client) error {
			print := (*program).printLogRecord
			if p.person && !p.json && !raw {
				apps, err := client.Apps(cmd.Context())
				if err != nil {
					return err
				}
				words := p.words(apps)
				print = func(p *program, r control.LogRecord) error { return p.printLogSentence(words, r) }
			}
			return untilInterrupted(cmd.Context(), func(ctx context.Context) error {
				return p.logs(ctx, client, query, node, follow, print)
			})
		})
	})
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, p.text.T("admin.flag_follow"))
	flags.IntVarP(&query.Tail, "tail", "n", 100, p.text.T("admin.flag_tail"))
	flags.StringVar(&since, "since", "", p.text.T("admin.flag_since"))
	levels := strings.Join(config.LevelNames(), ", ")
	flags.StringVar(&query.Level, "level", "", p.text.T("admin.flag_level", "levels", levels))
	flags.BoolVar(&raw, "raw", false, p.text.T("admin.flag_raw"))
	flags.StringVar(&query.Text, "grep", "", p.text.T("admin.flag_grep"))
	p.nodeFlag(cmd, &node, true)
	p.completeLevels(cmd, "level")
	return cmd
}

// logs prints the log of the daemon, of a node of the cluster, or of every one.
func (p *program) logs(ctx context.Context, client *control.Client, query control.LogQuery, node string, follow bool,
	print func(*program, control.LogRecord) error) error {
	if node != allNodes {
		return client.Logs(ctx, query, follow, func(r control.LogRecord) error { return print(p, r) })
	}
	all := everyNode[control.LogRecord]{
		p: p, client: client, tail: query.Tail, follow: follow, print: print,
		time: func(r control.LogRecord) time.Time { return r.Time },
		read: func(ctx context.Context, client *control.Client, tail int, each func(control.LogRecord) error) error {
			of := query
			of.Tail = tail
			return client.Logs(ctx, of, follow, each)
		},
	}
	return all.run(ctx)
}

// allRecords is more than a daemon keeps.
const allRecords = 100_000

// sinceForms are how a moment may be written; without a day it is the last such time.
var sinceForms = []string{time.DateTime, "2006-01-02 15:04", time.DateOnly, time.RFC3339, "2006-01-02T15:04:05",
	"2006-01-02T15:04"}

// parseSince reads how long ago something was, or when.
func parseSince(text string, now time.Time) (time.Time, bool) {
	if d, err := config.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	for _, form := range sinceForms {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t, true
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} {
		clock, err := time.Parse(form, text)
		if err != nil {
			continue
		}
		t := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0,
			now.Location())
		if t.After(now) {
			t = t.AddDate(0, 0, -1)
		}
		return t, true
	}
	return time.Time{}, false
}

// completeLevels has the shell know the levels.
func (p *program) completeLevels(cmd *cobra.Command, flag string) {
	cmd.RegisterFlagCompletionFunc(flag, completions(config.LevelNames()...))
}

// levelWidth fits the longest name of a level.
const levelWidth = len("Information")

// printLogSentence writes a record for a person: what happened, in a sentence.
func (p *program) printLogSentence(words say.Words, r control.LogRecord) error {
	sentence, _, known := words.Record(r)
	if !known || r.Lost > 0 {
		return p.printLogRecord(r)
	}
	_, err := fmt.Fprintln(p.stdout, p.stamp(r.Time)+cells.Left(r.Level, levelWidth)+"  "+locale.Clean(sentence))
	return err
}

// printLogRecord writes a record as the log has it.
func (p *program) printLogRecord(r control.LogRecord) error {
	if p.json {
		return p.printJSON(r)
	}
	if r.Lost > 0 {
		p.say("live.lost", "N", r.Lost)
		return nil
	}
	line := p.stamp(r.Time) + cells.Left(r.Level, levelWidth) + "  " + locale.Clean(r.Message)
	for _, a := range r.Attrs {
		line += "  " + locale.Clean(a.Name) + "=" + locale.Clean(fmt.Sprint(a.Value))
	}
	_, err := fmt.Fprintln(p.stdout, line)
	return err
}
