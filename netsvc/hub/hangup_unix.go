//go:build unix

package hub

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hangUp closes a connection. Closing its descriptor alone would not end it while
// another process has a copy, as in a hand-over.
func hangUp(conn net.Conn, raw syscall.RawConn) {
	if raw != nil {
		// An error means that it has ended already.
		raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	conn.Close()
}
