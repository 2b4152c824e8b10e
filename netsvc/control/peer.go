package control

import (
	"context"
	"log/slog"
	"os/user"
	"slices"
	"strconv"
)

// peer is who is on the other side of a connection, as the operating system told
// when it was accepted.
type peer struct {
	uid, gid int
	groups   []int  // supplementary ones of the process
	user     string // its name, or its number if it has none
	known    bool   // false: the system does not tell here
}

type peerKey struct{}

func withPeer(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}

// attrs are the peer for a log record.
func (p peer) attrs() []slog.Attr {
	if !p.known {
		return []slog.Attr{slog.String("user", "unknown")}
	}
	return []slog.Attr{slog.Int("uid", p.uid), slog.String("user", p.user)}
}

// gate decides who may call: root, the daemon's own user, and the members of the
// socket's group, be it by the process's own groups or by the user database.
type gate struct {
	ownUID, socketGID int
	groupsOf          func(uid int) []int // by the user database
}

func (g gate) admits(p peer) bool {
	return p.uid == 0 || p.uid == g.ownUID || p.gid == g.socketGID ||
		slices.Contains(p.groups, g.socketGID) || slices.Contains(g.groupsOf(p.uid), g.socketGID)
}

// refuse tells a peer that is not admitted who is.
func (g gate) refuse(p peer) string {
	return "user " + p.user + " may not administer this daemon: only root, the user " + userNamed(g.ownUID) +
		" and members of the group " + groupNamed(g.socketGID) + " may"
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

// userNamed is the user's name, or its number if it has none.
func userNamed(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// groupNamed is the group's name, or its number if it has none.
func groupNamed(gid int) string {
	id := strconv.Itoa(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
