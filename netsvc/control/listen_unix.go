//go:build unix

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrInUse: another daemon listens on the control channel.
var ErrInUse = errors.New("another daemon listens there")

const (
	// groupName is the group whose members may administer, if it exists.
	groupName = "pns4ones"

	folderMode = 0o750
	socketMode = 0o660

	// maxSocketPath is what the kernel takes (sun_path of 108 bytes with its NUL).
	maxSocketPath = 107
)

// Listen opens the control channel at path. The folder is made if it is missing. A
// socket that a crashed daemon left is replaced; one that is listened on is not,
// nor is anything that is no socket. The error wraps ErrInUse, fs.ErrPermission
// or another one of the system.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path has %d bytes, a socket's may have %d: choose a shorter one", len(path), maxSocketPath)
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return listenAs(path)
}

func makeFolder(folder string) error {
	_, err := os.Stat(folder)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return err
	}
	return giveToGroup(folder, folderMode)
}

// giveToGroup sets the mode, whatever the umask, and, if root can, the group.
func giveToGroup(path string, mode fs.FileMode) error {
	if os.Geteuid() == 0 {
		if group, err := user.LookupGroup(groupName); err == nil {
			gid, err := strconv.Atoi(group.Gid)
			if err != nil {
				return fmt.Errorf("group %s: %w", groupName, err)
			}
			if err := os.Chown(path, -1, gid); err != nil {
				return err
			}
		}
	}
	return os.Chmod(path, mode)
}

// removeStale removes the socket of a daemon that is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is something else at this path, not a socket")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return ErrInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// listenAs binds the socket in a folder that nobody else can enter, so that it
// appears at path with its final mode and group, and already listening.
func listenAs(path string) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	temporary := filepath.Join(private, "s")
	if len(temporary) > maxSocketPath {
		return nil, fmt.Errorf("the path is too long by %d bytes: choose a shorter one", len(temporary)-maxSocketPath)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err := giveToGroup(temporary, socketMode); err != nil {
		ln.Close()
		return nil, err
	}
	info, err := os.Lstat(temporary)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return &socket{UnixListener: ln, path: path, file: info}, nil
}

// socket removes its file when it is closed, unless another one has taken the
// place.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(s.file, now) {
		os.Remove(s.path)
	}
	return err
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// connectError tells why dial failed.
func connectError(path string, err error) *ConnectError {
	e := &ConnectError{Path: path, Err: err}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		e.Err = op.Err // the path is said once
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = ConnectMissing
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Kind = ConnectRefused
	case errors.Is(err, fs.ErrPermission):
		e.Kind = ConnectDenied
		e.Group = groupOf(path)
	}
	return e
}

// groupOf names the group of a socket, or of the folder that hides it.
func groupOf(path string) string {
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		if system, ok := info.Sys().(*syscall.Stat_t); ok {
			if group, err := user.LookupGroupId(strconv.Itoa(int(system.Gid))); err == nil {
				return group.Name
			}
		}
	}
	return ""
}
