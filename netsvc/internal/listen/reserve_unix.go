//go:build unix

package listen

import (
	"net"
	"syscall"
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
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return false
	}
	file, err := tcp.File() // a duplicate, with the lowest number that is free
	if err != nil {
		return true
	}
	defer file.Close()
	var limit syscall.Rlimit
	return syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil && uint64(file.Fd()) >= limit.Cur-reserved
}
