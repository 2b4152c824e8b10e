package say_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

func TestARefusalIsSaidByItsCode(t *testing.T) {
	t.Parallel()
	for _, lang := range []locale.Lang{locale.Russian, locale.English} {
		text := locale.New(lang)
		for name, place := range map[string]say.Place{"admin": say.OnCommandLine, "tui": say.InPanel} {
			// Both places have a text of their own for what an administrator runs into.
			for _, code := range []string{
				control.CodeAppNotFound, control.CodeSessionNotFound, control.CodeBadRequest, control.CodeBadTitle, control.CodeBadGrace,
				control.CodeTooManyKeys, control.CodeTooLarge, control.CodeForbidden, control.CodeBadSettings, control.CodeTooManyFollowers,
				control.CodeNotStored, control.CodeInternal,
				control.CodeNodeNotFound, control.CodeNodeUnreachable,
				control.CodeNoCluster, control.CodeJoined, control.CodeNeverJoined, control.CodeAppsDiffer,
			} {
				got := say.Refusal(text, place, &control.Error{Code: code, Message: "the daemon's words"})
				if got == text.T(name+".failed", "error", "the daemon's words") {
					t.Errorf("%s: %s has no text for %s", lang, name, code)
				}
			}
			got := say.Refusal(text, place, &control.Error{Code: "of_tomorrow", Message: "the \x1bdaemon's words"})
			if want := text.T(name+".failed", "error", `the \x1bdaemon's words`); got != want || strings.Contains(got, "\x1b") {
				t.Errorf("%s: %s says %q, want %q", lang, name, got, want)
			}
		}
	}
}

func TestARefusalNamesThoseWhoFollow(t *testing.T) {
	t.Parallel()
	e := &control.Error{Code: control.CodeTooManyFollowers, Holders: []control.Holder{
		{User: "root", PID: 812, Streams: 60}, {User: "\x1bzabbix", Streams: 4},
	}}
	for lang, want := range map[locale.Lang]string{
		locale.Russian: `root, процесс 812 (потоков: 60); \x1bzabbix (потоков: 4)`,
		locale.English: `root, process 812 (streams: 60); \x1bzabbix (streams: 4)`,
	} {
		for _, place := range []say.Place{say.OnCommandLine, say.InPanel} {
			if got := say.Refusal(locale.New(lang), place, e); !strings.Contains(got, want) {
				t.Errorf("%s: %q does not name %q", lang, got, want)
			}
		}
	}
}

func TestWhyTheDaemonCannotBeReachedIsSaidByItsKind(t *testing.T) {
	t.Parallel()
	failed := errors.New("a fault of \x1bits own")
	for _, lang := range []locale.Lang{locale.Russian, locale.English} {
		text := locale.New(lang)
		for _, c := range []struct {
			place say.Place
			e     control.ConnectError
			want  string
		}{
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectMissing, Path: "/p"}, text.T("admin.daemon_missing", "path", "/p")},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectRefused, Path: "/p"}, text.T("admin.daemon_refused", "path", "/p")},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectTooLong, Path: "/p"},
				text.T("admin.daemon_path_too_long", "path", "/p", "bytes", 2)},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectNotSocket, Path: "/p"}, text.T("admin.daemon_not_socket", "path", "/p")},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectForeign, Path: "/p", Err: failed},
				text.T("admin.daemon_foreign", "path", "/p", "error", failed)},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectDenied, Path: "/p"}, text.T("admin.daemon_denied", "path", "/p")},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectDenied, Path: "/p", Group: "g"},
				text.T("admin.daemon_denied_group", "path", "/p", "group", "g")},
			{say.OnCommandLine, control.ConnectError{Kind: control.ConnectFailed, Path: "/p", Err: failed},
				text.T("admin.daemon_failed", "path", "/p", "error", failed)},
			{say.InPanel, control.ConnectError{Kind: control.ConnectMissing, Path: "/p"}, text.T("tui.daemon_missing", "path", "/p")},
			{say.InPanel, control.ConnectError{Kind: control.ConnectRefused, Path: "/p"}, text.T("tui.daemon_refused", "path", "/p")},
			{say.InPanel, control.ConnectError{Kind: control.ConnectTooLong, Err: failed}, text.T("tui.failed", "error", failed)},
			{say.InPanel, control.ConnectError{Kind: control.ConnectDenied, Path: "/p", Group: "g"}, text.T("tui.daemon_denied", "path", "/p")},
			{say.InPanel, control.ConnectError{Kind: control.ConnectFailed, Err: failed}, text.T("tui.failed", "error", failed)},
		} {
			if got := say.Unreachable(text, c.place, &c.e); got != c.want || strings.Contains(got, "\x1b") {
				t.Errorf("%s: kind %d is said as %q, want %q", lang, c.e.Kind, got, c.want)
			}
		}
	}
}
