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
	if h := server.LastHandOver(); h != nil {
		say("daemon.inherited", "N", h.Sessions, "version", h.FromVersion)
	}
	if report := server.OldKeysImport(); report != nil {
		say("daemon.imported", "N", len(report.Imported))
		for _, p := range report.Problems {
			say("daemon.import_problem", "line", p.Line, "detail", text.T("import."+string(p.Code), "title", p.Title))
		}
	}
	if server.Apps() == 0 {
		say("daemon.next_step", "command", adminCommand(c, d.getenv))
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
