package cells_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/tui/cells"
)

func TestTextsFitTheirColumns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text        string
		width       int
		left, right string
	}{
		{"Склад", 7, "Склад  ", "  Склад"},
		{"Склад", 5, "Склад", "Склад"},
		{"Склад", 4, "Скл…", "Скл…"},
		{"Склад", 1, "…", "…"},
		{"Склад", 0, "", ""},
		{"日本語", 6, "日本語", "日本語"},
		{"日本語", 5, "日本…", "日本…"},
		{"日本語", 4, "日… ", " 日…"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…", "e\u0301…"},
		{"", 2, "  ", "  "},
	} {
		if got := cells.Left(tt.text, tt.width); got != tt.left {
			t.Errorf("Left(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.left)
		}
		if got := cells.Right(tt.text, tt.width); got != tt.right {
			t.Errorf("Right(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.right)
		}
	}
}

func TestCutsBetweenCells(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text     string
		from, to int
		want     string
	}{
		{"абвгд", 1, 3, "бв"},
		{"日本語", 1, 5, " 本 "},
		{"日本語", 2, 4, "本"},
		{"日", 0, 1, " "},
		{"e\u0301a", 0, 1, "e\u0301"},
		{"e\u0301a", 1, 2, "a"},
		{"аб", 5, 9, ""},
	} {
		if got := cells.Cut(tt.text, tt.from, tt.to); got != tt.want {
			t.Errorf("Cut(%q, %d, %d) = %q, want %q", tt.text, tt.from, tt.to, got, tt.want)
		}
	}
}

// TestAllTerminalsAgreeOnTheWidth is about characters that some terminals join to
// one picture and some do not.
func TestAllTerminalsAgreeOnTheWidth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"👨\u200d👩\u200d👧": "👨👩👧",
		"❤\ufe0f":         "❤",
		"👍🏽":              "👍",
		"🇷🇺":              "RU",
		"a\x1b[2J":        `a\x1b[2J`,
		"\u202eabc":       `\u202eabc`,
		"e\u0301":         "e\u0301",
		"\U0001d165":      "\ufffd",
	} {
		if got := cells.Plain(text); got != want {
			t.Errorf("Plain(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestWraps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"one  two", 20, []string{"one  two"}},
		{"  one two", 7, []string{"  one", "  two"}},
		{"abcdefgh ij", 3, []string{"abc", "def", "gh", "ij"}},
		{"日本語", 3, []string{"日", "本", "語"}},
		{"日本", 1, []string{"日", "本"}},
		{"", 5, []string{""}},
		{"name   value that is long", 14, []string{"name   value", "that is long"}},
	} {
		if diff := cmp.Diff(tt.want, cells.Wrap(tt.text, tt.width)); diff != "" {
			t.Errorf("Wrap(%q, %d) (-want +got):\n%s", tt.text, tt.width, diff)
		}
	}
}

// FuzzFit checks what columns rely on.
func FuzzFit(f *testing.F) {
	f.Add(" ㌝", 2) // an indentation that leaves too little room
	for _, seed := range []string{"", "Склад", "日本語 text", "e\u0301\u0301", "👨‍👩‍👧\x1b[2J", "\xff\xfe", "a b  c   d"} {
		f.Add(seed, 5)
	}
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = max(min(width, 300), 0)
		text = cells.Plain(text)
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\n\u202e") {
			t.Fatalf("Plain gave %q", text)
		}
		for _, fitted := range []string{cells.Left(text, width), cells.Right(text, width)} {
			if got := cells.Width(fitted); got != width {
				t.Fatalf("%q is %d cells wide, want %d", fitted, got, width)
			}
		}
		joined := strings.Builder{}
		for _, line := range cells.Wrap(text, width) {
			if got := cells.Width(line); got > max(width, 2) {
				t.Fatalf("a line of %d cells in %d: %q", got, width, line)
			}
			joined.WriteString(line)
		}
		without := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if without(joined.String()) != without(text) {
			t.Fatalf("Wrap lost something: %q became %q", text, joined.String())
		}
	})
}
