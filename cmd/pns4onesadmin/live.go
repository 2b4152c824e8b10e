package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// statusCommand tells how the daemon is.
func (p *program) statusCommand() *cobra.Command {
	return p.command("status", nil, func(cmd *cobra.Command, _ []string) error {
		client, err := p.daemon()
		if err != nil {
			return err
		}
		defer client.Close()
		status, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		if p.json {
			return p.printJSON(status)
		}
		p.printBlock(p.statusFields(status))
		return nil
	})
}

func (p *program) statusFields(s control.Status) []field {
	var fields []field
	add := func(name string, value any) {
		fields = append(fields, field{p.text.T("admin.status_" + name), fmt.Sprint(value)})
	}
	add("version", s.Version)
	add("uptime", p.formatAge(time.Duration(s.UptimeSeconds)*time.Second))
	add("listen", s.Listen)
	add("service", s.Service)
	add("control", s.Control)
	if s.TLSExpiresAt != nil {
		add("tls", formatTime(*s.TLSExpiresAt))
	}
	add("apps", s.Apps)
	add("sessions", s.Sessions)
	add("unregistered", s.Unregistered)
	add("registrations", s.Registrations)
	add("messages", s.Messages)
	add("delivered", s.Delivered)
	add("no_recipient", s.NoRecipient)
	add("slow", s.DroppedAsSlow)
	refused := uint64(0)
	for _, n := range s.Refused {
		refused += n
	}
	add("refused", refused)
	add("memory", fmt.Sprintf("%.1f MiB", float64(s.MemoryBytes)/(1<<20)))
	return fields
}

// sessionCommands list the sessions and close one.
func (p *program) sessionCommands() []*cobra.Command {
	var query control.SessionQuery
	var ref string
	sessions := p.command("sessions", nil, func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		return p.sessions(cmd.Context(), ref, query)
	})
	flags := sessions.Flags()
	flags.StringVar(&ref, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&query.IbID, "ib", "", p.text.T("admin.flag_ib"))
	flags.StringVar(&query.UserID, "user", "", p.text.T("admin.flag_user"))
	flags.StringVar(&query.UserGroup, "group", "", p.text.T("admin.flag_group"))
	flags.StringVar(&query.Text, "search", "", p.text.T("admin.flag_search"))
	flags.StringVar(&query.Sort, "sort", "", p.text.T("admin.flag_sort"))
	flags.IntVar(&query.Limit, "limit", 0, p.text.T("admin.flag_limit"))

	kick := p.command("kick", []string{"session"}, func(cmd *cobra.Command, args []string) error {
		if args[0] == "" {
			return wrongUsage("admin.wrong_arguments", "usage", cmd.UseLine())
		}
		client, err := p.daemon()
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.CloseSession(cmd.Context(), args[0]); err != nil {
			return err
		}
		p.say("admin.kicked", "session", locale.Clean(args[0]))
		return nil
	})
	return []*cobra.Command{sessions, kick}
}

// noEmptyFlags refuses flags with an empty value: a script whose variable is
// empty would get everything instead of nothing.
func noEmptyFlags(cmd *cobra.Command) (err error) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Value.String() == "" {
			err = wrongUsage("admin.flag_needs_value", "flag", "--"+f.Name)
		}
	})
	return err
}

// sessions prints the sessions that match: up to query.Limit of them, or all.
func (p *program) sessions(ctx context.Context, ref string, query control.SessionQuery) error {
	if query.Limit < 0 {
		return wrongUsage("admin.bad_limit")
	}
	client, err := p.daemon()
	if err != nil {
		return err
	}
	defer client.Close()
	if ref != "" {
		a, err := find(ctx, client, ref)
		if err != nil {
			return err
		}
		query.AppID = a.ID
	}
	const pageSize = 1000
	most := query.Limit
	found := []control.Session{}
	total := 0
	for {
		query.Limit = pageSize
		if most > 0 {
			query.Limit = min(pageSize, most-len(found))
		}
		page, err := client.Sessions(ctx, query)
		if err != nil {
			return err
		}
		found = append(found, page.Sessions...)
		total = page.Total
		query.After = page.Next
		if page.Next == "" || most > 0 && len(found) >= most {
			break
		}
	}
	if p.json {
		return p.printJSON(found)
	}
	apps, err := client.Apps(ctx)
	if err != nil {
		return err
	}
	p.printTable([]string{
		p.text.T("admin.column_id"), p.text.T("admin.column_app"), p.text.T("admin.column_ib"), p.text.T("admin.column_user"), p.text.T("admin.column_group"),
		p.text.T("admin.column_addr"), p.text.T("admin.column_age"), p.text.T("admin.column_delivered"), p.text.T("admin.column_queued"),
	}, p.sessionRows(found, apps))
	if total > len(found) {
		p.say("admin.more_sessions", "shown", len(found), "total", total)
	}
	return nil
}

// maxTitleWidth is how much of an app's title a table shows, in cells.
const maxTitleWidth = 24

func (p *program) sessionRows(sessions []control.Session, apps []control.App) [][]string {
	titles := make(map[string]string)
	for _, a := range apps {
		titles[a.ID] = runewidth.Truncate(locale.Clean(a.Title), maxTitleWidth, "…")
	}
	var rows [][]string
	for _, s := range sessions {
		rows = append(rows, []string{
			s.ID, titles[s.AppID], locale.Clean(s.IbID), locale.Clean(s.UserID), locale.Clean(s.UserGroup), s.Addr,
			p.formatAge(time.Since(s.Since)), fmt.Sprint(s.Delivered), fmt.Sprint(s.Queued),
		})
	}
	return rows
}
