package systemd

import (
	"context"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"
)

// Stops reports whether the service of this process is being stopped, and not restarted: what a
// signal does not tell. It is false where systemd does not say so in time.
func (m *Manager) Stops(until time.Time) bool {
	cgroup, err := os.ReadFile(m.cgroup)
	unit := unitOf(string(cgroup))
	if !m.Present() || err != nil || unit == "" {
		return false
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	list := exec.CommandContext(ctx, m.systemctl, "list-jobs", "--plain", "--full", "--no-legend", "--no-pager")
	list.WaitDelay = 50 * time.Millisecond // if it has started something that goes on
	jobs, err := list.Output()
	return err == nil && jobOf(unit, string(jobs)) == "stop"
}

// unitOf is the unit of a process by its control group, the text of proc_pid_cgroup(5); empty:
// it is of none that is a service.
func unitOf(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) == 3 && (parts[1] == "" || parts[1] == "name=systemd") && strings.HasSuffix(parts[2], ".service") {
			return path.Base(parts[2])
		}
	}
	return ""
}

// jobOf is what systemd is doing with a unit, by its list of jobs: number, unit, kind and state
// on each line; empty: nothing.
func jobOf(unit, jobs string) string {
	for line := range strings.Lines(jobs) {
		if fields := strings.Fields(line); len(fields) >= 3 && fields[1] == unit {
			return fields[2]
		}
	}
	return ""
}
