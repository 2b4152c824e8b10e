package locale_test

import (
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
)

func TestCleanMakesTextFromOutsideHarmless(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Иванов И. И.":       "Иванов И. И.",
		"\x1b[2J":            `\x1b[2J`,
		"a\nb\tc\r":          `a\x0ab\x09c\x0d`,
		"\u202egnp.exe":      `\u202egnp.exe`,
		"\u009b31m":          `\x9b31m`,
		"👩\u200d👧 日本":        "👩\u200d👧 日本",
		"":                   "",
		"bell\a, delete\x7f": `bell\x07, delete\x7f`,
	} {
		if got := locale.Clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got, want := locale.CleanLines("a\r\nb\x1bc\n"), "a\nb\\x1bc\n"; got != want {
		t.Errorf("lines become %q, want %q", got, want)
	}
}

func TestArgumentsOfATextAreHarmless(t *testing.T) {
	t.Parallel()
	if got := locale.New(locale.English).T("config.bad_count", "value", "\x1b[31m"); strings.Contains(got, "\x1b") {
		t.Errorf("an escape sequence reaches the terminal: %q", got)
	}
}
