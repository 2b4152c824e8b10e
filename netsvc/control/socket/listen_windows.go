package socket

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

var (
	// ErrInUse: another daemon listens on the control channel.
	ErrInUse = errors.New("another daemon listens there")
	// ErrOpenFolder does not happen here: pipes are in no folder.
	ErrOpenFolder = errors.New("every user may write into its folder")
	// ErrPathTooLong does not happen here: the system says what is wrong with a name.
	ErrPathTooLong = errors.New("the path is too long for a socket")
	// ErrNotSocket does not happen here: pipes have a world of their own.
	ErrNotSocket = errors.New("it is no socket")
	// ErrForeign: the pipe is not the service's, but of somebody who took its name.
	ErrForeign = errors.New("the pipe belongs to another account")
)

// pipeSDDL admits SYSTEM (SY), the Administrators (BA) and the account that the
// daemon runs as (its SID goes into %[1]s), and nobody else; P keeps inherited rights
// out. That account is the owner (O), by whom clients know it (checkServer). Callers from other machines are turned
// away by go-winio
// (FILE_PIPE_REJECT_REMOTE_CLIENTS).
const pipeSDDL = "O:%[1]sD:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;%[1]s)"

// pipeBufferBytes is what may be on its way in each direction; without a buffer
// every write would wait for its reader.
const pipeBufferBytes = 64 << 10

// Listen opens the channel at path, \\.\pipe\NAME. The error wraps
// ErrInUse or another one of the system. Closing the listener removes the pipe.
func Listen(path string) (net.Listener, error) {
	self, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("finding the account of the service: %w", err)
	}
	ln, err := winio.ListenPipe(path, &winio.PipeConfig{
		SecurityDescriptor: fmt.Sprintf(pipeSDDL, self.Uid),
		InputBufferSize:    pipeBufferBytes,
		OutputBufferSize:   pipeBufferBytes,
	})
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		// A pipe's first instance can be made once only.
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return ln, err
}

// Dial connects to the channel at path, without lending the daemon our identity, as
// is go-winio's rule. The error, ErrForeign or one of the system's, does not name the
// path.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	conn, err := winio.DialPipeContext(ctx, path)
	if inPath, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, inPath.Err
	}
	if err != nil {
		return nil, err
	}
	if err := checkServer(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Group names the group whose members may connect.
func Group(string) string { return "Administrators" }

// IsThere reports true: nobody can remove a pipe.
func IsThere(net.Listener) bool { return true }

// Drop is never called.
func Drop(net.Listener) {}

// Look knows of no obstacle here: a pipe has no folder.
func Look(string) error { return nil }
