package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// upgradeAll upgrades the nodes one by one. It begins only if all are live, goes on only
// when all are live again, and stops at the first failure, so that no more than one node
// is ever in doubt.
func (p *program) upgradeAll(ctx context.Context, client *control.Client) error {
	nodes, err := nodesOf(ctx, client)
	if err != nil {
		return err
	}
	var names []string
	for _, n := range nodes {
		if n.State != control.NodeLive {
			return failure("admin.upgrade_needs_live", "node", locale.Clean(n.Name), "state", p.words(nil).NodeState(n))
		}
		names = append(names, n.Name)
	}
	for i, name := range names {
		err := p.ofNode(name).upgradeNode(ctx, client, client.On(name), len(names))
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			return failure("admin.upgrade_stopped", "node", locale.Clean(name), "why", p.errorText(err),
				"done", listed(names[:i]), "left", listed(names[i+1:]))
		}
	}
	p.say("admin.upgraded_all", "nodes", listed(names))
	return nil
}

// listed writes names, and a dash for none.
func listed(names []string) string {
	if len(names) == 0 {
		return "—"
	}
	return locale.Clean(strings.Join(names, ", "))
}

// upgradeNode upgrades one of so many nodes and waits until all are live again.
func (p *program) upgradeNode(ctx context.Context, client, on *control.Client, nodes int) error {
	sessions, err := p.upgrade(ctx, on)
	if err != nil {
		return err
	}
	return awaitLive(ctx, client, on, nodes, sessions, upgradeTimeout)
}

// awaitLive waits, at most so long, until both the daemon that is asked and the upgraded
// node, which answers for itself, see so many nodes live, and the latter accounts for that many
// sessions: what others were told of a node may be from before.
func awaitLive(ctx context.Context, client, on *control.Client, nodes, sessions int, atMost time.Duration) error {
	late := time.NewTimer(atMost)
	defer late.Stop()
	ticker := time.NewTicker(upgradePoll)
	defer ticker.Stop()
	for {
		here, err := client.Status(ctx)
		var upgraded control.Status
		if err == nil {
			upgraded, err = on.Status(ctx)
		}
		if err == nil && accountedFor(upgraded) >= sessions && min(live(here), live(upgraded)) >= nodes {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			if err != nil {
				return err
			}
			return failure("admin.upgrade_not_live", "N", int(atMost.Seconds()), "live", min(live(here), live(upgraded)),
				"all", nodes, "before", sessions, "after", accountedFor(upgraded))
		}
	}
}

// accountedFor counts the sessions that a new process has, and those that have ended or lost
// their connection since it began: people go home while nodes are upgraded.
func accountedFor(s control.Status) int {
	n := s.Sessions + s.Detached
	for _, closed := range s.Closed {
		n += int(closed)
	}
	return n
}

// live counts the live nodes that a daemon sees, itself among them.
func live(s control.Status) (n int) {
	if s.Cluster == nil {
		return 0
	}
	for _, node := range s.Cluster.Nodes {
		if node.State == control.NodeLive {
			n++
		}
	}
	return n
}
