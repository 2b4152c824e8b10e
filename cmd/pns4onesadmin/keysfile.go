package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// keysFileCommands carry apps from and to the old product's keys file.
func (p *program) keysFileCommands() []*cobra.Command {
	return []*cobra.Command{
		p.withStore("import", []string{"file"}, p.importKeys),
		p.withStore("export", []string{"file"}, p.exportKeys),
	}
}

func (p *program) importKeys(ctx context.Context, s store, args []string) error {
	in := p.stdin
	if args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return failure("admin.cannot_read", "path", args[0], "error", reason(err))
		}
		defer file.Close()
		in = file
	}
	report, err := s.Import(ctx, in)
	if err != nil {
		return err
	}
	for _, problem := range report.Problems {
		p.say("admin.import_problem", "line", problem.Line, "what", p.importProblem(problem))
	}
	if report.Omitted > 0 {
		p.say("admin.import_omitted", "N", report.Omitted)
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
	return nil
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

func (p *program) exportKeys(ctx context.Context, s store, args []string) error {
	if args[0] == "-" {
		return s.Export(ctx, p.stdout)
	}
	// Whole or not at all, and never over another file: it may be the only copy
	// of somebody's keys.
	var content bytes.Buffer
	if err := s.Export(ctx, &content); err != nil {
		return err
	}
	file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return failure("admin.file_exists", "path", args[0])
	}
	if err == nil {
		err = fill(file, &content)
	}
	if err != nil {
		return failure("admin.cannot_write", "path", args[0], "error", reason(err))
	}
	p.say("admin.exported", "path", args[0])
	return nil
}

// fill writes a new file, or removes it.
func fill(file *os.File, content io.Reader) error {
	_, err := io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// reason is an error without the path, which is said beside it.
func reason(err error) string {
	if where, ok := errors.AsType[*fs.PathError](err); ok {
		return where.Err.Error()
	}
	return err.Error()
}
