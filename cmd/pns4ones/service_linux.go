package main

import (
	"context"
	"os"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/coreos/go-systemd/v22/journal"
)

// runAsService runs the daemon in the foreground; systemd, if it is the one that
// started it (Type=notify), is told when it is ready and when it ends.
func runAsService(run func(context.Context, manager) int) int {
	notify := func(state string) func() {
		// Without systemd, or if it does not listen, there is nobody to tell.
		return func() { daemon.SdNotify(false, state) }
	}
	journaled, err := journal.StderrIsJournalStream()
	return run(context.Background(), manager{
		ready:    notify(daemon.SdNotifyReady),
		stopping: notify(daemon.SdNotifyStopping),
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		journal:  err == nil && journaled,
	})
}
