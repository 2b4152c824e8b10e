package fold_test

import (
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/internal/fold"
)

func TestContains(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, part string
		want       bool
	}{
		{"", "", true},
		{"Иванов", "", true},
		{"", "и", false},
		{"Иванов", "ива", true},
		{"ИВАНОВ", "нов", true},
		{"Иванов", "петров", false},
		{"ааб", "аб", true},
		{"Иван", "иванов", false},
		{"10.0.0.7:51000", "7:5", true},
		{"\xff\xfeA", "a", true},
		{"\xff", "я", false},
	} {
		if got := fold.Contains(tt.text, tt.part); got != tt.want {
			t.Errorf("Contains(%q, %q) is %v", tt.text, tt.part, got)
		}
	}
}

// The slow reference is the standard library.
func FuzzContains(f *testing.F) {
	f.Add("Иванов Пётр", "ПЁТР")
	f.Add("abc", "BC")
	f.Fuzz(func(t *testing.T, text, part string) {
		text, part = strings.ToValidUTF8(text, "?"), strings.ToLower(strings.ToValidUTF8(part, "?"))
		if got, want := fold.Contains(text, part), strings.Contains(strings.ToLower(text), part); got != want {
			t.Errorf("Contains(%q, %q) is %v, want %v", text, part, got, want)
		}
	})
}
