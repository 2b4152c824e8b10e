package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/describe"
	"github.com/pns4ones/pns4ones/tui/say"
)

// Exit statuses. Scripts rely on them, and the man page lists them.
const (
	exitDone        = 0
	exitFailed      = 1 // the daemon refused, or it failed
	exitUsage       = 2 // a command line that cannot be understood
	exitUnreachable = 3 // no daemon, or no permission to speak with it
	exitNotFound    = 4 // no such app, session, user or node
	exitUndelivered = 5 // the message was sent, but not every recipient is connected (--require-delivery)
)

// usageError is a command line that cannot be understood.
type usageError struct{ *locale.Text }

func wrongUsage(id string, args ...any) error { return usageError{locale.NewText(id, args...)} }

// notFoundError says that there is nobody, or nothing, of a name.
type notFoundError struct{ *locale.Text }

// undeliveredError is a message that did not reach all who were to get it.
type undeliveredError struct{ *locale.Text }

// failure is a command that could not do its work, said in the person's language.
func failure(id string, args ...any) error { return locale.NewText(id, args...) }

// exitStatus decides by the error with which status the program ends.
func exitStatus(err error) int {
	var (
		usage       usageError
		unreachable *control.ConnectError
	)
	switch {
	case errors.As(err, &usage), isFlagError(err):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, new(notFoundError)):
		return exitNotFound
	case errors.As(err, new(undeliveredError)):
		return exitUndelivered
	}
	if e := refusalOf(err); e != nil && slices.Contains(notFoundCodes, e.Code) {
		return exitNotFound
	}
	return exitFailed
}

// notFoundCodes are those of refusals that end with exitNotFound.
var notFoundCodes = []string{control.CodeAppNotFound, control.CodeSessionNotFound, control.CodeNodeNotFound}

// refusalOf is what the daemon refused, or would have refused where the database was
// used without it; nil if it is something else that went wrong.
func refusalOf(err error) *control.Error {
	if refusal, ok := errors.AsType[*control.Error](err); ok {
		return refusal
	}
	return describe.Refusal(err)
}

func isFlagError(err error) bool {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	return errors.As(err, &unknown) || errors.As(err, &missing) || errors.As(err, &invalid) || errors.As(err, &syntax)
}

// errorText says an error in the person's language: what failed, why, and what to
// do. Errors that bring their own text are said as they are. It is empty for what
// needs no saying.
func (p *program) errorText(err error) string {
	var (
		unknown     *pflag.NotExistError
		missing     *pflag.ValueRequiredError
		invalid     *pflag.InvalidValueError
		syntax      *pflag.InvalidSyntaxError
		unreachable *control.ConnectError
		ambiguous   *app.AmbiguousError
		text        locale.Localized
	)
	switch {
	case p.misread(err):
		return p.text.T("admin.not_utf8")
	case errors.As(err, &text):
		return p.text.Error(text)
	case errors.As(err, &unknown):
		return p.text.T("admin.unknown_flag", "flag", dashed(unknown.GetSpecifiedName()))
	case errors.As(err, &missing):
		return p.text.T("admin.flag_needs_value", "flag", "--"+missing.GetFlag().Name)
	case errors.As(err, &invalid):
		id := "admin.flag_bad_value"
		if invalid.GetFlag().Value.Type() == "int" {
			id = "admin.flag_bad_number"
		}
		return p.text.T(id, "flag", "--"+invalid.GetFlag().Name, "value", invalid.GetValue())
	case errors.As(err, &syntax):
		return p.text.T("admin.flag_bad_syntax", "flag", locale.Clean(syntax.GetSpecifiedFlag()))
	case errors.As(err, &unreachable):
		return p.unreachable(unreachable)
	case errors.As(err, &ambiguous):
		return p.text.T("admin.ambiguous", "ref", locale.Clean(ambiguous.Ref), "ids", lines(ambiguous.IDs))
	case errors.Is(err, app.ErrLocked):
		return p.text.T("admin.db_locked", "path", p.db)
	case errors.Is(err, app.ErrDamaged):
		return p.text.T("admin.db_damaged", "path", p.db, "error", err)
	case errors.Is(err, app.ErrNewer):
		return p.text.T("admin.db_newer", "path", p.db, "error", err)
	case refusalOf(err) != nil:
		return say.Refusal(p.text, say.OnCommandLine, refusalOf(err))
	case errors.Is(err, fs.ErrPermission):
		return p.text.T("admin.no_permission", "error", err)
	case errors.Is(err, context.Canceled):
		return "" // the person ended it
	}
	return p.text.T("admin.failed", "error", err)
}

// misread reports whether an error is about a text of the command line that is in
// another encoding, of which the error itself knows nothing: a title that a script in
// CP1251 gives, for one.
func (p *program) misread(err error) bool {
	if !slices.ContainsFunc(p.args, func(arg string) bool { return !utf8.ValidString(arg) }) {
		return false
	}
	var refusal *control.Error
	return errors.As(err, &refusal) || errors.Is(err, app.ErrBadTitle) || errors.Is(err, app.ErrNotFound)
}

// dashed writes a flag as it is given: one dash before a letter, two before a word.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// unreachable says why the daemon cannot be reached and what to check.
func (p *program) unreachable(e *control.ConnectError) string {
	said := *e
	if e.Kind == control.ConnectMissing && len(p.tried) > 0 {
		said.Path = strings.Join(p.tried, ", ")
	}
	return say.Unreachable(p.text, say.OnCommandLine, &said)
}
