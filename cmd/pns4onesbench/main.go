//go:build linux

// Command pns4onesbench loads a server and measures how fast it is. It starts the
// real daemon on free loopback ports, with what it is held against beside it: a
// loop that does nothing but write to sockets, an HTTP handler that does nothing
// but parse, nats-server if its binary is named. Servers run on one CPU, their
// clients, which are in this process, on another; each is measured by turns, for
// only ratios within one run count.
//
// «cluster» starts several daemons as one service, with the NATS servers between them, and
// a single one by turns; then it kills, restarts and upgrades parts of it. «carry» needs no
// server of its own: it finds out how many sessions a daemon that is running somewhere
// carries.
//
// Results go to stdout, as tables for people or as JSON; the rest to stderr. How
// to read them is in packaging/doc/en/performance.md. It is for developers: its texts
// are in the code, in English.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
)

// version is set by the linker for a release.
var version = "dev"

func main() {
	// Processes are started from this thread, and end with it.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == limitCommand {
		if err := runLimit(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitFailed)
		}
		return
	}
	os.Exit(run(ctx, &bench{args: os.Args[1:], getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}))
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// bench is one run of the program with all that it takes from outside, and its
// flags.
type bench struct {
	args           []string
	getenv         func(string) string
	stdout, stderr io.Writer

	json       bool
	pin        bool
	realtime   bool
	awake      bool
	runs       int
	sessions   int
	frameBytes int
	attributes bool // the sessions have those of a newer add-in
	daemonPath string
	otherPath  string
	natsPath   string
	nodes      int  // of a cluster
	servers    int  // NATS servers between them
	quick      bool // as little as shows that everything works; for tests

	placement  placement
	serversCPU time.Duration // of servers that have ended
	spinning   []*process    // what keeps the CPUs awake
	report     Report
	cleanup    []func()
}

// run executes the command line and returns the exit status.
func run(ctx context.Context, b *bench) int {
	defer b.forget()
	root := b.rootCommand()
	root.SetArgs(b.args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(b.stderr, "pns4onesbench:", locale.CleanLines(err.Error()))
	if isUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// forget removes what was made for the run, and ends what was started for all of it.
func (b *bench) forget() {
	for _, f := range b.cleanup {
		f()
	}
}

// progress says on stderr what is being measured.
func (b *bench) progress(s *Scenario, subject string, run int) {
	fmt.Fprintf(b.stderr, "%s: %s, run %d of %d\n", s.Name, subject, run+1, b.runs)
}

// say writes what is no result to stderr.
func (b *bench) say(text string) { fmt.Fprintln(b.stderr, text) }
