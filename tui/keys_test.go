package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// TestKeysAreSaidAsTheyAre goes through the tables of all screens and of the
// frame: what the footer names is what works, and no key is in a table twice.
func TestKeysAreSaidAsTheyAre(t *testing.T) {
	t.Parallel()
	text := locale.New(locale.English)
	p := New(Config{
		Text:     text,
		Renderer: NewRenderer(termenv.Ascii, true),
		Now:      func() time.Time { return time.Time{} },
	})
	check := func(name string, table keyTable) {
		taken := map[string]bool{}
		for _, row := range table {
			keys := strings.Fields(row.keys)
			if row.shown != "" && !slices.Contains(keys, strings.Fields(row.shown)[0]) {
				t.Errorf("%s: %q is shown, but %q work", name, row.shown, row.keys)
			}
			if row.text == "" && row.do == nil && row.doKey == nil {
				t.Errorf("%s: %q does nothing and says nothing", name, row.keys)
			}
			if row.text != "" && text.T(row.text) == row.text {
				t.Errorf("%s: %q has no text %s", name, row.keys, row.text)
			}
			for _, key := range keys {
				if taken[key] && key != "end" { // which is named apart in the journal
					t.Errorf("%s: %s is there twice", name, key)
				}
				taken[key] = true
			}
		}
	}
	for _, s := range p.screens {
		check(s.tab(), s.keys())
	}
	check("the detail of an app", p.apps.detailKeys())
	check("everywhere", p.everywhere())
	for p.send.at = range fieldCount {
		check("a field of the form", p.send.keys())
	}
	p.sessions.marked["1"] = control.Session{ID: "1"}
	check("marked sessions", p.sessions.keys())
	clear(p.sessions.marked)
	p.sessions.known, p.sessions.filter.text = true, "nobody"
	check("a search that found nobody", p.sessions.keys())
	for _, d := range []dialog{&question{env: p.env}, &prompt{env: p.env}, &reader{env: p.env, wrapped: 1},
		&chooser{env: p.env}} {
		check("a dialog", d.keys())
	}
}

// TestFooterAndHelpSayWhatTheTableDoes compares what a person is shown on each screen with
// its table: every key of the footer does something, and the help has all of them.
func TestFooterAndHelpSayWhatTheTableDoes(t *testing.T) {
	t.Parallel()
	p := New(Config{
		Text:     locale.New(locale.English),
		Renderer: NewRenderer(termenv.Ascii, true),
		Now:      func() time.Time { return time.Time{} },
	})
	p.width, p.height = 400, 60
	for _, s := range p.screens {
		p.env.shown = s
		footer, help := ansi.Strip(p.footer()), strings.Join(p.help().lines, "\n")
		everywhere := p.everywhere()
		if s.typing() {
			everywhere = everywhere.whileTyping()
		}
		for _, row := range s.keys() {
			if row.text == "" {
				continue
			}
			h := p.env.hints(keyTable{row})[0]
			if said := h.short() + " " + h.text; !strings.Contains(footer, said) {
				t.Errorf("%s: the footer does not say %q: %s", s.tab(), said, footer)
			}
			if said := keyNames(h.keys); !strings.Contains(help, "  "+said) || !strings.Contains(help, h.text) {
				t.Errorf("%s: the help does not say %q %q", s.tab(), said, h.text)
			}
			// A row that does nothing is about a key that works everywhere, or is text.
			if row.do != nil || row.doKey != nil || s.typing() && row.keys == "enter" {
				continue
			}
			for _, key := range strings.Fields(row.keys) {
				if !slices.ContainsFunc(everywhere, func(other keyRow) bool {
					return slices.Contains(strings.Fields(other.keys), key) && (other.do != nil || other.doKey != nil)
				}) {
					t.Errorf("%s: %s is said to do %q, and does nothing", s.tab(), key, h.text)
				}
			}
		}
	}
}
