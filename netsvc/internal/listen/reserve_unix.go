//go:build unix

package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxReserved is how many descriptors stay free of connections: 16 for the control
// channel, the database and the log; 48 for a hand-over, which has to work when all others
// are in use: for memory files, for the trays of a million connections, for pipes and a
// program.
const maxReserved = 64

// Reserved is how many descriptors of this process are given to no connection that it
// accepts, however many come: 64, or an eighth where there are few; 0 if it cannot be known.
func Reserved() int { return int(reservedOf(limit())) }

func reservedOf(limit uint64) uint64 { return min(maxReserved, limit/8) }

// limit is how many descriptors this process may have; 0: it is not known.
func limit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}

// crowded reports whether a connection has one of the reserved descriptors. The system
// gives the lowest number that is free, so the number shows how many are taken.
func crowded(conn syscall.Conn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	limit, last := limit(), false
	raw.Control(func(fd uintptr) { last = limit > 0 && uint64(fd) >= limit-reservedOf(limit) })
	return last
}

// hasRoom reports whether as many descriptors as are reserved would be free if so many
// connections more were accepted.
func hasRoom(ln net.Listener, connections int) bool {
	socket, ok := ln.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	room := true // also of a listener that was closed: accepting shows that
	raw.Control(func(fd uintptr) { room = areFree(int(fd), connections) })
	return room
}

// areFree reports whether so many descriptors are free beside those reserved.
func areFree(fd, want int) bool {
	limit := limit()
	if limit == 0 {
		return true
	}
	first := int(limit - reservedOf(limit))
	// For each of the highest numbers that is taken a lower one has to be free.
	for number := first; number < int(limit); number++ {
		if _, err := unix.FcntlInt(uintptr(number), unix.F_GETFD, 0); err == nil {
			want++
		}
	}
	// A duplicate has the lowest number that is free. (That of TCPListener.File would
	// make the listener's own socket block.)
	for ; want > 0; want-- {
		next, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return false
		}
		defer unix.Close(next)
		if next >= first {
			return false
		}
	}
	return true
}
