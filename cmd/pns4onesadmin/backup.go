package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// backupCommand saves the database of the running daemon.
func (p *program) backupCommand() *cobra.Command {
	var node string
	cmd := p.command("backup", []string{"file"}, func(cmd *cobra.Command, args []string) error {
		if _, onTerminal := p.terminal(); args[0] == "-" && onTerminal {
			return wrongUsage("admin.backup_to_terminal")
		}
		return p.withNode(node, func(client *control.Client) error {
			if args[0] == "-" {
				return client.Backup(cmd.Context(), p.stdout)
			}
			var content bytes.Buffer
			if err := client.Backup(cmd.Context(), &content); err != nil {
				return err
			}
			if err := writeNewFile(args[0], content.Bytes()); err != nil {
				return err
			}
			p.say("admin.backed_up", "path", args[0])
			return nil
		})
	})
	cmd.ValidArgsFunction = nil // files
	p.nodeFlag(cmd, &node, false)
	return cmd
}
