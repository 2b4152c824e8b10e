package netsvc

import (
	"errors"
	"fmt"

	"github.com/pns4ones/pns4ones/netsvc/internal/listen"
)

// ListenError says which setting's address could not be listened on, and why.
type ListenError = listen.OpenError

// DatabaseError says that the database could not be used. It wraps
// app.ErrLocked, app.ErrNewer, app.ErrDamaged, ErrExposed, fs.ErrPermission or
// whatever else.
type DatabaseError struct {
	Path string
	Err  error
}

func (e *DatabaseError) Error() string {
	return fmt.Sprintf("opening the database: %s: %v", e.Path, e.Err)
}
func (e *DatabaseError) Unwrap() error { return e.Err }

// ErrExposed: every user of this machine can read a file with secrets.
var ErrExposed = errors.New("every user of this machine can read it")

// OldKeysError says that the old product's keys could not be taken over.
type OldKeysError struct {
	Path string
	Err  error
}

func (e *OldKeysError) Error() string {
	return fmt.Sprintf("importing the old product's keys: %s: %v", e.Path, e.Err)
}
func (e *OldKeysError) Unwrap() error { return e.Err }

// ControlError says that the control channel could not be opened. It wraps
// socket.ErrInUse, fs.ErrPermission or whatever else.
type ControlError struct {
	Path string
	Err  error
}

func (e *ControlError) Error() string {
	return fmt.Sprintf("opening the control channel: %s: %v", e.Path, e.Err)
}
func (e *ControlError) Unwrap() error { return e.Err }
