//go:build !unix

package hub

import (
	"net"
	"syscall"
)

// hangUp closes a connection.
func hangUp(conn net.Conn, _ syscall.RawConn) { conn.Close() }
