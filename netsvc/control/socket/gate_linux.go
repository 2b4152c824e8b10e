package socket

import "slices"

// gate decides who may call: root, the daemon's own user, and the members of the
// socket's group, be it by the process's own groups or by the user database.
type gate struct {
	ownUID, socketGID int
	groupsOf          func(uid int) []int // by the user database
}

func (g gate) admits(c credentials) bool {
	return c.uid == 0 || c.uid == g.ownUID || c.gid == g.socketGID ||
		slices.Contains(c.groups, g.socketGID) || slices.Contains(g.groupsOf(c.uid), g.socketGID)
}
