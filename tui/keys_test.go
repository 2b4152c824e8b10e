package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muesli/termenv"

	"github.com/pns4ones/pns4ones/config/locale"
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
	for _, d := range []dialog{&question{env: p.env}, &prompt{env: p.env}, &reader{env: p.env, wrapped: 1}} {
		check("a dialog", d.keys())
	}
}
