package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui/say"
)

// The forms of -o. JSON is what --json asks for, and every command has it; which of
// the others a command has is in its annotations.
const (
	formWide = "wide" // tables with all columns, nothing cut, ids beside names
	formJSON = "json"
	formName = "name" // the ids alone, a line each
)

// formsOf is the annotation of a command with the forms that it has beside JSON.
const formsOf = "forms"

// withForms says which forms a command has beside JSON.
func withForms(cmd *cobra.Command, forms ...string) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = make(map[string]string)
	}
	cmd.Annotations[formsOf] = strings.Join(forms, " ")
	return cmd
}

// allForms are the forms that a command has.
func allForms(cmd *cobra.Command) []string {
	return append(strings.Fields(cmd.Annotations[formsOf]), formJSON)
}

// checkForm refuses a form that the command does not have.
func (p *program) checkForm(cmd *cobra.Command) error {
	forms := allForms(cmd)
	switch {
	case p.form == "":
	case !slices.Contains(forms, p.form):
		return wrongUsage("admin.no_such_form", "form", locale.Clean(p.form), "forms", strings.Join(forms, ", "))
	case p.form == formJSON:
		p.json = true
	case p.json:
		return wrongUsage("admin.json_or_form")
	}
	return nil
}

// wide reports whether a table is to have all that there is.
func (p *program) wide() bool { return p.form == formWide }

// onlyNames reports whether only ids are to be printed.
func (p *program) onlyNames() bool { return p.form == formName }

// named is a user or an infobase as a table shows it.
func (p *program) named(id, name string) string {
	if p.wide() {
		return say.InFull(id, name)
	}
	return p.short(say.Name(id, name))
}

// printNames writes the id of each object on a line of its own.
func printNames[T any](p *program, objects []T, id func(T) string) error {
	for _, object := range objects {
		if _, err := fmt.Fprintln(p.stdout, locale.Clean(id(object))); err != nil {
			return err
		}
	}
	return nil
}
