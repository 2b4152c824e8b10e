//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func isUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}

// runLimit is the program as one of the limits: KIND FRAME PACKET, or spin CPU 0.
func runLimit(args []string) error {
	if len(args) != 3 {
		return errors.New("limit: wrong arguments")
	}
	frame, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	packet, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	switch args[0] {
	case limitParse:
		return runParse()
	case limitForward:
		return runForward(frame)
	case limitSpin:
		return runSpin(frame)
	}
	return runRawLoop(frame, packet)
}

const about = `pns4onesbench measures how fast the service is and how many sessions it carries.

Most commands start a daemon of their own on free ports of this machine, and what it is compared with
beside it. carry loads a daemon that is running. How to read the results: packaging/doc/en/performance.md.`

// rootCommand builds all commands, in the order of the help.
func (b *bench) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "pns4onesbench",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(b.stdout)
	root.SetErr(b.stderr)
	root.SetUsageTemplate(usage)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.IntVar(&b.sessions, "sessions", 10_000, "sessions")
	flags.IntVar(&b.frameBytes, "frame", 400, "bytes of a frame, rounded up to the next that encryption makes")
	flags.BoolVar(&b.attributes, "attributes", false,
		"sessions say of themselves what newer add-ins say, and are remembered; those of --vs are "+
			"like the released ones")
	flags.IntVar(&b.runs, "runs", 5, "how often each is measured")
	flags.StringVar(&b.daemonPath, "daemon", "", "binary of the daemon (`path`); default: beside this program, "+
		"else built from source, else the installed one")
	flags.StringVar(&b.otherPath, "vs", "", "another build of the daemon (`path`) to compare with")
	flags.StringVar(&b.natsPath, "nats", "", "binary of nats-server (`path`) to compare with; for cluster, the one "+
		"that is used, by default built from source, else the installed one")
	flags.BoolVar(&b.pin, "pin", true, "servers on one CPU, their clients on another")
	flags.BoolVar(&b.realtime, "realtime", false, "ahead of all other processes of the machine, "+
		"if it cannot be quiet; takes root")
	flags.BoolVar(&b.awake, "awake", false, "the CPUs do not fall asleep: for latency, "+
		"where the machine is a virtual one")
	flags.BoolVar(&b.json, "json", false, "print JSON")
	flags.BoolVar(&b.quick, "quick", false, "only try whether everything works; the figures mean nothing")

	for _, s := range scenarios {
		root.AddCommand(b.command(s.name, s.short, func(ctx context.Context) error {
			return b.measure(ctx, s)
		}))
	}
	root.AddCommand(b.command("all", "all of the above", func(ctx context.Context) error {
		return b.measure(ctx, scenarios...)
	}))
	root.AddCommand(b.clusterCommand())
	root.AddCommand(b.carryCommand())
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.InitDefaultHelpFlag()
	for _, cmd := range append(root.Commands(), root) {
		cmd.InitDefaultHelpFlag()
		cmd.Flags().Lookup("help").Usage = "this help"
	}
	return root
}

// usage is the template of the help.
const usage = `Usage:
  {{.UseLine}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{if .HasAvailableInheritedFlags}}
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`

func (b *bench) command(name, short string, run func(ctx context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context()) },
	}
}

// errTooFew is said of flags.
var errTooFew = usageError{errors.New("the numbers of sessions and runs, and times, must be above zero")}

func (b *bench) checkNumbers() error {
	if b.runs < 1 || b.sessions < 1 {
		return errTooFew
	}
	return nil
}

// measure runs scenarios against a daemon of its own and reports.
func (b *bench) measure(ctx context.Context, list ...scenario) error {
	if err := b.checkNumbers(); err != nil {
		return err
	}
	most := 0
	for _, s := range list {
		most = max(most, s.needs(b))
	}
	if err := b.prepare(most); err != nil {
		return err
	}
	if err := b.findDaemon(ctx); err != nil {
		return err
	}
	b.report.Machine = describeMachine(&b.placement, b.daemonPath, b.natsPath)
	if !b.json {
		b.writeMachine()
	}
	for _, s := range list {
		watch, err := b.watchOthers()
		if err != nil {
			return err
		}
		results, err := s.run(ctx, b)
		if err != nil {
			return err
		}
		others, err := watch.share()
		if err != nil {
			return err
		}
		for _, r := range results {
			r.OthersShare = others
			r.finish()
			b.report.Scenarios = append(b.report.Scenarios, r)
			if !b.json {
				b.writeScenario(r)
			}
		}
	}
	if b.json {
		return b.writeJSON()
	}
	return nil
}

// spareDescriptors is what a process has open besides its sessions.
const spareDescriptors = 200

// prepare raises the limit of descriptors as far as it goes, and pins this
// process.
func (b *bench) prepare(sessions int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if room := int64(limit.Max) - spareDescriptors; int64(sessions) > room {
		return fmt.Errorf("%d sessions need as many open files; this process may have %d: raise the limit "+
			"(ulimit -Hn, LimitNOFILE) or ask for fewer sessions", sessions, limit.Max)
	}
	var err error
	if b.placement, err = place(b.pin); err != nil {
		return err
	}
	if b.pin && !b.placement.pinned {
		b.say("Nothing is pinned to a CPU: both sides take each other's time.")
	}
	if b.realtime {
		if err := goAhead(); err != nil {
			return err
		}
	}
	if err := b.placement.pinSelf(); err != nil || !b.awake {
		return err
	}
	return b.keepAwake()
}

const daemonPackage = "github.com/pns4ones/pns4ones/cmd/pns4ones"

// findDaemon finds the daemon's binary: the one that was named, the one beside
// this program, the source of the checkout that this is run in, or the installed
// one.
func (b *bench) findDaemon(ctx context.Context) error {
	if b.daemonPath != "" {
		return nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "pns4ones")
		if _, err := os.Stat(beside); err == nil {
			b.daemonPath = beside
			return nil
		}
	}
	b.say("Building the daemon…")
	built, notBuilt := b.build(ctx, "pns4ones", daemonPackage)
	if notBuilt == nil {
		b.daemonPath = built
		return nil
	}
	var err error
	if b.daemonPath, err = exec.LookPath("pns4ones"); err != nil {
		return fmt.Errorf("there is no daemon to measure: none beside this program, none installed, and it could not "+
			"be built:\n%w\nname its binary: --daemon PATH", notBuilt)
	}
	return nil
}

// build builds a program from the source of the checkout that this is run in. The error is
// what the compiler says.
func (b *bench) build(ctx context.Context, name, of string) (path string, err error) {
	folder, err := os.MkdirTemp("", "pns4onesbench")
	if err != nil {
		return "", err
	}
	b.cleanup = append(b.cleanup, func() { os.RemoveAll(folder) })
	path = filepath.Join(folder, name)
	if said, err := exec.CommandContext(ctx, "go", "build", "-o", path, of).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s%w", said, err)
	}
	return path, nil
}
