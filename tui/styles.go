package tui

import (
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// styles are how the panel looks. Each has a meaning that words or signs carry as
// well: there are terminals without colours.
type styles struct {
	plain    lipgloss.Style
	title    lipgloss.Style // a heading
	label    lipgloss.Style // the name of a value
	dim      lipgloss.Style // what matters less, or is no longer true
	accent   lipgloss.Style // keys, charts
	good     lipgloss.Style
	warn     lipgloss.Style
	bad      lipgloss.Style
	banner   lipgloss.Style // the connection is lost
	column   lipgloss.Style // the heading of the column to sort by
	selected lipgloss.Style // the row that keys work on
	tab      lipgloss.Style // the screen that is shown, what is chosen
	focused  lipgloss.Style // where text is being written
	cursor   lipgloss.Style
}

// newStyles makes the styles for a renderer. Colourless ones use what a terminal
// without colours has.
func newStyles(r *lipgloss.Renderer, colourless bool) styles {
	plain := r.NewStyle()
	if colourless {
		return styles{
			plain:    plain,
			title:    plain.Bold(true),
			label:    plain,
			dim:      plain,
			accent:   plain,
			good:     plain,
			warn:     plain.Bold(true),
			bad:      plain.Bold(true),
			banner:   plain.Reverse(true),
			column:   plain.Bold(true).Underline(true),
			selected: plain.Reverse(true),
			tab:      plain.Bold(true),
			focused:  plain.Bold(true),
			cursor:   plain.Reverse(true),
		}
	}
	// Of the sixteen colours only those are used that people do not redefine into
	// the background: the bright black of some palettes is not to be seen.
	colour := func(light, light256, light16, dark, dark256, dark16 string) lipgloss.CompleteAdaptiveColor {
		return lipgloss.CompleteAdaptiveColor{
			Light: lipgloss.CompleteColor{TrueColor: light, ANSI256: light256, ANSI: light16},
			Dark:  lipgloss.CompleteColor{TrueColor: dark, ANSI256: dark256, ANSI: dark16},
		}
	}
	var (
		grey   = colour("#6c6c6c", "242", "8", "#949494", "246", "7")
		blue   = colour("#005f87", "24", "4", "#5fafd7", "74", "6")
		green  = colour("#00875f", "29", "2", "#5fd787", "78", "2")
		amber  = colour("#875f00", "94", "3", "#ffd75f", "221", "3")
		red    = colour("#af0000", "124", "1", "#ff8787", "210", "1")
		marked = colour("#d7e7f1", "254", "", "#303a44", "237", "")
	)
	s := styles{
		plain:    plain,
		title:    plain.Bold(true),
		label:    plain.Foreground(grey),
		dim:      plain.Foreground(grey),
		accent:   plain.Foreground(blue),
		good:     plain.Foreground(green),
		warn:     plain.Foreground(amber),
		bad:      plain.Foreground(red),
		banner:   plain.Foreground(red).Reverse(true),
		column:   plain.Foreground(blue).Bold(true),
		selected: plain.Bold(true).Background(marked),
		tab:      plain.Bold(true).Foreground(blue),
		focused:  plain.Foreground(blue),
		cursor:   plain.Reverse(true),
	}
	if r.ColorProfile() == termenv.ANSI {
		s.selected = plain.Reverse(true)
		// Terminals of eight colours have no bright red, but show bold letters brighter.
		s.bad, s.banner = s.bad.Bold(true), s.banner.Bold(true)
	}
	return s
}

// line is a place where text can be written. Lip Gloss would underline it
// character by character.
func (s styles) line(text string, focus bool) string {
	switch {
	case text == "":
		return ""
	case focus:
		text = s.focused.Render(text)
	}
	return "\x1b[4m" + text + "\x1b[0m"
}
