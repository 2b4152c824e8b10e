package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

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
			return untilInterrupted(cmd.Context(), func(ctx context.Context) error {
				return client.Logs(ctx, query, follow, p.printLogRecord)
			})
		})
	})
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, p.text.T("admin.flag_follow"))
	flags.IntVarP(&query.Tail, "tail", "n", 100, p.text.T("admin.flag_tail"))
	levels := strings.Join(config.LevelNames(), ", ")
	flags.StringVar(&query.Level, "level", "", p.text.T("admin.flag_level", "levels", levels))
	flags.StringVar(&query.Text, "grep", "", p.text.T("admin.flag_grep"))
	p.completeLevels(cmd, "level")
	return cmd
}

// completeLevels has the shell know the levels.
func (p *program) completeLevels(cmd *cobra.Command, flag string) {
	cmd.RegisterFlagCompletionFunc(flag, completions(config.LevelNames()...))
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
	line := formatTime(r.Time) + "  " + cells.Left(r.Level, levelWidth) + "  " + locale.Clean(r.Message)
	for _, a := range r.Attrs {
		line += "  " + locale.Clean(a.Name) + "=" + locale.Clean(fmt.Sprint(a.Value))
	}
	_, err := fmt.Fprintln(p.stdout, line)
	return err
}
