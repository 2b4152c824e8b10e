package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// explainCommand says why a message did or did not arrive.
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
