package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
)

// welcome says what the daemon listens on and, while there is no app, what to
// do next.
func (d *daemonRun) welcome(text *locale.Localizer, settings *config.Result, server *netsvc.Server) {
	say := func(id string, args ...any) { fmt.Fprintln(d.stdout, text.T(id, args...)) }
	c := &settings.Config
	scheme := "HTTP"
	if c.SSLMode != config.SSLNone {
		scheme = "HTTPS"
	}
	say("daemon.started", "version", version)
	say("daemon.senders", "address", server.SendersAddress(), "scheme", scheme)
	say("daemon.sessions", "address", server.SessionsAddress())
	if settings.File != "" {
		say("daemon.settings", "file", settings.File)
	}
	say("daemon.database", "path", server.DatabasePath())
	say("daemon.control", "path", c.Control)
	if node, cluster := server.Node(); node != "" {
		say("daemon.node", "node", node, "cluster", cluster)
	}
	if h := server.LastHandOver(); h != nil {
		say("daemon.inherited", "N", h.Sessions, "version", h.FromVersion)
	}
	d.sayOldKeys(text, server.OldKeys())
	if server.Apps() == 0 {
		say("daemon.next_step", "command", adminCommand(c, d.getenv))
	}
}

// sayOldKeys says what was taken over from the old product, and where it was looked
// for.
func (d *daemonRun) sayOldKeys(text *locale.Localizer, old netsvc.OldKeys) {
	switch {
	case old.Report != nil:
		fmt.Fprintln(d.stdout, text.T("daemon.imported", "N", len(old.Report.Imported)))
		fmt.Fprintln(d.stdout, text.T("daemon.old_keys_file", "file", old.File))
		for _, p := range old.Report.Problems {
			fmt.Fprintln(d.stdout, text.T("daemon.import_problem", "line", p.Line, "detail",
				text.T("import."+string(p.Code), "title", p.Title)))
		}
	case len(old.Looked) > 0:
		fmt.Fprintln(d.stdout, text.T("daemon.no_old_keys", "places", strings.Join(old.Looked, ", ")))
	}
	for _, path := range old.Other {
		fmt.Fprintln(d.stderr, text.T("daemon.warning", "what", text.T("daemon.other_old_keys", "path", path,
			"imported", old.File)))
	}
}

// adminCommand is how to call the admin program from where the person is: by its
// name if it is installed, else by its path beside the daemon, or through go run
// if that is how the daemon was started.
func adminCommand(c *config.Config, getenv func(string) string) string {
	const name = "pns4onesadmin"
	command := name
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		switch {
		case strings.Contains(self, "go-build"):
			command = "go run ./cmd/" + name
		case !installed(name) && exists(beside):
			command = beside
		}
	}
	if !slices.Contains(config.ControlCandidates(getenv), c.Control) {
		command += " --control " + c.Control
	}
	return command
}

func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
