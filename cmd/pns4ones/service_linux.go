package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
)

// How to find out why an address cannot be listened on.
const (
	showAddresses = "ip addr"
	showPort      = "ss -ltnp 'sport = :%d'"
	// ss -l lists listeners only.
	showConnection = "ss -tanp 'sport = :%d'"
	portDenied     = "daemon.listen_denied"
)

// succession is as a service wants it; tests have steps of it fail. So is retryEvery,
// netsvc.Options.RetryEvery; tests are impatient.
var (
	succession netsvc.SuccessionOptions
	retryEvery time.Duration
)

// runAsService runs the daemon in the foreground; systemd, if it is the one that
// started it (Type=notify), is told when it is ready and when it ends.
func runAsService(run func(context.Context, manager) int) int {
	// Keys and messages are never written to a core file. If the limit cannot be
	// lowered, Go still makes none unless GOTRACEBACK asks for it.
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	notify := func(state string) func() {
		// Without systemd, or if it does not listen, there is nobody to notify.
		return func() { daemon.SdNotify(false, state) }
	}
	journaled, err := journal.StderrIsJournalStream()
	// A daemon whose log goes into a pipe goes on when its reader ends: writing fails
	// then, and records are missed less than sessions. Go ends a program for
	// that unless it asks for the signal; to ignore it would be inherited by others.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
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

		succession: succession,
		retryEvery: retryEvery,
	})
}

// systemctl has what the commands for the Windows service are here.
var systemctl = map[string]string{
	"install":   "systemctl enable --now pns4ones",
	"uninstall": "systemctl disable --now pns4ones",
	"start":     "systemctl start pns4ones",
	"stop":      "systemctl stop pns4ones",
	"where":     "systemctl cat pns4ones",
}

// managesService reports whether the word is a command that manages the service.
func managesService(word string) bool { return systemctl[word] != "" }

// manageService says which command to use instead.
func manageService(word string, _ []string, text *locale.Localizer, _, stderr io.Writer) int {
	fmt.Fprintln(stderr, text.T("service.use_systemctl", "word", word, "command", systemctl[word]))
	return exitUsage
}
