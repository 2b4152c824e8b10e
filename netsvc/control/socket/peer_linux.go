package socket

import (
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PeerOf says who is at the other end of a connection that ln accepted, and
// whether it may call. One that the system does not name may not.
func PeerOf(ln net.Listener, conn net.Conn) Peer {
	c, known := credentialsOf(conn)
	if !known {
		return Peer{Refusal: "the system does not tell who you are"}
	}
	p := Peer{UID: c.uid, User: userNamed(c.uid), PID: c.pid, Known: true}
	s, ours := ln.(*socket)
	if !ours {
		p.Refusal = "the socket's group is not known"
		return p
	}
	g := gate{ownUID: os.Geteuid(), socketGID: int(s.file.Sys().(*syscall.Stat_t).Gid), groupsOf: groupsOf}
	if !g.admits(c) {
		p.Refusal = "user " + p.User + " may not administer this daemon: only root, the user " + userNamed(g.ownUID) +
			" and members of the group " + groupNamed(g.socketGID) + " may"
	}
	return p
}

// credentials are those of the process that connected, as they were then.
type credentials struct {
	uid, gid int
	pid      int
	groups   []int // supplementary ones
}

// credentialsOf reads SO_PEERCRED and SO_PEERGROUPS.
func credentialsOf(conn net.Conn) (found credentials, known bool) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return credentials{}, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return credentials{}, false
	}
	err = raw.Control(func(fd uintptr) {
		process, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			found, known = credentials{int(process.Uid), int(process.Gid), int(process.Pid), peerGroups(fd)}, true
		}
	})
	return found, known && err == nil
}

// peerGroups reads the supplementary groups of the process that connected. They
// say more than the user database: without cgo, that is /etc/group alone and
// knows nothing of users from LDAP or of a service's SupplementaryGroups. Kernels
// before 4.13 do not say.
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

// groupsOf asks the system's user database for a user's groups.
func groupsOf(uid int) []int {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var gids []int
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			gids = append(gids, gid)
		}
	}
	return gids
}

// userNamed is the user's name, or its number if it has none.
func userNamed(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
