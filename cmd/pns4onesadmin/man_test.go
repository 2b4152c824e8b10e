package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// manLanguages are the languages of the pages and the folders they lie in.
var manLanguages = map[locale.Lang]string{locale.English: ".", locale.Russian: "ru"}

// The tests of the pages are not parallel: cobra keeps the order of commands in a
// variable that every run sets.

// writeMan runs the command and returns what it wrote, by path below its folder.
func writeMan(t *testing.T, epoch string) map[string]string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "share", "man")
	var stdout, stderr bytes.Buffer
	status := run(context.Background(), &program{
		args: []string{"man", folder}, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(name string) string { return map[string]string{"SOURCE_DATE_EPOCH": epoch}[name] },
	})
	if status != exitDone || stderr.Len() > 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	pages := make(map[string]string)
	for path := range strings.Lines(stdout.String()) {
		path = strings.TrimSpace(path)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		below, err := filepath.Rel(folder, path)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.ToSlash(below)] = string(content)
	}
	return pages
}

const manEpoch = "1767225600" // 2026-01-01

// readable is a page with roff's escapes taken out; requests stay.
func readable(page string) string {
	page = regexp.MustCompile(`\\f[BIR]`).ReplaceAllString(page, "")
	return strings.NewReplacer(`\-`, "-", `\e`, `\`, `\(aq`, "'", `\(ga`, "`", `\(ha`, "^", `\(ti`, "~", `\&`, "", `\(bu`,
		"•").Replace(page)
}

// entry returns what a page says at a term, with all that is set below it.
func entry(t *testing.T, page, term string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n.TP\n"+term+"\n")
	if !found {
		t.Errorf("no %q", term)
		return ""
	}
	depth, end := 0, 0
	for line := range strings.Lines(rest) {
		switch {
		case strings.HasPrefix(line, ".RS"):
			depth++
		case strings.HasPrefix(line, ".RE"):
			depth--
		case strings.HasPrefix(line, ".SH"), depth <= 0 && strings.HasPrefix(line, ".TP"):
			return rest[:end]
		}
		end += len(line)
	}
	return rest
}

// flagTerm is how a page writes a flag.
func flagTerm(f *pflag.Flag) string {
	text := "--" + f.Name
	if f.Shorthand != "" {
		text = "-" + f.Shorthand + ", " + text
	}
	if value, _ := pflag.UnquoteUsage(f); value != "" {
		text += " " + value
	}
	return text
}

// TestManHasAllOfTheProgram looks for what the programs know in the pages.
func TestManHasAllOfTheProgram(t *testing.T) {
	pages := writeMan(t, manEpoch)
	for lang, folder := range manLanguages {
		text := locale.New(lang)
		t.Run(string(lang), func(t *testing.T) {
			page := func(name string) string { return readable(pages[filepath.ToSlash(filepath.Join(folder, name))]) }
			admin, daemon, settings := page("man8/pns4onesadmin.8"), page("man8/pns4ones.8"), page("man5/pns4ones.toml.5")
			brackets := strings.NewReplacer("<", "", ">", "")

			p := &program{text: text, getenv: func(string) string { return "" }}
			root := p.rootCommand()
			root.InitDefaultHelpCmd()
			flagsIn := func(page string) func(*pflag.Flag) {
				return func(f *pflag.Flag) {
					_, meaning := pflag.UnquoteUsage(f)
					if f.Name != "help" && !strings.Contains(entry(t, page, flagTerm(f)), meaning) {
						t.Errorf("--%s: not %q", f.Name, meaning)
					}
				}
			}
			visible := 0
			for _, cmd := range root.Commands() {
				usage := brackets.Replace(cmd.Use)
				if cmd.Hidden {
					if strings.Contains(admin, "\n.TP\n"+usage+"\n") {
						t.Errorf("the hidden command %s", cmd.Name())
					}
					continue
				}
				visible++
				said := entry(t, admin, usage)
				if !strings.HasPrefix(said, cmd.Short+"\n") {
					t.Errorf("%s: not %q but %q", cmd.Name(), cmd.Short, said)
				}
				cmd.LocalNonPersistentFlags().VisitAll(flagsIn("\n" + said))
			}
			if visible < 20 {
				t.Errorf("only %d commands", visible)
			}
			root.PersistentFlags().VisitAll(flagsIn(admin))
			for _, status := range []int{exitDone, exitFailed, exitUsage, exitUnreachable, exitNotFound} {
				entry(t, admin, fmt.Sprint(status))
			}

			for _, d := range config.DescribeOtherFlags(text) {
				if !strings.Contains(entry(t, daemon, strings.TrimSpace("-"+d.Name+" "+brackets.Replace(d.Example))), d.Help) {
					t.Errorf("-%s: not %q", d.Name, d.Help)
				}
			}
			for _, d := range config.DescribeSettings(text, config.ServicePaths()) {
				if !strings.Contains(daemon, "-"+d.Name) {
					t.Errorf("no -%s", d.Name)
				}
				said := entry(t, settings, d.Name+" = "+brackets.Replace(d.Example))
				for _, want := range []string{"-" + d.Name + ",", d.Variable, "Reload: " + d.Reload, strings.Trim(d.Default, `"[]`),
					d.Least, d.Most} {
					if !strings.Contains(said, want) {
						t.Errorf("%s: no %q", d.Name, want)
					}
				}
				sentence := strings.SplitAfter(d.Help, ".")[0]
				if !strings.Contains(said, sentence) {
					t.Errorf("%s: no %q", d.Name, sentence)
				}
				for _, choice := range d.Choices {
					if !strings.Contains(said, choice.Name) || !strings.Contains(said, choice.Help) {
						t.Errorf("%s: no %s, %s", d.Name, choice.Name, choice.Help)
					}
				}
			}
		})
	}
}

// TestManNamesAllVariables looks for the variables that this program's code reads.
func TestManNamesAllVariables(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	variables := make(map[string]bool)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, found := range regexp.MustCompile(`etenv\("(PNS4ONES_[A-Z_]+|[A-Z]+_[A-Z_]+)"\)`).FindAllSubmatch(source, -1) {
			variables[string(found[1])] = true
		}
	}
	if len(variables) < 3 {
		t.Errorf("the code reads only %v", variables)
	}
	for path, page := range writeMan(t, manEpoch) {
		for variable := range variables {
			if strings.HasSuffix(path, "pns4onesadmin.8") && !strings.Contains(page, variable) {
				t.Errorf("%s: no %s", path, variable)
			}
		}
	}
}

// TestManIsTheSameInBothLanguages compares the outlines.
func TestManIsTheSameInBothLanguages(t *testing.T) {
	pages := writeMan(t, manEpoch)
	if len(pages) != len(manNames)*len(manLanguages) {
		t.Errorf("%d pages", len(pages))
	}
	outline := func(page string) []string {
		var requests []string
		for line := range strings.Lines(page) {
			if request, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(request, ".") && request != ".br" {
				requests = append(requests, request)
			}
		}
		return requests
	}
	for _, name := range manNames {
		russian, english := pages[manPath(locale.Russian, name)], pages[manPath(locale.English, name)]
		if diff := cmp.Diff(outline(english), outline(russian)); diff != "" {
			t.Errorf("%s (-English +Russian):\n%s", name, diff)
		}
		if strings.Count(english, "\n.SH ") < 8 {
			t.Errorf("%s has only %d sections", name, strings.Count(english, "\n.SH "))
		}
	}
}

func TestManBearsTheDateItIsGiven(t *testing.T) {
	pages := writeMan(t, manEpoch)
	if diff := cmp.Diff(pages, writeMan(t, manEpoch)); diff != "" {
		t.Errorf("a second run writes something else:\n%s", diff)
	}
	for path, page := range pages {
		if !strings.Contains(page, " 2026-01-01 \"pns4ones "+version+"\" ") {
			t.Errorf("%s bears another date or version", path)
		}
	}
	before := time.Now().UTC()
	undated := writeMan(t, "")[manPath(locale.English, "pns4ones.8")]
	if !strings.Contains(undated, before.Format(" 2006-01-02 ")) &&
		!strings.Contains(undated, time.Now().UTC().Format(" 2006-01-02 ")) {
		t.Error("without SOURCE_DATE_EPOCH the date is not today's")
	}
}

// TestManIsGoodRoff finds what man(1) would warn of, or show wrong.
func TestManIsGoodRoff(t *testing.T) {
	known := strings.Fields(`.\" .TH .nh .ad .ss .SH .SS .PP .TP .IP .RS .RE .EX .EE .br`)
	for path, page := range writeMan(t, manEpoch) {
		verbatim, depth, previous := false, 0, ""
		for i, line := range strings.Split(strings.TrimSuffix(page, "\n"), "\n") {
			bad := func(what string) { t.Errorf("%s:%d: %s: %s", path, i+1, what, line) }
			request, _, _ := strings.Cut(line, " ")
			switch {
			case i == 0:
				if line != `'\" -*- coding: UTF-8 -*-` {
					bad("does not name the encoding")
				}
			case strings.HasPrefix(line, "'"), strings.HasPrefix(line, ".") && !slices.Contains(known, request):
				bad("an unknown request")
			case request == ".RS":
				depth++
			case request == ".RE":
				depth--
			case line == "" && !verbatim:
				bad("an empty line")
			case previous == ".TP" && strings.HasPrefix(line, "."):
				bad("no term")
			}
			if request == ".SH" && depth != 0 {
				bad("begins to the right")
			}
			if request == ".EX" || request == ".EE" {
				verbatim = request == ".EX"
			}
			// A terminal of 80 columns, less what examples are set to the right.
			if verbatim && utf8.RuneCountInString(readable(line)) > 80-11 {
				bad("too long")
			}
			for _, leftover := range []string{"{{", "<no value>", "%!", "**", "\t"} {
				if strings.Contains(line, leftover) {
					bad("has " + leftover)
				}
			}
			if fonts := regexp.MustCompile(`\\f([BIR])`).FindAllStringSubmatch(line, -1); len(fonts) > 0 &&
				fonts[len(fonts)-1][1] != "R" {
				bad("does not turn the font back")
			}
			if rest := regexp.MustCompile(`\\(f[BIR]|[-e&]|\((aq|ga|ha|ti|bu)|"( |$))`).ReplaceAllString(line, ""); i > 0 &&
				strings.Contains(rest, `\`) {
				bad("an unknown escape")
			}
			previous = line
		}
		// lexgrog(1) and apropos(1) read the name.
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if !regexp.MustCompile(`\n\.SH [^\n]+\n` + `(\.PP\n)?` + regexp.QuoteMeta(name) +
			` \\- [^\n]+\n\.SH `).MatchString(page) {
			t.Errorf("%s has no line with its name", path)
		}
	}
}

func TestRoff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"# SEE ALSO":                    ".SH SEE ALSO\n",
		"one\ntwo\n\nthree":             ".PP\none\ntwo\n.PP\nthree\n",
		"broken\\\nline":                ".PP\nbroken\n.br\nline\n",
		".profile":                      ".PP\n\\&.profile\n",
		"'quoted'":                      ".PP\n\\(aqquoted\\(aq\n",
		"the daemon's keep-alive":       ".PP\nthe daemon's keep-alive\n",
		"Unix-сокет (см. --no-color)":   ".PP\nUnix-сокет (см. \\-\\-no\\-color)\n",
		"see ~/.a-b":                    ".PP\nsee \\(ti/.a\\-b\n",
		"`-f`, **bold** *italic*":       ".PP\n\\fB\\-f\\fR, \\fBbold\\fR \\fIitalic\\fR\n",
		markdown("a*b `c` \\d"):         ".PP\na*b \\(gac\\(ga \\ed\n",
		"term\n: meaning\n  goes on":    ".TP\nterm\nmeaning\ngoes on\n",
		"* item\n* item":                ".IP \\(bu 2\nitem\n.IP \\(bu 2\nitem\n",
		"```\na **b** \\\n.c '\n```":    ".PP\n.RS 4\n.EX\na **b** \\e\n\\&.c \\(aq\n.EE\n.RE\n",
		"a\n: b\n\n    c\n    : d\n\ne": ".TP\na\nb\n.RS\n.TP\nc\nd\n.RE\n.PP\ne\n",
	} {
		if diff := cmp.Diff(want, roff(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestHelpHasFlagsInTheirOrder keeps the recipient before the text, as a person
// thinks of them.
func TestHelpHasFlagsInTheirOrder(t *testing.T) {
	p := &program{text: locale.New(locale.English), getenv: func(string) string { return "" }}
	send, _, err := p.rootCommand().Find([]string{"send"})
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	p.writeHelp(&help, send)
	inOrder(t, help.String(), "--app", "--ib", "--user", "--all", "--title", "--body", "--http")
	inOrder(t, writeMan(t, manEpoch)[manPath(locale.English, "pns4onesadmin.8")], `\-\-title`, `\-\-body`, `\-\-http`)
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		_, rest, found := strings.Cut(text, part)
		if !found {
			t.Fatalf("no %s after those before it of %q", part, parts)
		}
		text = rest
	}
}
