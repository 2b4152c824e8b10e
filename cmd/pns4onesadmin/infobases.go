package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// infobasesCommand lists the infobases of an app, or of all.
func (p *program) infobasesCommand() *cobra.Command {
	cmd := p.command("infobases", nil, func(cmd *cobra.Command, args []string) error {
		return p.withDaemon(func(client *control.Client) error {
			apps, err := client.Apps(cmd.Context())
			if err != nil {
				return err
			}
			appID := ""
			if len(args) == 1 {
				a, err := match(apps, args[0])
				if err != nil {
					return err
				}
				appID = a.ID
			}
			found, err := client.Infobases(cmd.Context(), appID)
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(found)
			}
			p.printInfobases(found, apps, appID == "")
			return nil
		})
	})
	cmd.Use += " [<" + p.text.T("admin.arg_app") + ">]"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
		}
		return nil
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.completeApps(cmd, args, "")
	}
	return cmd
}

func (p *program) printInfobases(found []control.Infobase, apps []control.App, withApp bool) {
	words := p.words(apps)
	header := []string{p.text.T("admin.column_ib_name")}
	if withApp {
		header = append(header, p.text.T("admin.column_app"))
	}
	for _, id := range []string{"sessions", "users", "groups", "messages", "unmatched", "last_message", "name_id"} {
		header = append(header, p.text.T("admin.column_"+id))
	}
	rows := make([][]string, len(found))
	for i, ib := range found {
		last := p.text.T("live.never")
		if ib.LastMessageAt != nil {
			last = formatTime(*ib.LastMessageAt)
		}
		name := shortText(locale.Clean(ib.Name))
		if name == "" {
			name = "—"
		}
		row := []string{name}
		if withApp {
			row = append(row, cells.Truncate(words.App(ib.AppID), maxTitleWidth))
		}
		rows[i] = append(row, fmt.Sprint(ib.Sessions), fmt.Sprint(ib.Users), fmt.Sprint(ib.Groups), fmt.Sprint(ib.Messages),
			fmt.Sprint(ib.Unmatched), last, shortID(ib.ID))
	}
	p.printTable(header, rows)
}
