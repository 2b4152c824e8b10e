package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestExitStatusAndMessageFollowFromTheError(t *testing.T) {
	t.Parallel()
	unreachable := func(kind control.ConnectKind, group string) error {
		return &control.ConnectError{
			Path:  "/run/x/control.sock",
			Kind:  kind,
			Group: group,
			Err:   errors.New("the cause"),
		}
	}
	refused := func(code string) error { return &control.Error{Code: code, Message: "in the \x1bdaemon's words"} }
	for _, test := range []struct {
		name   string
		err    error
		status int
		ru, en string // parts of the messages
	}{
		{"no daemon", unreachable(control.ConnectMissing, ""), exitUnreachable, "/run/x/control.sock",
			"is not running"},
		{"a stale socket", unreachable(control.ConnectRefused, ""), exitUnreachable, "/run/x/control.sock", "crashed"},
		{"no permission", unreachable(control.ConnectDenied, "operators"), exitUnreachable, "operators",
			"join the group operators"},
		{"no permission, no group", unreachable(control.ConnectDenied, ""), exitUnreachable, "sudo", "sudo"},
		{"another cause", unreachable(control.ConnectFailed, ""), exitUnreachable, "the cause", "the cause"},
		{"wrapped", fmt.Errorf("listing: %w", unreachable(control.ConnectMissing, "")), exitUnreachable, "не запущена",
			"is not running"},
		{"no such app", refused(control.CodeAppNotFound), exitNotFound, "приложения нет", "no such app"},
		{"no such session", refused(control.CodeSessionNotFound), exitNotFound, "сеанса нет", "no such session"},
		{"no such node", &control.Error{Code: control.CodeNodeNotFound, Node: "\x1bweb9"}, exitNotFound, `узла «\x1bweb9»`,
			`no node “\x1bweb9”`},
		{"a node that is away", &control.Error{Code: control.CodeNodeUnreachable, Node: "web2"}, exitFailed,
			"web2 не отвечает", "web2 does not answer"},
		{"no such app in the database", app.ErrNotFound, exitNotFound, "приложения нет", "no such app"},
		{"a bad title", refused(control.CodeBadTitle), exitFailed, "Название", "A title"},
		{"a bad title in the database", fmt.Errorf("creating: %w", app.ErrBadTitle), exitFailed, "Название", "A title"},
		{"on the way to another process", refused(control.CodeHandingOver), exitFailed, "Повторите команду",
			"Try again"},
		{"no database", refused(control.CodeDatabaseUnavailable), exitFailed, "база недоступна",
			"the database is not available"},
		{"no cluster", refused(control.CodeClusterUnavailable), exitFailed, "узлы кластера", "the nodes of the cluster"},
		{"others are faster", refused(control.CodeClusterConflict), exitFailed, "на других узлах", "on other nodes"},
		{"an unknown outcome", refused(control.CodeOutcomeUnknown), exitFailed,
			"посмотрите, есть ли оно: «pns4onesadmin list»", "look whether it is there: “pns4onesadmin list”"},
		{"an unknown outcome in the database", fmt.Errorf("creating: %w", app.ErrOutcomeUnknown), exitFailed,
			"Прежде чем повторять", "Before you try again"},
		{"a code of a newer daemon", refused("of_tomorrow"), exitFailed, `in the \x1bdaemon's words`,
			`in the \x1bdaemon's words`},
		{"wrong usage", wrongUsage("admin.bad_limit"), exitUsage, "--limit", "--limit"},
		{"a failure", failure("admin.session_ended"), exitFailed, "Служба закрыла", "The daemon closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := exitStatus(test.err); got != test.status {
				t.Errorf("exit status %d, want %d", got, test.status)
			}
			for lang, part := range map[locale.Lang]string{locale.Russian: test.ru, locale.English: test.en} {
				p := &program{text: locale.New(lang)}
				if got := p.errorText(test.err); !strings.Contains(strings.ToLower(got), strings.ToLower(part)) ||
					strings.Contains(got, "\x1b") {
					t.Errorf("%s: it says %q, want %q in it", lang, got, part)
				}
			}
		})
	}
}
