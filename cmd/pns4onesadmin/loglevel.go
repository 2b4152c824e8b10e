package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// logLevelCommand changes the level of the daemon's log, or shows it.
func (p *program) logLevelCommand() *cobra.Command {
	var node string
	cmd := p.command("loglevel", []string{"level"}, func(cmd *cobra.Command, args []string) error {
		var level config.Level
		if len(args) == 1 {
			var err error
			if level, err = config.ParseLevel(args[0]); err != nil {
				return usageError{locale.NewText("admin.bad_level", "what", err)}
			}
		}
		return p.withNode(node, func(client *control.Client) error {
			return p.eachNode(cmd.Context(), client, node, func(p *program, client *control.Client) error {
				if len(args) == 0 {
					return p.showLogLevel(cmd.Context(), client)
				}
				return p.setLogLevel(cmd.Context(), client, level)
			})
		})
	})
	cmd.Use = "loglevel [" + p.text.T("admin.arg_level") + "]"
	cmd.Args = atMostOne(cmd)
	cmd.ValidArgsFunction = completions(config.LevelNames()...)
	p.nodeFlag(cmd, &node, true)
	return cmd
}

func (p *program) showLogLevel(ctx context.Context, client *control.Client) error {
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	return p.printLogLevel(status.LogLevel)
}

func (p *program) setLogLevel(ctx context.Context, client *control.Client, level config.Level) error {
	if err := client.SetLogLevel(ctx, level.String()); err != nil {
		return err
	}
	p.say("admin.log_level_set", "level", level.String())
	if p.json {
		return p.printLogLevel(level.String())
	}
	return nil
}

func atMostOne(cmd *cobra.Command) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
		}
		return nil
	}
}

func (p *program) printLogLevel(level string) error {
	if p.json {
		return p.printJSON(struct {
			Level string `json:"level"`
		}{level})
	}
	_, err := fmt.Fprintln(p.stdout, p.label()+level)
	return err
}
