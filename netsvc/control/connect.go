package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// ConnectKind says why the daemon cannot be reached.
type ConnectKind int

// The kinds of ConnectError.
const (
	ConnectFailed    ConnectKind = iota // none of the others; also a daemon that does not answer
	ConnectMissing                      // there is no socket or pipe: the daemon does not run
	ConnectRefused                      // a socket is there, but nobody listens: the daemon has crashed
	ConnectDenied                       // the user may not connect
	ConnectTooLong                      // no socket can have that path
	ConnectNotSocket                    // there is something else: a file or a folder
	ConnectForeign                      // somebody else has taken the pipe's name (Windows)
	ConnectOther                        // something answers that is no daemon of ours
)

// ConnectError says that the daemon cannot be reached.
type ConnectError struct {
	Path  string
	Kind  ConnectKind
	Group string // with ConnectDenied: whose members may connect, if that is known
	Err   error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("connecting to the daemon: %s: %v", e.Path, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// waitStep is the pause between tries while the daemon is starting.
const waitStep = 20 * time.Millisecond

// dial connects, and waits for a daemon that is just starting.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	deadline := time.Now().Add(c.Wait)
	for {
		conn, err := socket.Dial(ctx, c.path)
		if err == nil {
			return conn, nil
		}
		e := connectError(c.path, err)
		if e.Kind != ConnectMissing && e.Kind != ConnectRefused || time.Now().After(deadline) {
			return nil, e
		}
		select {
		case <-time.After(waitStep):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// connectError says why socket.Dial failed.
func connectError(path string, err error) *ConnectError {
	e := &ConnectError{Path: path, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = ConnectMissing
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Kind = ConnectRefused
	case errors.Is(err, socket.ErrPathTooLong):
		e.Kind = ConnectTooLong
	case errors.Is(err, socket.ErrNotSocket):
		e.Kind = ConnectNotSocket
	case errors.Is(err, socket.ErrForeign):
		e.Kind = ConnectForeign
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Group = ConnectDenied, socket.Group(path)
	}
	return e
}
