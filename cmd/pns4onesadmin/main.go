// Command pns4onesadmin administers the daemon from the command line: apps and
// their keys, sessions, messages. It talks to the daemon through the control
// channel (package netsvc/control), or, with --db, works on the database of a
// stopped one.
//
// Results go to stdout, as tables for people or as JSON for scripts; everything
// else goes to stderr. Every text comes from the catalogue.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
)

// version is set by the linker for a release.
var version = "dev"

func main() { os.Exit(mainStatus()) }

func mainStatus() int {
	return run(context.Background(), &program{
		args:   os.Args[1:],
		getenv: os.Getenv,
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
	})
}

// program is one run with all that it takes from outside, and the global flags.
type program struct {
	args           []string
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	text           *locale.Localizer

	control, db, lang string
	json, quiet       bool
	form              string // of the output; see form.go
	person            bool   // reads what is written to stdout
	screenWidth       int    // of the terminal that a buffer is going to be shown on; 0: none
	node              string // that what is written is of, where there are several; empty: it needs no saying
	nodeWidth         int    // of the column of nodes in a stream of several

	tried []string // where a daemon was looked for in vain
}

// run executes the command line and returns the exit status.
func run(ctx context.Context, p *program) int {
	p.text = locale.New(locale.Detect(p.getenv, langFlag(p.args)))
	if p.person = isTerminal(p.stdout); p.person {
		p.text = p.text.ForPeople()
	}
	results := &output{w: p.stdout}
	p.stdout = results
	root := p.rootCommand()
	root.SetArgs(p.args)
	err := root.ExecuteContext(ctx)
	if err == nil && results.err != nil {
		err = failure("admin.no_output", "error", files.WithoutPath(results.err))
	}
	if err == nil {
		return exitDone
	}
	if message := p.errorText(err); message != "" {
		fmt.Fprintln(p.stderr, message)
	}
	return exitStatus(err)
}

// output remembers that something could not be written: a script must not take
// half a result for a whole one.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// langFlag finds --lang before the flags are parsed, for the help is in a
// language already.
func langFlag(args []string) string {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--lang="); ok {
			return value
		}
		if arg == "--lang" && i+1 < len(args) {
			return args[i+1]
		}
		if arg == "--" {
			break
		}
	}
	return ""
}

// say writes to the person something that is not a result, unless -q asks for silence.
func (p *program) say(id string, args ...any) {
	if !p.quiet {
		p.warn(id, args...)
	}
}

// warn says what not even -q keeps from the person.
func (p *program) warn(id string, args ...any) { p.tell(p.text.T(id, args...)) }

// tell writes a text to the person.
func (p *program) tell(text string) { fmt.Fprintln(p.stderr, p.label()+text) }
