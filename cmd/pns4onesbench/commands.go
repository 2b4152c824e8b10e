//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/config/locale"
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

// rootCommand builds all commands, in the order of the help.
func (b *bench) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "pns4onesbench", Long: b.text.T("bench.about"),
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(b.stdout)
	root.SetErr(b.stderr)
	root.SetUsageTemplate(b.usage())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.IntVar(&b.sessions, "sessions", 10_000, b.text.T("bench.flag_sessions"))
	flags.IntVar(&b.frameBytes, "frame", 400, b.text.T("bench.flag_frame"))
	flags.IntVar(&b.runs, "runs", 5, b.text.T("bench.flag_runs"))
	flags.StringVar(&b.daemonPath, "daemon", "", b.text.T("bench.flag_daemon"))
	flags.StringVar(&b.otherPath, "vs", "", b.text.T("bench.flag_vs"))
	flags.StringVar(&b.natsPath, "nats", "", b.text.T("bench.flag_nats"))
	flags.BoolVar(&b.pin, "pin", true, b.text.T("bench.flag_pin"))
	flags.BoolVar(&b.realtime, "realtime", false, b.text.T("bench.flag_realtime"))
	flags.BoolVar(&b.awake, "awake", false, b.text.T("bench.flag_awake"))
	flags.BoolVar(&b.json, "json", false, b.text.T("bench.flag_json"))
	flags.StringVar(&b.lang, "lang", "", b.text.T("bench.flag_lang"))
	flags.BoolVar(&b.quick, "quick", false, b.text.T("bench.flag_quick"))

	for _, s := range scenarios {
		root.AddCommand(b.command(s.name, b.text.T("bench.cmd_"+s.name), func(ctx context.Context) error {
			return b.measure(ctx, s)
		}))
	}
	root.AddCommand(b.command("all", b.text.T("bench.cmd_all"), func(ctx context.Context) error {
		return b.measure(ctx, scenarios...)
	}))
	root.AddCommand(b.carryCommand())
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.InitDefaultHelpFlag()
	for _, cmd := range append(root.Commands(), root) {
		cmd.InitDefaultHelpFlag()
		cmd.Flags().Lookup("help").Usage = b.text.T("bench.flag_help")
	}
	return root
}

// usage is the template of the help, in the person's language.
func (b *bench) usage() string {
	return b.text.T("bench.usage") + `
  {{.UseLine}}{{if .HasAvailableSubCommands}}

` + b.text.T("bench.commands") + `{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}

` + b.text.T("bench.flags") + `
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{if .HasAvailableInheritedFlags}}
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`
}

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

// measure runs scenarios against a daemon of its own and reports.
func (b *bench) measure(ctx context.Context, list ...scenario) error {
	if b.runs < 1 || b.sessions < 1 {
		return usageError{locale.NewText("bench.bad_numbers")}
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
		return locale.NewText("bench.too_few_descriptors", "sessions", sessions, "limit", limit.Max)
	}
	var err error
	if b.placement, err = place(b.pin); err != nil {
		return err
	}
	if b.pin && !b.placement.pinned {
		b.progress("bench.not_pinned")
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
	folder, err := os.MkdirTemp("", "pns4onesbench")
	if err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, func() { os.RemoveAll(folder) })
	built := filepath.Join(folder, "pns4ones")
	b.progress("bench.building")
	said, buildErr := exec.CommandContext(ctx, "go", "build", "-o", built, daemonPackage).CombinedOutput()
	if buildErr == nil {
		b.daemonPath = built
		return nil
	}
	if b.daemonPath, err = exec.LookPath("pns4ones"); err != nil {
		return locale.NewText("bench.no_daemon", "why", string(said))
	}
	return nil
}
