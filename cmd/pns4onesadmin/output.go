package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// printJSON writes an object of the control channel as it is; of one node of several it is
// the answer beside the node's name.
func (p *program) printJSON(object any) error {
	if p.node != "" {
		object = struct {
			Node   string `json:"node"`
			Answer any    `json:"answer"`
		}{p.node, object}
	}
	return p.encode(object)
}

// encode writes a line of JSON.
func (p *program) encode(object any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(object)
}

// lines puts each item on a line of its own.
func lines(items []string) string { return "  " + strings.Join(items, "\n  ") }

// field is a line of a block: a name and a value.
type field struct{ name, value string }

// blockWidth is what a block fits in, in cells, if its names and words are short.
const blockWidth = 80

// printBlock writes fields one below the other, the values aligned. A value that
// would not fit beside its name stands below it: a key that is broken in two by
// the terminal cannot be copied.
func (p *program) printBlock(fields []field) {
	width := 0
	for _, f := range fields {
		width = max(width, cells.Width(f.name))
	}
	for _, f := range fields {
		beside := strings.Repeat(" ", width-cells.Width(f.name)+1)
		if width+2+cells.Width(f.value) > blockWidth {
			beside = "\n  "
		}
		fmt.Fprintf(p.stdout, "%s:%s%s\n", f.name, beside, f.value)
	}
}

// formatTime writes a moment in the time zone of the person.
func formatTime(t time.Time) string { return say.Time(t) }

// words says things in the person's language; apps give the titles.
func (p *program) words(apps []control.App) say.Words {
	return say.Words{Text: p.text, Titles: say.TitlesOf(apps)}
}

// count writes a whole number.
func count[T int | uint64](p *program, n T) string { return p.text.Number(fmt.Sprint(n)) }
