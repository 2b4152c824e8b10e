package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// reloadCommand has the daemon read its settings again.
func (p *program) reloadCommand() *cobra.Command {
	var node string
	cmd := p.command("reload", nil, func(cmd *cobra.Command, _ []string) error {
		return p.withNode(node, func(client *control.Client) error {
			return p.eachNode(cmd.Context(), client, node, func(p *program, client *control.Client) error {
				return p.reload(cmd.Context(), client)
			})
		})
	})
	p.nodeFlag(cmd, &node, true)
	return cmd
}

func (p *program) reload(ctx context.Context, client *control.Client) error {
	report, err := client.Reload(ctx)
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
}
