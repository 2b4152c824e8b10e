package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// The tests of the help are not parallel: cobra keeps the order of commands in a variable
// that every run sets.

// commandsIn are all commands with their help in a language.
func commandsIn(lang locale.Lang) (*program, *cobra.Command) {
	p := &program{
		text: locale.New(lang), getenv: func(string) string { return "" },
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
	}
	root := p.rootCommand()
	root.InitDefaultHelpCmd()
	return p, root
}

// words splits an example as a shell does, up to a redirection.
func words(line string) (all []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		for word := range strings.FieldsSeq(part) {
			if word == "<" || word == ">" {
				return all
			}
			all = append(all, word)
		}
	}
	return all
}

func TestEveryHelpHasTwoExamplesThatWork(t *testing.T) {
	for lang := range manLanguages {
		_, root := commandsIn(lang)
		for _, cmd := range root.Commands() {
			if n := len(strings.Split(cmd.Example, "\n")); n != 2 {
				t.Errorf("%s, %s: %d examples", lang, cmd.Name(), n)
			}
			for line := range strings.Lines(cmd.Example) {
				_, fresh := commandsIn(lang)
				found, args, err := fresh.Find(words(line))
				if err == nil {
					err = found.ParseFlags(args)
				}
				if err == nil {
					err = found.ValidateArgs(found.Flags().Args())
				}
				if err != nil || found.Name() != cmd.Name() && !strings.HasPrefix(line, "--") && cmd.Name() != "help" {
					t.Errorf("%s, %s: the example %q is one of %s: %v", lang, cmd.Name(), line, found.Name(), err)
				}
			}
		}
	}
}

func TestHelpFitsATerminalOf80Columns(t *testing.T) {
	for lang := range manLanguages {
		p, root := commandsIn(lang)
		for _, cmd := range append(root.Commands(), root) {
			var help bytes.Buffer
			p.writeHelp(&help, cmd)
			for line := range strings.Lines(help.String()) {
				if width := cells.Width(strings.TrimRight(line, "\n")); width > 80 {
					t.Errorf("%s, %s: %d cells: %s", lang, cmd.Name(), width, line)
				}
			}
		}
	}
}
