//go:build unix

package socket

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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrInUse: another daemon listens on the control channel.
	ErrInUse = errors.New("another daemon listens there")
	// ErrOpenFolder: every user could put a socket of their own in place of the
	// channel.
	ErrOpenFolder = errors.New("every user may write into its folder")
	// ErrPathTooLong: no socket can have that path.
	ErrPathTooLong = errors.New("the path is too long for a socket")
	// ErrNotSocket: something else is at the path.
	ErrNotSocket = errors.New("it is no socket")
	// ErrForeign does not happen here: only the service may write into the folder.
	ErrForeign = errors.New("the pipe belongs to another account")
)

const (
	// groupName is the group whose members may administer, if it exists.
	groupName = "pns4ones"

	folderMode = 0o750
	socketMode = 0o660

	// maxSocketPath is what the kernel takes (sun_path of 108 bytes with its NUL).
	maxSocketPath = 107
)

// Listen opens the channel at path. The folder is made if it is missing,
// and stays as it is if it is there. A socket that a crashed daemon left is
// replaced; one that is listened on is not, nor is anything that is no socket. The
// error wraps ErrInUse, fs.ErrPermission or another one of the system. Closing the
// listener removes the socket.
func Listen(path string) (net.Listener, error) {
	if err := checkLength(path); err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if isOpen(info) {
		return nil, ErrOpenFolder
	}
	unlock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return listenAt(path)
}

// Look reports why no channel could be opened at path, as far as that lies in its folder,
// or the one where it would be made. It makes nothing.
func Look(path string) error {
	if err := checkLength(path); err != nil {
		return err
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	for errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
		info, err = os.Stat(folder)
	}
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return &fs.PathError{Op: "open", Path: folder, Err: syscall.ENOTDIR}
	case folder == filepath.Dir(path) && isOpen(info):
		return ErrOpenFolder
	}
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write into", Path: folder, Err: err}
	}
	return nil
}

// checkLength says what the system would call an invalid argument.
func checkLength(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("%w: it has %d bytes, a socket's may have %d", ErrPathTooLong, len(path), maxSocketPath)
	}
	return nil
}

// isOpen reports whether every user may put a socket of their own into a folder.
func isOpen(folder fs.FileInfo) bool {
	return folder.Mode().Perm()&0o002 != 0 && folder.Mode()&os.ModeSticky == 0
}

// makeFolder makes the folder and the missing ones above it.
func makeFolder(folder string) error {
	_, err := os.Stat(folder)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeFolder(filepath.Dir(folder)); err != nil {
		return err
	}
	if err := os.Mkdir(folder, folderMode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // somebody was faster
		}
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

const (
	lockPatience = 2 * time.Second
	lockStep     = 10 * time.Millisecond
)

// lockFolder keeps other daemons from opening or closing a channel in the folder,
// so that of two which start at once over a stale socket one gets it and the other
// sees it live. Where folders cannot be locked (NFS) it does nothing.
func lockFolder(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(lockStep) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return func() { f.Close() }, nil
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("another program holds the folder %s locked", folder)
		}
	}
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
	switch {
	case errors.Is(err, syscall.EAGAIN): // it listens, but has too many callers waiting
		return ErrInUse
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("finding out whether another daemon listens there: %w", reason(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// listenAt binds the socket. Until it has its group and mode, nobody but us can
// connect, whatever the umask: the file gets the mode that the socket has when it
// is bound (where the system does not know that, it refuses the Fchmod).
func listenAt(path string) (net.Listener, error) {
	closed := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.Fchmod(int(fd), 0o600) })
	}}
	ln, err := closed.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("making the socket: %w", reason(err))
	}
	if err = giveToGroup(path, socketMode); err == nil {
		// The system stamps files with a clock of some milliseconds, and a number is free
		// again at once: two files could pass for one.
		now := time.Now()
		err = os.Chtimes(path, now, now)
	}
	if err == nil {
		s, attachErr := Attach(ln.(*net.UnixListener), path, "")
		if attachErr == nil {
			return s, nil
		}
		err = attachErr
	}
	ln.Close()
	os.Remove(path)
	return nil, err
}

// Attach goes on with a socket that Detach gave, in this process or another one. Its file
// is the one that FileOf named; if that is empty, the one at path. The error says that its
// file is no longer there: then nobody can call the socket, whatever is at path.
func Attach(ln *net.UnixListener, path, file string) (net.Listener, error) {
	ln.SetUnlinkOnClose(false)
	ln.SetDeadline(time.Time{})
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if file != "" && identity(info) != file {
		return nil, &fs.PathError{Op: "attach", Path: path, Err: fs.ErrNotExist}
	}
	return &socket{UnixListener: ln, path: path, file: info}, nil
}

// Resume goes on, in this process, with a channel that Detach ended. If its file is no longer
// there, the socket is closed and the error says so. ln is what Listen, Attach or Resume gave.
func Resume(ln net.Listener) (net.Listener, error) {
	s := ln.(*socket)
	again, err := Attach(s.UnixListener, s.path, identity(s.file))
	if err != nil {
		s.UnixListener.Close()
		return nil, err
	}
	return again, nil
}

// FileOf names the file of a channel as no other file is named, before or after it; empty
// if ln is of another kind.
func FileOf(ln net.Listener) string {
	if s, ours := ln.(*socket); ours {
		return identity(s.file)
	}
	return ""
}

// identity tells a file from those that had its number before by the time when it was made:
// nothing writes to the file of a socket.
func identity(file fs.FileInfo) string {
	system := file.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d:%d", system.Dev, system.Ino, file.ModTime().UnixNano())
}

// Underlying is the socket itself, to be passed on; nil if ln is of another kind.
func Underlying(ln net.Listener) *net.UnixListener {
	if s, ours := ln.(*socket); ours {
		return s.UnixListener
	}
	return nil
}

// Detach ends accepting without closing the socket, which it returns: whoever calls
// waits until somebody accepts again. Accept fails as if it were closed, and Close does
// nothing any more. It returns nil if ln is of another kind.
func Detach(ln net.Listener) *net.UnixListener {
	s, ours := ln.(*socket)
	if !ours || s.detached.Swap(true) {
		return nil
	}
	s.SetDeadline(time.Unix(1, 0)) // Accept wakes up
	return s.UnixListener
}

// socket removes its file when it is closed, unless another one has taken the
// place.
type socket struct {
	*net.UnixListener
	path     string
	file     fs.FileInfo
	detached atomic.Bool
}

func (s *socket) Accept() (net.Conn, error) {
	conn, err := s.UnixListener.Accept()
	if err != nil && s.detached.Load() {
		return nil, net.ErrClosed
	}
	return conn, err
}

func (s *socket) Close() error {
	if s.detached.Load() {
		return nil
	}
	if unlock, err := lockFolder(filepath.Dir(s.path)); err == nil {
		defer unlock()
	}
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	if s.isThere() {
		os.Remove(s.path)
	}
	return err
}

func (s *socket) isThere() bool {
	now, err := os.Lstat(s.path)
	return err == nil && identity(now) == identity(s.file)
}

// IsThere reports whether callers find the channel: its file may have been removed, or
// another one be in its place.
func IsThere(ln net.Listener) bool {
	s, ours := ln.(*socket)
	return !ours || s.isThere()
}

// Drop closes a channel that is not there any more: whatever is in its place stays.
func Drop(ln net.Listener) {
	if detached := Detach(ln); detached != nil {
		detached.Close()
	}
}

// Dial connects to the channel at path. Its error, ErrPathTooLong, ErrNotSocket or one
// of the system's, does not name the path.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if err := checkLength(path); err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return conn, nil
	}
	// The system says of a file what it says of a socket that a crashed daemon left.
	if info, statErr := os.Stat(path); statErr == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, ErrNotSocket
	}
	return nil, reason(err)
}

// reason is a network error without the address, which is said anyway.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Group names the group whose members may connect, that of the socket or of the
// folder that hides it, if it is one that a person may be told to join: neither
// root's nor some user's own.
func Group(path string) string {
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		system, ok := info.Sys().(*syscall.Stat_t)
		if !ok || system.Gid == 0 {
			continue
		}
		name := groupNamed(int(system.Gid))
		if _, err := user.Lookup(name); err != nil || name == groupName {
			return name
		}
	}
	return ""
}

// groupNamed is the group's name, or its number if it has none.
func groupNamed(gid int) string {
	id := strconv.Itoa(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
