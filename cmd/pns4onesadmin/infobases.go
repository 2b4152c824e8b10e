package main

import (
	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/netsvc/control"
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
			switch {
			case p.json:
				return p.printJSON(found)
			case p.onlyNames():
				return printNames(p, found, func(ib control.Infobase) string { return ib.ID })
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
	cmd.ValidArgsFunction = p.completeFirstApp
	return withForms(cmd, formWide, formName)
}

func (p *program) printInfobases(found []control.Infobase, apps []control.App, withApp bool) {
	words := p.words(apps)
	columns := []column{{title: p.text.T("admin.column_ib_name")}}
	if withApp {
		columns = append(columns, column{title: p.text.T("admin.column_app")})
	}
	columns = append(columns,
		column{title: p.text.T("admin.column_sessions"), number: true},
		column{title: p.text.T("admin.column_users"), number: true},
		column{title: p.text.T("admin.column_groups"), number: true, spare: true},
		column{title: p.text.T("admin.column_messages"), number: true},
		column{title: p.text.T("admin.column_unmatched"), number: true},
		column{title: p.text.T("admin.column_last_message"), whole: true, spare: true},
		column{title: p.text.T("admin.column_name_id")})
	rows := make([][]string, len(found))
	for i, ib := range found {
		last := p.text.T("live.never")
		if ib.LastMessageAt != nil {
			last = formatTime(*ib.LastMessageAt)
		}
		name := p.shortID(ib.Name)
		if name == "" {
			name = "—"
		}
		row := []string{name}
		if withApp {
			row = append(row, p.shortTitle(words.App(ib.AppID)))
		}
		rows[i] = append(row, count(p, ib.Sessions), count(p, ib.Users), count(p, ib.Groups), count(p, ib.Messages),
			count(p, ib.Unmatched), last, p.shortID(ib.ID))
	}
	p.printTable(columns, rows)
}
