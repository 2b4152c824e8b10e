package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// ErrInUse: another daemon listens on the control channel.
var ErrInUse = errors.New("another daemon listens there")

// pipeSDDL admits SYSTEM (SY), the Administrators (BA) and the account that the
// daemon runs as, and nobody else; P keeps inherited rights out.
const pipeSDDL = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;%s)"

// Listen opens the control channel at path, \\.\pipe\NAME. The error wraps
// ErrInUse or another one of the system.
func Listen(path string) (net.Listener, error) {
	self, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("finding the account of the service: %w", err)
	}
	ln, err := winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: fmt.Sprintf(pipeSDDL, self.Uid)})
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		// A pipe's first instance can be made once only.
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return ln, err
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, path)
}

// connectError tells why dial failed.
func connectError(path string, err error) *ConnectError {
	e := &ConnectError{Path: path, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = ConnectMissing
	case errors.Is(err, fs.ErrPermission):
		e.Kind = ConnectDenied
		e.Group = "Administrators"
	}
	return e
}
