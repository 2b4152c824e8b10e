package netsvc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// Look looks at what a start needs beside settings and certificate: the database and the
// folder of the control channel. A daemon may be running: nothing is locked, made or
// changed. Ports are left to the start, for to bind them would get into its way. What the
// disk does not say in time is passed over. The errors are those of Open. inDoubt is as
// with [app.Registry.LastChangeInDoubt].
func Look(c *config.Config) (inDoubt bool, err error) {
	path := filepath.Join(c.DataDir, databaseName)
	if files.Exposed(path) {
		return false, &DatabaseError{Path: path, Err: ErrExposed}
	}
	seen, err := app.Look(path)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist): // it will be made
	case errors.Is(err, app.ErrLocked), errors.Is(err, os.ErrDeadlineExceeded): // busy
	default:
		return false, &DatabaseError{Path: path, Err: errors.Unwrap(err)} // the path is said once
	}
	if err := socket.Look(c.Control); err != nil {
		return false, &ControlError{Path: c.Control, Err: err}
	}
	return seen.LastChangeInDoubt, nil
}
