package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// namesAction is what can be done with the names of an app: names WORD APP ARGUMENTS.
type namesAction struct {
	word      string
	arguments string // after the app, as the usage has them
	do        func(ctx context.Context, r registry, a control.App, args []string) error
}

// namesCommand shows and changes what users and infobases are called.
func (p *program) namesCommand() *cobra.Command {
	merge := false
	actions := []namesAction{
		{"import", "FILE|-", func(ctx context.Context, r registry, a control.App, args []string) error {
			return p.importNames(ctx, r, a, args[0], merge)
		}},
		{"list", "", p.listNames},
		{"export", "FILE|-", p.exportNames},
		{"clear", "", p.clearNames},
		{"set", "ib|user ID NAME", p.setName},
	}
	words := make([]string, len(actions))
	for i, action := range actions {
		words[i] = action.word
	}
	cmd := p.command("names", []string{"action", "app", "more"}, nil)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return wrongUsage("admin.wrong_arguments", "usage", cmd.UseLine())
		}
		for _, action := range actions {
			if action.word != args[0] {
				continue
			}
			if len(args) != 2+len(strings.Fields(action.arguments)) {
				usage := strings.TrimSpace(commandName + " names " + action.word + " APP " + action.arguments)
				return wrongUsage("admin.wrong_arguments", "usage", usage)
			}
			if merge && action.word != "import" {
				return wrongUsage("admin.merge_imports")
			}
			return nil
		}
		return wrongUsage("admin.names_unknown_action", "action", locale.Clean(args[0]), "actions",
			strings.Join(words, ", "))
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := p.openRegistry()
		if err != nil {
			return err
		}
		defer r.Close()
		a, err := find(cmd.Context(), r, args[1])
		if err != nil {
			return err
		}
		for _, action := range actions {
			if action.word == args[0] {
				return action.do(cmd.Context(), r, a, args[2:])
			}
		}
		return nil // Args lets no other through
	}
	cmd.Flags().BoolVar(&merge, "merge", false, p.text.T("admin.flag_merge"))
	cmd.ValidArgsFunction = func(
		cmd *cobra.Command, args []string, begun string,
	) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return words, cobra.ShellCompDirectiveNoFileComp
		case len(args) == 1:
			return p.completeApps(cmd, args, begun)
		case len(args) == 2 && (args[0] == "import" || args[0] == "export"):
			return nil, cobra.ShellCompDirectiveDefault
		case len(args) == 2 && args[0] == "set":
			return control.NameKinds(), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return withForms(cmd, formWide, formName)
}

func (p *program) importNames(ctx context.Context, r registry, a control.App, path string, merge bool) error {
	in := p.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return failure("admin.cannot_read", "path", path, "error", files.WithoutPath(err))
		}
		defer file.Close()
		in = file
	}
	// Here already, so that the person is told what the matter is, and not that the
	// daemon has hung up.
	content, err := io.ReadAll(io.LimitReader(in, names.MaxFileBytes+1))
	switch {
	case err != nil:
		return failure("admin.cannot_read", "path", path, "error", files.WithoutPath(err))
	case len(content) > names.MaxFileBytes:
		return names.ErrFileTooLarge
	}
	report, err := r.ImportNames(ctx, a.ID, bytes.NewReader(content), merge)
	if err != nil {
		return err
	}
	if report.Header {
		p.say("admin.names_header")
	}
	p.say("admin.names_imported", "title", locale.Clean(a.Title), "read", report.Read, "users", report.Users,
		"infobases", report.Infobases)
	return p.printNamesReport(report)
}

func (p *program) printNamesReport(report control.NamesReport) error {
	if pending := report.PendingNodes; len(pending) > 0 {
		p.warn("admin.pending_names", "N", len(pending), "nodes", locale.Clean(strings.Join(pending, ", ")))
	}
	if p.json {
		return p.printJSON(report)
	}
	return nil
}

// namesChanged says what an app's names are after a change.
func (p *program) namesChanged(a control.App, report control.NamesReport) error {
	p.say("admin.names_changed", "title", locale.Clean(a.Title), "users", report.Users, "infobases", report.Infobases)
	return p.printNamesReport(report)
}

func (p *program) listNames(ctx context.Context, r registry, a control.App, _ []string) error {
	all, err := r.Names(ctx, a.ID)
	if err != nil {
		return err
	}
	switch {
	case p.json:
		return p.printJSON(all)
	case p.onlyNames():
		return printNames(p, all, func(n control.Name) string { return n.ID })
	}
	if len(all) == 0 {
		p.say("admin.names_nobody", "title", locale.Clean(a.Title))
		return nil
	}
	rows := make([][]string, len(all))
	for i, n := range all {
		rows[i] = []string{locale.Clean(n.Kind), p.shortID(n.ID), locale.Clean(n.Name)}
	}
	p.printTable([]column{
		{title: p.text.T("admin.column_kind")},
		{title: p.text.T("admin.column_name_id")},
		{title: p.text.T("admin.column_name")},
	}, rows)
	return nil
}

func (p *program) exportNames(ctx context.Context, r registry, a control.App, args []string) error {
	if args[0] == "-" {
		return r.ExportNames(ctx, a.ID, p.stdout)
	}
	var content bytes.Buffer
	if err := r.ExportNames(ctx, a.ID, &content); err != nil {
		return err
	}
	if err := writeNewFile(args[0], content.Bytes()); err != nil {
		return err
	}
	p.say("admin.names_exported", "title", locale.Clean(a.Title), "path", args[0])
	return nil
}

func (p *program) clearNames(ctx context.Context, r registry, a control.App, _ []string) error {
	report, err := r.ClearNames(ctx, a.ID)
	if err != nil {
		return err
	}
	return p.namesChanged(a, report)
}

// setName gives an id a name; an empty name takes it away.
func (p *program) setName(ctx context.Context, r registry, a control.App, args []string) error {
	kind, known := names.ParseKind(args[0])
	if !known {
		return wrongUsage("admin.names_kind", "kind", locale.Clean(args[0]))
	}
	report, err := r.SetName(ctx, a.ID, control.Name{Kind: kind.String(), ID: args[1], Name: args[2]})
	if err != nil {
		return err
	}
	return p.namesChanged(a, report)
}
