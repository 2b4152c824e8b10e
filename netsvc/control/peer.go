package control

import (
	"context"
	"os/user"
	"strconv"
)

// peer is who is on the other side of a connection, as the operating system
// tells.
type peer struct {
	uid, gid int
	known    bool // false: the system does not tell here
}

type peerKey struct{}

func withPeer(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}

// name is the peer's user name, or its number if it has none.
func (p peer) name() string {
	if !p.known {
		return "unknown"
	}
	if u, err := user.LookupId(strconv.Itoa(p.uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(p.uid)
}

// gate decides who may call: root, the daemon's own user, and the members of the
// socket's group.
type gate struct {
	ownUID, socketGID int
	groupsOf          func(uid int) []int // supplementary groups
}

func (g gate) admits(p peer) bool {
	if p.uid == 0 || p.uid == g.ownUID || p.gid == g.socketGID {
		return true
	}
	for _, gid := range g.groupsOf(p.uid) {
		if gid == g.socketGID {
			return true
		}
	}
	return false
}

// groupsOf asks the system's user database.
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
