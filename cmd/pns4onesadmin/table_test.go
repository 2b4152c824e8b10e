package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// printed is a table as a screen of that width shows it; 0: as scripts get it.
func printed(width int, form string, columns []column, rows [][]string) string {
	var out bytes.Buffer
	p := &program{
		text: locale.New(locale.English), stdout: &out, stderr: &out, screenWidth: width, form: form,
	}
	p.printTable(columns, rows)
	return out.String()
}

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	columns := []column{
		{title: "Name"}, {title: "Id"}, {title: "Sent", number: true},
		{title: "Waiting, bytes", number: true, spare: true},
		{title: "Empty"},
	}
	rows := [][]string{
		{"Бухгалтерия предприятия", "d23f0824-4fa6-4b62-8a9b-27a5dea9d227", "7", "0", ""},
		{"日本語", "demo", "12345678", "10", ""},
	}
	for width, want := range map[int]string{
		0: `Name                     Id                                    Sent      Waiting, bytes  Empty
Бухгалтерия предприятия  d23f0824-4fa6-4b62-8a9b-27a5dea9d227  7         0
日本語                   demo                                  12345678  10
`,
		100: `Name                     Id                                        Sent  Waiting, bytes
Бухгалтерия предприятия  d23f0824-4fa6-4b62-8a9b-27a5dea9d227         7               0
日本語                   demo                                  12345678              10
`,
		60: `Name              Id                    Sent  Waiting, bytes
Бухгалтерия пре…  d23f0824-4fa6-4…         7               0
日本語            demo              12345678              10
`,
		35: `Name         Id                Sent
Бухгалтери…  d23f0824-4f…         7
日本語       demo          12345678
There was no room for the columns: Waiting, bytes. The whole table: -o wide.
`,
		20: `Name    Id…
Бухга…  d23f0……
日本語  demo    123…
There was no room for the columns: Waiting, bytes. The whole table: -o wide.
`,
	} {
		got := printed(width, "", columns, rows)
		if got != want {
			t.Errorf("on %d columns:\n%swant\n%s", width, got, want)
		}
		for i, line := range strings.Split(got, "\n") {
			if i <= len(rows) && width > 0 && cells.Width(line) > width {
				t.Errorf("on %d columns %q has %d", width, line, cells.Width(line))
			}
		}
	}
	if got, want := printed(35, formWide, columns, rows), printed(0, "", columns,
		rows); strings.Join(strings.Fields(got), " ") !=
		strings.Join(strings.Fields(want), " ") {
		t.Errorf("-o wide shows\n%s", got)
	}
}

func TestAFrameTakesNoMoreThanTheScreen(t *testing.T) {
	t.Parallel()
	got := frame("one\n"+strings.Repeat("x", 20)+"\nthree\nfour\n", 10, 4)
	want := "\x1b[Hone\x1b[K\nxxxxxxxxx…\x1b[K\n…\x1b[K\n\x1b[J"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSinceIsATimeOrAMoment(t *testing.T) {
	t.Parallel()
	moscow := time.FixedZone("MSK", 3*60*60)
	now := time.Date(2026, 11, 26, 12, 30, 0, 0, moscow)
	for text, want := range map[string]string{
		"90s":                  "2026-11-26T12:28:30+03:00",
		"1d12h":                "2026-11-25T00:30:00+03:00",
		"12:00":                "2026-11-26T12:00:00+03:00",
		"12:30:00":             "2026-11-26T12:30:00+03:00",
		"21:00":                "2026-11-25T21:00:00+03:00",
		"2026-11-01":           "2026-11-01T00:00:00+03:00",
		"2026-11-01 08:15":     "2026-11-01T08:15:00+03:00",
		"2026-11-01 08:15:30":  "2026-11-01T08:15:30+03:00",
		"2026-11-01T08:15:30":  "2026-11-01T08:15:30+03:00",
		"2026-11-01T08:15:30Z": "2026-11-01T08:15:30Z",
		"-1h":                  "", "yesterday": "", "": "", "25:00": "",
	} {
		got, known := parseSince(text, now)
		if known != (want != "") || known && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %q", text, got, known, want)
		}
	}
}
