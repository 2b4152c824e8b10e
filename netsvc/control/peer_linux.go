package control

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerFrom reads the credentials of the process that connected (SO_PEERCRED).
func peerFrom(conn net.Conn) peer {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}
	}
	var credentials *unix.Ucred
	var credentialsErr error
	err = raw.Control(func(fd uintptr) {
		credentials, credentialsErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || credentialsErr != nil {
		return peer{}
	}
	return peer{uid: int(credentials.Uid), gid: int(credentials.Gid), known: true}
}

// allowed decides about a peer of the socket at ln. One that the system does not
// name is not admitted.
func allowed(ln net.Listener, p peer) bool {
	s, ok := ln.(*socket)
	if !ok || !p.known {
		return false
	}
	system, ok := s.file.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	return gate{ownUID: os.Geteuid(), socketGID: int(system.Gid), groupsOf: groupsOf}.admits(p)
}
