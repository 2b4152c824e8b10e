package config

import (
	"path/filepath"

	"github.com/pns4ones/pns4ones/config/locale"
)

// pipe is the name of the control channel's named pipe.
const pipe = `\\.\pipe\pns4ones`

// DefaultPaths returns the places for the current user: all files are in
// %LocalAppData%\PNS4OneS, as those of the old product.
func DefaultPaths(getenv func(string) string) (Paths, error) {
	local := getenv("LOCALAPPDATA")
	if !filepath.IsAbs(local) {
		return Paths{}, locale.NewText("config.no_home", "variable", "LOCALAPPDATA")
	}
	folder := filepath.Join(local, "PNS4OneS")
	return Paths{Settings: folder, Data: folder, Control: pipe}, nil
}

// ControlCandidates returns where a daemon's control channel may be.
func ControlCandidates(func(string) string) []string { return []string{pipe} }
