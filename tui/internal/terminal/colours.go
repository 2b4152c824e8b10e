package terminal

import (
	"os"
	"slices"
	"strings"

	"github.com/muesli/termenv"
)

// coloured are terminals of which termenv does not know that they have colours: the names
// say nothing of it. Each has eight at least.
var coloured = []string{"konsole", "putty", "rxvt", "screen", "tmux", "vte"}

// Colours are those that a terminal shows, and none where the person wants none.
func Colours(out *os.File, getenv func(string) string) termenv.Profile {
	return colours(termenv.NewOutput(out).EnvColorProfile(), getenv)
}

func colours(known termenv.Profile, getenv func(string) string) termenv.Profile {
	family, _, _ := strings.Cut(getenv("TERM"), "-")
	unwanted := getenv("NO_COLOR") != "" || getenv("CLICOLOR") == "0"
	if known == termenv.Ascii && !unwanted && slices.Contains(coloured, family) {
		return termenv.ANSI
	}
	return known
}
