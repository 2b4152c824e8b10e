package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// keysFileCommands carry apps from and to the old product's keys file.
func (p *program) keysFileCommands() []*cobra.Command {
	commands := []*cobra.Command{
		p.withRegistry("import", []string{"file"}, p.importKeys),
		p.withRegistry("export", []string{"file"}, p.exportKeys),
	}
	for _, cmd := range commands {
		cmd.ValidArgsFunction = nil // files
	}
	return commands
}

func (p *program) importKeys(ctx context.Context, r registry, args []string) error {
	in := p.stdin
	if args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return failure("admin.cannot_read", "path", args[0], "error", files.WithoutPath(err))
		}
		defer file.Close()
		in = file
	}
	// Read here: what is wrong with the file is not the daemon's fault.
	content, err := io.ReadAll(io.LimitReader(in, app.MaxImportBytes+1))
	if err != nil {
		return failure("admin.cannot_read", "path", args[0], "error", files.WithoutPath(err))
	}
	report, err := r.Import(ctx, bytes.NewReader(content))
	if err != nil {
		return err
	}
	for _, problem := range report.Problems {
		p.warn("admin.import_problem", "line", problem.Line, "what", p.importProblem(problem))
	}
	if report.Omitted > 0 {
		p.warn("admin.import_omitted", "N", report.Omitted)
	}
	p.say("admin.imported", "N", len(report.Imported))
	if len(report.Present) > 0 {
		p.say("admin.import_present", "N", len(report.Present))
	}
	if p.json {
		if err := p.printJSON(report); err != nil {
			return err
		}
	} else {
		for _, a := range report.Imported {
			fmt.Fprintf(p.stdout, "%s  %s\n", a.ID, locale.Clean(a.Title))
		}
	}
	if len(report.Imported)+len(report.Present) == 0 && len(report.Problems) > 0 {
		return failure("admin.nothing_imported")
	}
	return p.settled(report.PendingNodes)
}

// importProblem says a problem by its code; one without a text of ours in the
// daemon's own words.
func (p *program) importProblem(problem control.ImportProblem) string {
	id := "import." + problem.Code
	if text := p.text.T(id, "title", locale.Clean(problem.Title)); text != id {
		return text
	}
	return locale.Clean(problem.Detail)
}

func (p *program) exportKeys(ctx context.Context, r registry, args []string) error {
	if args[0] == "-" {
		return r.Export(ctx, p.stdout)
	}
	var content bytes.Buffer
	if err := r.Export(ctx, &content); err != nil {
		return err
	}
	if err := writeNewFile(args[0], content.Bytes()); err != nil {
		return err
	}
	p.say("admin.exported", "path", args[0])
	return nil
}
