package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
)

const (
	// expirySoon is how long before its end a certificate is warned of.
	expirySoon = 30 * 24 * time.Hour
	// checkTime is what the check may take where something does not answer, for it runs
	// beside a live daemon: at a reload, before an upgrade, in the scripts of the packages.
	checkTime = 5 * time.Second
)

// check validates the settings, the certificate and what else a start needs, without
// starting anything. Root, who can read everything, has it repeated with the rights of
// the service.
//
// Each thing that may not answer has a bound of its own: a file, the database, a key in
// hardware, systemd. The whole has none, for on a busy machine all of it is slow, and
// nothing is wrong.
func (d *daemonRun) check(text *locale.Localizer, settings *config.Result) int {
	deadline := time.Now().Add(checkTime)
	status := d.checkHere(text, settings)
	if status == exitDone {
		status = d.checkAsService(text, settings, deadline)
	}
	if status == exitDone {
		from := settings.File
		if from == "" {
			from = text.T("daemon.no_file")
		}
		fmt.Fprintln(d.stdout, text.T("daemon.check_ok", "file", from))
	}
	return status
}

// checkHere checks with the rights of this process.
func (d *daemonRun) checkHere(text *locale.Localizer, settings *config.Result) int {
	d.warn(text, settings)
	warn := func(id string, args ...any) {
		fmt.Fprintln(d.stderr, text.T("daemon.warning", "what", text.T(id, args...)))
	}
	certificate, err := netsvc.OpenCertificate(&settings.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		return d.fail(text, settings, err)
	}
	if certificate != nil {
		switch left := time.Until(certificate.NotAfter()); {
		case left <= 0:
			warn("daemon.check_expired")
		case left < expirySoon:
			warn("daemon.check_expires_soon", "N", int(left.Hours()/24))
		}
		if from := certificate.NotBefore(); time.Now().Before(from) {
			warn("daemon.check_not_yet", "from", from.Local().Format(time.DateTime))
		}
		fmt.Fprintln(d.stdout, text.T("daemon.check_certificate", "until",
			certificate.NotAfter().Format(time.DateOnly)))
	}
	if err := netsvc.LookAtCluster(&settings.Config); err != nil {
		return d.fail(text, settings, err)
	}
	if folder := d.getenv("RUNTIME_DIRECTORY"); folder != "" {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return exitDone // repeated for a service that does not run: systemd makes its folders first
		}
	}
	inDoubt, err := netsvc.Look(&settings.Config)
	if err != nil {
		return d.fail(text, settings, err)
	}
	if inDoubt {
		warn("daemon.check_in_doubt")
	}
	return exitDone
}
