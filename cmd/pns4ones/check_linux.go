package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// serviceUnit is the unit of the packages and of install.sh.
const serviceUnit = "pns4ones.service"

// checkAsService repeats the check of the packaged service's settings as the user
// that the service runs as. It does nothing if this is not root, if other settings are
// meant, or if there is no such service; and it cannot where that user may not run
// this program. What has not ended at the deadline counts for nothing.
func (d *daemonRun) checkAsService(text *locale.Localizer, settings *config.Result, deadline time.Time) int {
	paths := config.ServicePaths()
	if os.Geteuid() != 0 || settings.File != "" && filepath.Dir(settings.File) != paths.Settings {
		return exitDone
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	who, known := serviceAccount(ctx)
	if !known {
		return exitDone
	}
	self, err := os.Executable()
	if err != nil {
		return exitDone
	}
	var said bytes.Buffer
	again := exec.CommandContext(ctx, self, d.args...)
	again.Dir = "/"
	again.Env = append(os.Environ(), "STATE_DIRECTORY="+paths.Data, "RUNTIME_DIRECTORY="+filepath.Dir(paths.Control),
		"CONFIGURATION_DIRECTORY="+paths.Settings, "PNS4ONES_LANG="+string(text.Lang()))
	again.Stderr = &said
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &who.credential}
	switch err := again.Run(); {
	case err == nil:
		fmt.Fprintln(d.stdout, text.T("daemon.check_as", "user", who.name))
		return exitDone
	case ctx.Err() == nil && isExit(err):
		fmt.Fprintln(d.stderr, text.T("daemon.check_failed_as", "user", who.name))
		fmt.Fprint(d.stderr, said.String())
		return exitFailed
	}
	return exitDone // that user may not run it from here
}

func isExit(err error) bool {
	_, ended := errors.AsType[*exec.ExitError](err)
	return ended
}

// account is a user with what the system has to know to run something as them.
type account struct {
	name       string
	credential syscall.Credential
}

// serviceAccount finds out whom the installed service runs as.
func serviceAccount(ctx context.Context) (account, bool) {
	name, groups := "", []string(nil)
	for _, folder := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		if _, err := os.Stat(filepath.Join(folder, serviceUnit)); err == nil {
			name = "pns4ones"
			break
		}
	}
	if name == "" {
		return account{}, false
	}
	// Drop-ins may name another user, or give groups that the user does not have.
	show := exec.CommandContext(ctx, "systemctl", "show", "--property=User", "--property=SupplementaryGroups",
		serviceUnit)
	out, err := show.Output()
	if ctx.Err() != nil {
		return account{}, false // what it would have said is not known
	}
	if err == nil {
		for line := range strings.Lines(string(out)) {
			switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
			case "User":
				name = value
			case "SupplementaryGroups":
				groups = strings.Fields(value)
			}
		}
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, false
	}
	for _, group := range groups {
		if g, err := user.LookupGroup(group); err == nil {
			ids = append(ids, g.Gid)
		}
	}
	who := account{name: name}
	who.credential.Uid, err = number(u.Uid)
	if err != nil || who.credential.Uid == 0 {
		return account{}, false
	}
	if who.credential.Gid, err = number(u.Gid); err != nil {
		return account{}, false
	}
	for _, id := range ids {
		if gid, err := number(id); err == nil {
			who.credential.Groups = append(who.credential.Groups, gid)
		}
	}
	return who, true
}

func number(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err
}
