package locale_test

import (
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
)

func TestNumbersAreWrittenForPeopleOrScripts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ digits, russian, english string }{
		{"0", "0", "0"},
		{"999", "999", "999"},
		{"1000", "1\u202f000", "1\u202f000"},
		{"-1234567", "-1\u202f234\u202f567", "-1\u202f234\u202f567"},
		{"12.4", "12,4", "12.4"},
		{"1234.56", "1\u202f234,56", "1\u202f234.56"},
		{"", "", ""},
	} {
		for lang, want := range map[locale.Lang]string{locale.Russian: tt.russian, locale.English: tt.english} {
			text := locale.New(lang)
			if got := text.ForPeople().Number(tt.digits); got != want {
				t.Errorf("%s in %s is %q, want %q", tt.digits, lang, got, want)
			}
			if got := text.Number(tt.digits); got != tt.digits {
				t.Errorf("%s in %s for scripts is %q", tt.digits, lang, got)
			}
		}
	}
}

func TestCountsOfTextsAreNumbers(t *testing.T) {
	t.Parallel()
	text := locale.New(locale.Russian)
	for n, want := range map[int]string{
		0: "0 сеансов", 1: "1 сеанс", 21: "21 сеанс", 12_001: "12\u202f001 сеанс",
	} {
		if got := text.ForPeople().T("live.n_sessions", "N", n); got != want {
			t.Errorf("%d is said as %q, want %q", n, got, want)
		}
	}
	if got := text.T("live.n_sessions", "N", 12_001); got != "12001 сеанс" {
		t.Errorf("for scripts it is %q", got)
	}
}
