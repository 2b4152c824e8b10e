package config

import "path/filepath"

// Paths are the places of the daemon's files. The packaged service and root have
// those of the machine (ServicePaths), another user those of the XDG base
// directories, and Windows %LocalAppData%\PNS4OneS; see DefaultPaths.
type Paths struct {
	Settings string // folder of pns4ones.toml, pns4ones.ini and the old keys file
	Data     string // default of data_dir
	Control  string // default of control
}

// Where the service of the whole machine keeps its files on Linux.
const (
	systemSettings = "/etc/pns4ones"
	systemData     = "/var/lib/pns4ones"
	systemControl  = "/run/pns4ones/control.sock"
)

// ServicePaths returns the places of the packaged service on Linux, whatever
// system and user ask: for texts about it.
func ServicePaths() Paths {
	return Paths{Settings: systemSettings, Data: systemData, Control: systemControl}
}

// file returns the path of a file in the settings folder.
func (p Paths) file(name string) string { return filepath.Join(p.Settings, name) }
