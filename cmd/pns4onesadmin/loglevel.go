package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// logLevelCommand changes the level of the daemon's log, or shows it.
func (p *program) logLevelCommand() *cobra.Command {
	cmd := p.command("loglevel", []string{"level"}, func(cmd *cobra.Command, args []string) error {
		var level config.Level
		if len(args) == 1 {
			var err error
			if level, err = config.ParseLevel(args[0]); err != nil {
				return usageError{locale.NewText("admin.bad_level", "what", err)}
			}
		}
		return p.withDaemon(func(client *control.Client) error {
			if len(args) == 0 {
				status, err := client.Status(cmd.Context())
				if err != nil {
					return err
				}
				return p.printLogLevel(status.LogLevel)
			}
			if err := client.SetLogLevel(cmd.Context(), level.String()); err != nil {
				return err
			}
			p.say("admin.log_level_set", "level", level.String())
			if p.json {
				return p.printLogLevel(level.String())
			}
			return nil
		})
	})
	cmd.Use = "loglevel [" + p.text.T("admin.arg_level") + "]"
	cmd.Args = atMostOne(cmd)
	cmd.ValidArgsFunction = completions(config.LevelNames()...)
	return cmd
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
	_, err := fmt.Fprintln(p.stdout, level)
	return err
}
