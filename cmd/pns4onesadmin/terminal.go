package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal is the terminal that results go to, if they do.
func (p *program) terminal() (fd int, ok bool) {
	out, isOutput := p.stdout.(*output)
	if !isOutput {
		return 0, false
	}
	file, isFile := out.w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	return int(file.Fd()), true
}

// terminals are the files that the person sits at, if they do.
func (p *program) terminals() (in, out *os.File, ok bool) {
	in, fromFile := p.stdin.(*os.File)
	if _, onTerminal := p.terminal(); !onTerminal || !fromFile || p.getenv("TERM") == "dumb" {
		return nil, nil, false
	}
	return in, p.stdout.(*output).w.(*os.File), true
}

// onTerminal reports whether a person can be asked.
func (p *program) onTerminal() bool {
	in, inFile := p.stdin.(*os.File)
	out, outFile := p.stderr.(*os.File)
	return inFile && outFile && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// confirm asks and takes anything but a plain yes for no.
func (p *program) confirm(id string, args ...any) bool {
	fmt.Fprint(p.stderr, p.text.T(id, args...), " ", p.text.T("admin.yes_no"), " ")
	answer, _ := bufio.NewReader(p.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "д", "да":
		return true
	}
	return false
}
