package terminal

import (
	"testing"

	"github.com/muesli/termenv"
)

func TestKnowsWhichTerminalsHaveColours(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		term, noColor string
		known, want   termenv.Profile
	}{
		{"screen", "", termenv.Ascii, termenv.ANSI},
		{"screen-bce", "", termenv.Ascii, termenv.ANSI},
		{"tmux", "", termenv.Ascii, termenv.ANSI},
		{"putty", "", termenv.Ascii, termenv.ANSI},
		{"putty-256color", "", termenv.ANSI256, termenv.ANSI256},
		{"screen", "1", termenv.Ascii, termenv.Ascii},
		{"vt100", "", termenv.Ascii, termenv.Ascii},
		{"xterm", "", termenv.ANSI, termenv.ANSI},
	} {
		getenv := func(name string) string { return map[string]string{"TERM": tt.term, "NO_COLOR": tt.noColor}[name] }
		if got := colours(tt.known, getenv); got != tt.want {
			t.Errorf("TERM=%s NO_COLOR=%s: %v, want %v", tt.term, tt.noColor, got, tt.want)
		}
	}
}
