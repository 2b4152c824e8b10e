package config

import "path/filepath"

// Paths are the places of the daemon's files (design.md section 3, «Paths»).
type Paths struct {
	Settings string // folder of pns4ones.toml, pns4ones.ini and the old keys file
	Data     string // default of data_dir
	Control  string // default of control
}

// file returns the path of a file in the settings folder.
func (p Paths) file(name string) string { return filepath.Join(p.Settings, name) }
