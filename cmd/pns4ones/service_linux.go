package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"
)

// runAsService runs the daemon in the foreground; systemd, if it is the one that
// started it (Type=notify), is told when it is ready and when it ends.
func runAsService(run func(context.Context, manager) int) int {
	// Keys and messages are never written to a core file. If the limit cannot be
	// lowered, Go still makes none unless GOTRACEBACK asks for it.
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	notify := func(state string) func() {
		// Without systemd, or if it does not listen, there is nobody to tell.
		return func() { daemon.SdNotify(false, state) }
	}
	journaled, err := journal.StderrIsJournalStream()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return run(context.Background(), manager{
		ready: notify(daemon.SdNotifyReady),
		reloading: func() {
			// systemd wants to know when it began (sd_notify(3)).
			daemon.SdNotify(false, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
		},
		stopping: notify(daemon.SdNotifyStopping),
		reload:   hangup,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		journal:  err == nil && journaled,

		successors: newSuccessors(),
	})
}
