//go:build unix

package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// reserved is how many descriptors stay free of connections: for the control channel,
// the database and a hand-over (protocol.md section 5).
const reserved = 32

// crowded reports whether a connection has one of the last descriptors. The system
// gives the lowest number that is free, so the number tells how many are taken.
func crowded(conn syscall.Conn) bool {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur < 4*reserved {
		return false // with so few there is nothing to keep
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	last := false
	raw.Control(func(fd uintptr) { last = uint64(fd) >= limit.Cur-reserved })
	return last
}

// stillCrowded reports whether another descriptor would be one of the last, too.
func stillCrowded(ln net.Listener) bool {
	var limit syscall.Rlimit
	socket, ok := ln.(syscall.Conn)
	if !ok || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	last := false // also of a listener that was closed: accepting tells
	raw.Control(func(fd uintptr) {
		// A duplicate has the lowest number that is free. (That of TCPListener.File would
		// make the listener's own socket block.)
		next, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			last = true
			return
		}
		last = uint64(next) >= limit.Cur-reserved
		unix.Close(next)
	})
	return last
}
