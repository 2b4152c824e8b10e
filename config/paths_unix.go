//go:build unix

package config

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// DefaultPaths returns the places for the current user: those of the machine for
// root and for the packaged service, which systemd names in the environment, and
// those of the XDG base directories for others.
func DefaultPaths(getenv func(string) string) (Paths, error) {
	if os.Geteuid() == 0 || underSystemd(getenv) {
		p := ServicePaths()
		if folder := firstFolder(getenv("CONFIGURATION_DIRECTORY")); folder != "" {
			p.Settings = folder
		}
		if folder := firstFolder(getenv("STATE_DIRECTORY")); folder != "" {
			p.Data = folder
		}
		if folder := firstFolder(getenv("RUNTIME_DIRECTORY")); folder != "" {
			p.Control = filepath.Join(folder, "control.sock")
		}
		return p, nil
	}
	return userPaths(getenv)
}

// underSystemd reports whether a unit with folders of its own started us.
func underSystemd(getenv func(string) string) bool {
	return getenv("STATE_DIRECTORY") != ""
}

// firstFolder takes the first of the folders that systemd lists with colons.
func firstFolder(list string) string {
	first, _, _ := strings.Cut(list, ":")
	return first
}

func userPaths(getenv func(string) string) (Paths, error) {
	settings, err := baseFolder(getenv, "XDG_CONFIG_HOME", ".config")
	if err != nil {
		return Paths{}, err
	}
	data, err := baseFolder(getenv, "XDG_DATA_HOME", ".local/share")
	if err != nil {
		return Paths{}, err
	}
	p := Paths{Settings: filepath.Join(settings, "pns4ones"), Data: filepath.Join(data, "pns4ones")}
	p.Control = filepath.Join(p.Data, "control.sock")
	if runtime := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		p.Control = filepath.Join(runtime, "pns4ones", "control.sock")
	}
	return p, nil
}

// baseFolder returns a folder of the XDG base directory specification, which
// says that relative ones are ignored.
func baseFolder(getenv func(string) string, variable, below string) (string, error) {
	if folder := getenv(variable); filepath.IsAbs(folder) {
		return folder, nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, below), nil
	}
	u, err := user.Current()
	if err != nil || !filepath.IsAbs(u.HomeDir) {
		return "", locale.NewText("config.no_home", "variable", variable)
	}
	return filepath.Join(u.HomeDir, below), nil
}

// ControlCandidates returns where a daemon's control channel may be, the most
// likely first: the user's own daemon, then that of the machine.
func ControlCandidates(getenv func(string) string) []string {
	var candidates []string
	if p, err := DefaultPaths(getenv); err == nil {
		// A daemon started outside of a login, by cron for one, has no
		// XDG_RUNTIME_DIR and takes the folder of the database.
		candidates = append(candidates, p.Control, filepath.Join(p.Data, "control.sock"))
	}
	candidates = append(candidates, systemControl)
	if candidates[0] == systemControl {
		return candidates[:1]
	}
	return slices.Compact(candidates)
}
