package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// sessionCommands list the sessions and close some.
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
		if err := checkSort(query.Sort); err != nil {
			return err
		}
		return p.withDaemon(func(client *control.Client) error {
			if !watch {
				return p.sessions(cmd.Context(), client, ref, query)
			}
			return p.watch(cmd.Context(), func(ctx context.Context, p *program, height int) error {
				shown := query
				if height > 0 && query.Limit == 0 {
					shown.Limit = height
				}
				return p.sessions(ctx, client, ref, shown)
			})
		})
	})
	flags := sessions.Flags()
	flags.StringVar(&ref, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&query.IbID, "ib", "", p.text.T("admin.flag_ib_name"))
	flags.StringVar(&query.UserID, "user", "", p.text.T("admin.flag_user_name"))
	flags.StringVar(&query.UserGroup, "group", "", p.text.T("admin.flag_group"))
	flags.StringVar(&query.Text, "search", "", p.text.T("admin.flag_search"))
	flags.StringVar(&query.Sort, "sort", "", p.text.T("admin.flag_sort"))
	flags.IntVar(&query.Limit, "limit", 0, p.text.T("admin.flag_limit"))
	flags.BoolVar(&watch, "watch", false, p.text.T("admin.flag_watch"))
	p.completeNames(sessions)
	sessions.RegisterFlagCompletionFunc("sort", completions(control.SessionSortKeys()...))

	return []*cobra.Command{withForms(sessions, formWide, formName), p.kickCommand()}
}

// checkSort refuses an order that there is not, before the daemon is asked.
func checkSort(order string) error {
	keys := control.SessionSortKeys()
	if order != "" && !slices.Contains(keys, strings.TrimPrefix(order, "-")) {
		return wrongUsage("admin.unknown_sort", "sort", locale.Clean(order), "keys", strings.Join(keys, ", "))
	}
	return nil
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
	found, total, missing, err := allSessions(ctx, client, query)
	if err != nil {
		return err
	}
	p.missing(missing)
	switch {
	case p.json:
		return p.printJSON(found)
	case p.onlyNames():
		return printNames(p, found, func(s control.Session) string { return s.ID })
	}
	apps, err := client.Apps(ctx)
	if err != nil {
		return err
	}
	p.printSessions(found, apps)
	if total > len(found) {
		p.say("admin.more_sessions", "shown", count(p, len(found)), "total", count(p, total))
	}
	return nil
}

// maxOfPage is how many sessions the daemon gives at once.
const maxOfPage = 1000

// allSessions reads page after page, up to query.Limit sessions or all. total is
// how many there are, missing are nodes of the cluster that did not answer.
func allSessions(
	ctx context.Context, client *control.Client, query control.SessionQuery,
) (found []control.Session, total int, missing []string, err error) {
	most := query.Limit
	found = []control.Session{}
	for {
		query.Limit = maxOfPage
		if most > 0 {
			query.Limit = min(maxOfPage, most-len(found))
		}
		page, err := client.Sessions(ctx, query)
		if err != nil {
			return nil, 0, nil, err
		}
		found = append(found, page.Sessions...)
		for _, node := range page.MissingNodes {
			if !slices.Contains(missing, node) {
				missing = append(missing, node)
			}
		}
		query.After = page.Next
		if page.Next == "" || most > 0 && len(found) >= most {
			return found, page.Total, missing, nil
		}
	}
}

// findSession finds the session of a number, which is one of the asked node if it names none. Of a
// session of a node that does not answer it returns nothing but the number.
func findSession(ctx context.Context, client *control.Client, id string) (control.Session, error) {
	if !strings.Contains(id, "@") {
		status, err := client.Status(ctx)
		if err != nil {
			return control.Session{}, err
		}
		if status.Cluster != nil {
			id += "@" + status.Cluster.Node
		}
	}
	_, node, _ := strings.Cut(id, "@")
	query := control.SessionQuery{Limit: maxOfPage}
	for {
		page, err := client.Sessions(ctx, query)
		if err != nil {
			return control.Session{}, err
		}
		at := slices.IndexFunc(page.Sessions, func(s control.Session) bool { return s.ID == id })
		switch {
		case at >= 0:
			return page.Sessions[at], nil
		case slices.Contains(page.MissingNodes, node):
			return control.Session{ID: id}, nil
		case page.Next == "":
			return control.Session{}, &control.Error{Code: control.CodeSessionNotFound}
		}
		query.After = page.Next
	}
}

// sessionColumn is a column of the table of sessions.
type sessionColumn struct {
	title                string // in the catalogue
	number, whole, spare bool   // see column
	cell                 func(control.Session) string
}

// sessionColumns are the columns of a table: what only newer add-ins say has one if one
// of the sessions says it.
func (p *program) sessionColumns(sessions []control.Session, apps []control.App) []sessionColumn {
	words := p.words(apps)
	titles := make(map[string]string)
	for _, a := range apps {
		titles[a.ID] = p.shortTitle(a.Title)
	}
	columns := []sessionColumn{
		{"admin.column_id", true, false, false, func(s control.Session) string { return s.ID }},
		{"admin.column_app", false, false, false, func(s control.Session) string { return titles[s.AppID] }},
		{"admin.column_ib", false, false, false, func(s control.Session) string { return p.named(s.IbID, s.IbName) }},
		{"admin.column_user", false, false, false, func(s control.Session) string { return p.named(s.UserID, s.UserName) }},
		{"admin.column_group", false, false, true, func(s control.Session) string {
			return p.shortID(strings.Join(s.InGroups(), ", "))
		}},
		{"admin.column_addr", false, false, true, func(s control.Session) string { return s.Addr }},
		{"admin.column_age", true, false, false, func(s control.Session) string {
			if s.DetachedAt != nil {
				return ""
			}
			return words.Age(time.Since(s.Since))
		}},
		{"admin.column_delivered", true, false, false, func(s control.Session) string { return count(p, s.Delivered) }},
		{"admin.column_queued", true, false, true, func(s control.Session) string { return count(p, s.Queued) }},
	}
	for _, said := range []sessionColumn{
		{"admin.column_host", false, false, true, func(s control.Session) string { return p.shortID(s.Host) }},
		{"admin.column_agent", false, false, true, func(s control.Session) string { return p.shortID(s.Agent) }},
		{"admin.column_state", false, true, false, func(s control.Session) string {
			if s.DetachedAt == nil {
				return ""
			}
			return p.text.T("admin.away_for", "age", words.Age(time.Since(*s.DetachedAt)))
		}},
	} {
		if slices.ContainsFunc(sessions, func(s control.Session) bool { return said.cell(s) != "" }) {
			columns = append(columns, said)
		}
	}
	return columns
}

// printSessions prints the table of sessions.
func (p *program) printSessions(sessions []control.Session, apps []control.App) {
	of := p.sessionColumns(sessions, apps)
	columns := make([]column, len(of))
	for i, c := range of {
		columns[i] = column{title: p.text.T(c.title), number: c.number, whole: c.whole, spare: c.spare}
	}
	var rows [][]string
	for _, s := range sessions {
		row := make([]string, len(of))
		for i, c := range of {
			row[i] = c.cell(s)
		}
		rows = append(rows, row)
	}
	p.printTable(columns, rows)
}
