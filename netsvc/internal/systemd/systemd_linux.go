// Package systemd speaks to the service manager that started the process, in the words of
// sd_notify(3), with a deadline for each: systemd may be busy for seconds, and then takes
// no messages. It keeps descriptors with it from one process of the service to the next.
//
// netsvc decides what is said when.
package systemd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Manager is systemd, or nobody: then nothing is said, and nothing is kept.
type Manager struct {
	socket    string
	cgroup    string // the file that tells of which unit this process is
	systemctl string // the program
}

// FromEnvironment returns who started this process.
func FromEnvironment() *Manager {
	return &Manager{os.Getenv("NOTIFY_SOCKET"), "/proc/self/cgroup", "systemctl"}
}

// Present reports whether systemd started the process and hears it.
func (m *Manager) Present() bool { return m.socket != "" }

// MainPID has systemd follow another process of the service.
func (m *Manager) MainPID(pid int, until time.Time) error {
	return m.Notify("MAINPID="+strconv.Itoa(pid), until)
}

// Notify says something, and returns when systemd's socket has it.
func (m *Manager) Notify(state string, until time.Time) error {
	return m.notify(state, until)
}

// Store has systemd keep a descriptor for the next process under a name.
func (m *Manager) Store(name string, file *os.File, until time.Time) error {
	if !m.Present() {
		return errors.New("there is no service manager that keeps descriptors")
	}
	return m.notify("FDSTORE=1\nFDNAME="+name, until, file)
}

// Forget has systemd close the descriptors that it keeps under a name.
func (m *Manager) Forget(name string, until time.Time) error {
	return m.notify("FDSTOREREMOVE=1\nFDNAME="+name, until)
}

// Barrier returns when systemd has read all that was said to it. It looks up who said
// something: a process must not end before.
func (m *Manager) Barrier(until time.Time) error {
	if !m.Present() {
		return nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("waiting for systemd: %w", err)
	}
	defer ours.Close()
	err = m.notify("BARRIER=1", until, theirs)
	theirs.Close()
	if err != nil {
		return err
	}
	ours.SetReadDeadline(until)
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("waiting for systemd to read what was said: %w", err)
	}
	return nil
}

// Stored returns the descriptors that systemd has kept under a name, and closes the
// others that it passed on. It is called once: they are no longer in the environment then.
func Stored(name string) (kept []*os.File) {
	for _, file := range activation.Files(true) {
		if file.Name() != name {
			file.Close()
			continue
		}
		kept = append(kept, file)
	}
	return kept
}

func (m *Manager) notify(state string, until time.Time, files ...*os.File) error {
	if !m.Present() {
		return nil
	}
	// Package net does not pass files on through a connected datagram socket.
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer unix.Close(socket)
	left := max(time.Until(until), time.Millisecond)
	timeout := unix.NsecToTimeval(left.Nanoseconds())
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	var rights []byte
	for _, file := range files {
		raw, err := file.SyscallConn()
		if err != nil {
			return fmt.Errorf("telling systemd: %w", err)
		}
		if err := raw.Control(func(fd uintptr) { rights = append(rights, unix.UnixRights(int(fd))...) }); err != nil {
			return fmt.Errorf("telling systemd: %w", err)
		}
	}
	for {
		err := unix.Sendmsg(socket, []byte(state), rights, &unix.SockaddrUnix{Name: m.socket}, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			err = errors.New("it does not read its messages")
		}
		return fmt.Errorf("telling systemd: %w", err)
	}
}
