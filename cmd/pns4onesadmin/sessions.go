package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// sessionCommands list the sessions and close one.
func (p *program) sessionCommands() []*cobra.Command {
	var query control.SessionQuery
	var ref string
	var watch bool
	sessions := p.command("sessions", nil, func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlags(cmd); err != nil {
			return err
		}
		if query.Limit < 0 {
			return wrongUsage("admin.bad_limit")
		}
		return p.withDaemon(func(client *control.Client) error {
			if watch {
				return untilInterrupted(cmd.Context(), func(ctx context.Context) error {
					return p.watchSessions(ctx, client, ref, query)
				})
			}
			return p.sessions(cmd.Context(), client, ref, query)
		})
	})
	flags := sessions.Flags()
	flags.StringVar(&ref, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&query.IbID, "ib", "", p.text.T("admin.flag_ib"))
	flags.StringVar(&query.UserID, "user", "", p.text.T("admin.flag_user"))
	flags.StringVar(&query.UserGroup, "group", "", p.text.T("admin.flag_group"))
	flags.StringVar(&query.Text, "search", "", p.text.T("admin.flag_search"))
	flags.StringVar(&query.Sort, "sort", "", p.text.T("admin.flag_sort"))
	flags.IntVar(&query.Limit, "limit", 0, p.text.T("admin.flag_limit"))
	flags.BoolVar(&watch, "watch", false, p.text.T("admin.flag_watch"))
	p.completeIDs(sessions)
	sessions.RegisterFlagCompletionFunc("sort", completions(control.SessionSortKeys()...))

	var yes bool
	kick := p.command("kick", []string{"session"}, func(cmd *cobra.Command, args []string) error {
		if args[0] == "" {
			return wrongUsage("admin.wrong_arguments", "usage", cmd.UseLine())
		}
		return p.withDaemon(func(client *control.Client) error {
			if err := p.agree(yes, "admin.confirm_kick", "session", locale.Clean(args[0])); err != nil {
				return err
			}
			if err := client.CloseSession(cmd.Context(), args[0], time.Time{}); err != nil {
				return err
			}
			p.say("admin.kicked", "session", locale.Clean(args[0]))
			return nil
		})
	})
	kick.Flags().BoolVar(&yes, "yes", false, p.text.T("admin.flag_yes"))
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
func (p *program) sessions(ctx context.Context, client *control.Client, ref string, query control.SessionQuery) error {
	if ref != "" {
		a, err := find(ctx, client, ref)
		if err != nil {
			return err
		}
		query.AppID = a.ID
	}
	found, total, err := allSessions(ctx, client, query)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(found)
	}
	apps, err := client.Apps(ctx)
	if err != nil {
		return err
	}
	p.printSessions(found, apps)
	if total > len(found) {
		p.say("admin.more_sessions", "shown", len(found), "total", total)
	}
	return nil
}

// allSessions reads page after page, up to query.Limit sessions or all. total is
// how many there are.
func allSessions(
	ctx context.Context, client *control.Client, query control.SessionQuery,
) (found []control.Session, total int, err error) {
	const pageSize = 1000
	most := query.Limit
	found = []control.Session{}
	for {
		query.Limit = pageSize
		if most > 0 {
			query.Limit = min(pageSize, most-len(found))
		}
		page, err := client.Sessions(ctx, query)
		if err != nil {
			return nil, 0, err
		}
		found = append(found, page.Sessions...)
		query.After = page.Next
		if page.Next == "" || most > 0 && len(found) >= most {
			return found, page.Total, nil
		}
	}
}

// watchEvery is how often the sessions are shown anew.
const watchEvery = time.Second

// watchSessions shows the sessions that match again and again. On a terminal they
// stay in place and fill the screen; a script gets one list after the other.
func (p *program) watchSessions(
	ctx context.Context, client *control.Client, ref string, query control.SessionQuery,
) error {
	terminal, onTerminal := p.terminal()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		var screen bytes.Buffer
		shown := query
		if onTerminal && !p.json && query.Limit == 0 {
			if _, height, err := term.GetSize(terminal); err == nil {
				shown.Limit = max(height-screenMargin, 1)
			}
		}
		if err := p.onto(&screen).sessions(ctx, client, ref, shown); err != nil {
			return err
		}
		if onTerminal && !p.json {
			// Home, and each line wiped behind its text, so that nothing flickers.
			fmt.Fprint(p.stdout, "\x1b[H", strings.ReplaceAll(screen.String(), "\n", "\x1b[K\n"), "\x1b[J")
		} else if _, err := p.stdout.Write(screen.Bytes()); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// screenMargin is what a screen has beside the rows: the header, the line below
// them, and the one the cursor is in.
const screenMargin = 3

// How much of an app's title and of an id a table shows, in cells: one long id would
// pad every row. A UUID has 36.
const (
	maxTitleWidth = 24
	maxIDWidth    = 40
)

// shortID is an id as a table shows it.
func shortID(id string) string { return shortText(locale.Clean(id)) }

// shortText is as much of a text that is harmless as a table shows.
func shortText(text string) string { return cells.Truncate(text, maxIDWidth) }

// sessionColumn is a column of the table of sessions.
type sessionColumn struct {
	title string // in the catalogue
	cell  func(control.Session) string
}

// sessionColumns are the columns of a table: what only newer add-ins say has one if one
// of the sessions says it.
func (p *program) sessionColumns(sessions []control.Session, apps []control.App) []sessionColumn {
	words := p.words(apps)
	titles := make(map[string]string)
	for _, a := range apps {
		titles[a.ID] = cells.Truncate(locale.Clean(a.Title), maxTitleWidth)
	}
	columns := []sessionColumn{
		{"admin.column_id", func(s control.Session) string { return s.ID }},
		{"admin.column_app", func(s control.Session) string { return titles[s.AppID] }},
		{"admin.column_ib", func(s control.Session) string { return shortText(say.Name(s.IbID, s.IbName)) }},
		{"admin.column_user", func(s control.Session) string { return shortText(say.Name(s.UserID, s.UserName)) }},
		{"admin.column_group", func(s control.Session) string { return shortID(strings.Join(s.InGroups(), ", ")) }},
		{"admin.column_addr", func(s control.Session) string { return s.Addr }},
		{"admin.column_age", func(s control.Session) string { return words.Age(time.Since(s.Since)) }},
		{"admin.column_delivered", func(s control.Session) string { return fmt.Sprint(s.Delivered) }},
		{"admin.column_queued", func(s control.Session) string { return fmt.Sprint(s.Queued) }},
	}
	for _, said := range []sessionColumn{
		{"admin.column_host", func(s control.Session) string { return shortID(s.Host) }},
		{"admin.column_agent", func(s control.Session) string { return shortID(s.Agent) }},
		{"admin.column_state", p.away},
	} {
		if slices.ContainsFunc(sessions, func(s control.Session) bool { return said.cell(s) != "" }) {
			columns = append(columns, said)
		}
	}
	return columns
}

// away says since when a session has no connection; nothing of one that has.
func (p *program) away(s control.Session) string {
	if s.DetachedAt == nil {
		return ""
	}
	return p.text.T("admin.away_since", "time", s.DetachedAt.Local().Format(time.TimeOnly))
}

// printSessions prints the table of sessions.
func (p *program) printSessions(sessions []control.Session, apps []control.App) {
	columns := p.sessionColumns(sessions, apps)
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = p.text.T(c.title)
	}
	var rows [][]string
	for _, s := range sessions {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.cell(s)
		}
		rows = append(rows, row)
	}
	p.printTable(header, rows)
}
