//go:build linux

// Command pns4onesbench loads a server and tells how fast it is. It starts the
// real daemon on free loopback ports, with what it is held against beside it: a
// loop that does nothing but write to sockets, an HTTP handler that does nothing
// but parse, nats-server if its binary is named. Servers run on one CPU, their
// clients, which are in this process, on another; each is measured by turns, for
// only ratios within one run count.
//
// «carry» needs no server of its own: it tells how many sessions a daemon
// that is running somewhere carries.
//
// Results go to stdout, as tables for people or as JSON; the rest to stderr. How
// to read them is in packaging/doc/en/performance.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
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
	text           *locale.Localizer

	json       bool
	lang       string
	pin        bool
	realtime   bool
	awake      bool
	runs       int
	sessions   int
	frameBytes int
	daemonPath string
	otherPath  string
	natsPath   string
	quick      bool // as little as shows that everything works; for tests

	placement  placement
	serversCPU time.Duration // of servers that have ended
	spinning   []*process    // what keeps the CPUs awake
	report     Report
	cleanup    []func()
}

// run executes the command line and returns the exit status.
func run(ctx context.Context, b *bench) int {
	b.text = locale.New(locale.Detect(b.getenv, langFlag(b.args)))
	defer func() {
		for _, f := range b.cleanup {
			f()
		}
	}()
	root := b.rootCommand()
	root.SetArgs(b.args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(b.stderr, b.text.Error(err))
	if isUsage(err) {
		return exitUsage
	}
	return exitFailed
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
	}
	return ""
}

// progress tells on stderr what is being done.
func (b *bench) progress(id string, args ...any) {
	fmt.Fprintln(b.stderr, b.text.T(id, args...))
}
