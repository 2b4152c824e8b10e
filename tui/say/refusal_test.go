package say_test

import (
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
