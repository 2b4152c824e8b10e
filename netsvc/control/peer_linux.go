package control

import (
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerFrom reads the credentials of the process that connected (SO_PEERCRED,
// SO_PEERGROUPS). The kernel keeps them as they were at the connecting.
func peerFrom(conn net.Conn) (p peer) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}
	}
	raw.Control(func(fd uintptr) { // if it fails, p stays unknown
		credentials, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			uid := int(credentials.Uid)
			p = peer{uid: uid, gid: int(credentials.Gid), groups: peerGroups(fd), user: userNamed(uid), known: true}
		}
	})
	return p
}

// peerGroups reads the supplementary groups of the process that connected. They
// say more than the user database: without cgo, that is /etc/group alone and
// knows nothing of users from LDAP or of a service's SupplementaryGroups. Kernels
// before 4.13 do not tell.
func peerGroups(fd uintptr) []int {
	gids := make([]uint32, 32)
	for {
		size := uint32(len(gids) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size/4) > len(gids): // size is what it takes
			gids = make([]uint32, size/4)
			continue
		case errno != 0:
			return nil
		}
		groups := make([]int, size/4)
		for i := range groups {
			groups[i] = int(gids[i])
		}
		return groups
	}
}

// refusal tells a peer of the socket at ln why it may not call; empty: it may. One
// that the system does not name may not.
func refusal(ln net.Listener, p peer) string {
	s, ok := ln.(*socket)
	if !ok || !p.known {
		return "the system does not tell who you are"
	}
	system, ok := s.file.Sys().(*syscall.Stat_t)
	if !ok {
		return "the system does not tell whose the socket is"
	}
	g := gate{ownUID: os.Geteuid(), socketGID: int(system.Gid), groupsOf: groupsOf}
	if g.admits(p) {
		return ""
	}
	return g.refuse(p)
}
