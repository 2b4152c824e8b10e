package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// logLevelCommand changes the level of the daemon's log, or shows it.
func (p *program) logLevelCommand() *cobra.Command {
	cmd := p.command("loglevel", []string{"level"}, func(cmd *cobra.Command, args []string) error {
		return p.withDaemon(func(client *control.Client) error {
			if len(args) == 0 {
				status, err := client.Status(cmd.Context())
				if err != nil {
					return err
				}
				return p.printLogLevel(status.LogLevel)
			}
			level, err := config.ParseLevel(args[0])
			if err != nil {
				return usageError{locale.NewText("admin.bad_level", "what", err)}
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
	cmd.ValidArgs = config.LevelNames()
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

// reloadCommand has the daemon read its settings again.
func (p *program) reloadCommand() *cobra.Command {
	return p.command("reload", nil, func(cmd *cobra.Command, _ []string) error {
		return p.withDaemon(func(client *control.Client) error {
			report, err := client.Reload(cmd.Context())
			if err != nil {
				return err
			}
			for _, warning := range report.Warnings {
				p.say("admin.warning", "what", warning)
			}
			if len(report.Applied) > 0 {
				p.say("admin.reload_applied", "settings", strings.Join(report.Applied, ", "))
			} else {
				p.say("admin.reload_nothing")
			}
			if len(report.RestartNeeded) > 0 {
				p.say("admin.reload_restart", "settings", strings.Join(report.RestartNeeded, ", "))
			}
			if p.json {
				return p.printJSON(report)
			}
			return nil
		})
	})
}

// backupCommand saves the database of the running daemon.
func (p *program) backupCommand() *cobra.Command {
	return p.command("backup", []string{"file"}, func(cmd *cobra.Command, args []string) error {
		return p.withDaemon(func(client *control.Client) error {
			if args[0] == "-" {
				return client.Backup(cmd.Context(), p.stdout)
			}
			var content bytes.Buffer
			if err := client.Backup(cmd.Context(), &content); err != nil {
				return err
			}
			if err := writeNew(args[0], content.Bytes()); err != nil {
				return err
			}
			p.say("admin.backed_up", "path", args[0])
			return nil
		})
	})
}

// explainCommand tells why a message did or did not arrive.
func (p *program) explainCommand() *cobra.Command {
	var app, ib, user, group string
	cmd := p.command("explain", nil, func(cmd *cobra.Command, _ []string) error {
		switch {
		case app == "":
			return wrongUsage("admin.needs_flag", "flag", "--app")
		case ib == "":
			return wrongUsage("admin.needs_flag", "flag", "--ib")
		case user == "" && group == "":
			return wrongUsage("admin.needs_flag", "flag", "--user")
		}
		return p.withDaemon(func(client *control.Client) error {
			apps, err := client.Apps(cmd.Context())
			if err != nil {
				return err
			}
			a, err := match(apps, app)
			if err != nil {
				return err
			}
			explanation, err := client.Explain(cmd.Context(), a.ID, ib, user, group)
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(explanation)
			}
			for _, line := range p.words(apps).Explanation(explanation, time.Now()) {
				if _, err := fmt.Fprintln(p.stdout, line); err != nil {
					return err
				}
			}
			return nil
		})
	})
	flags := cmd.Flags()
	flags.StringVar(&app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&ib, "ib", "", p.text.T("admin.flag_ib"))
	flags.StringVar(&user, "user", "", p.text.T("admin.flag_user"))
	flags.StringVar(&group, "group", "", p.text.T("admin.flag_group"))
	return cmd
}
