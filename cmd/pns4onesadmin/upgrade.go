package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

const (
	upgradeTimeout = time.Minute
	// upgradeSilence is how long nobody may answer: systemd starts a service that has
	// ended again after 5 s.
	upgradeSilence = 15 * time.Second
	upgradePoll    = 50 * time.Millisecond
)

// upgradeCommand has the daemon that is installed now take over from the one that
// runs, waits until one of the two reports what came of it, and fails unless every
// session is served.
func (p *program) upgradeCommand() *cobra.Command {
	var node string
	cmd := p.command("upgrade", nil, func(cmd *cobra.Command, _ []string) error {
		return p.withNode(node, func(client *control.Client) error {
			client.OnVersion = nil // which version takes over from which is the result
			if node == allNodes {
				return p.upgradeAll(cmd.Context(), client)
			}
			_, err := p.upgrade(cmd.Context(), client)
			return err
		})
	})
	p.nodeFlag(cmd, &node, true)
	return cmd
}

// upgrade upgrades one daemon. It returns how many sessions that must have now.
func (p *program) upgrade(ctx context.Context, client *control.Client) (sessions int, err error) {
	before, err := client.Status(ctx)
	if err != nil {
		return 0, err
	}
	id, err := client.Upgrade(ctx)
	var refusal *control.Error
	unanswered := errors.As(err, &refusal) && refusal.Code == control.CodeNodeUnreachable
	if err != nil && !unanswered { // a process of another node may end before its answer has left
		return 0, err
	}
	after, err := awaitOutcome(ctx, client, before, id, upgradeTimeout, upgradeSilence)
	if err != nil {
		return 0, err
	}
	if unanswered {
		id = newHandover(before, after)
	}
	if err := upgradeFailure(before, after, id); err != nil {
		return 0, err
	}
	p.sayUpgraded(before, after, id)
	if p.json {
		err = p.printJSON(after)
	}
	if record := recordOf(after, id); record != nil {
		return record.Sessions, err // without those that were closed, for their key had ended
	}
	return before.Sessions, err
}

// awaitOutcome waits, at most so long, until a daemon reports what came of the upgrade
// with that id, or another process than before answers. It gives up sooner if nobody has
// answered for the time of silence. A daemon that gave no id reports only that it failed.
func awaitOutcome(ctx context.Context, client *control.Client, before control.Status, id string, atMost,
	silence time.Duration) (control.Status, error) {
	late := time.NewTimer(atMost)
	defer late.Stop()
	ticker := time.NewTicker(upgradePoll)
	defer ticker.Stop()
	for heard := time.Now(); ; {
		// What bounds a call is the client's own patience: at the end it is known
		// whether somebody answers.
		status, err := client.Status(ctx)
		switch {
		case err == nil && (status.PID != before.PID || recordOf(status, id) != nil ||
			id == "" && status.UpgradeFailed != ""):
			return status, nil
		case err == nil:
			heard = time.Now()
		case ctx.Err() == nil && time.Since(heard) >= silence:
			return status, failure("admin.upgrade_silent", "N", int(time.Since(heard).Seconds()), "pid", before.PID,
				"before", before.Sessions)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return status, context.Cause(ctx)
		case <-late.C:
			return status, failure("admin.upgrade_late", "N", int(atMost.Seconds()), "pid", before.PID)
		}
	}
}

// newHandover is the id of the upgrade that a daemon reports after, and did not before; empty:
// there is none.
func newHandover(before, after control.Status) string {
	if after.LastHandover == nil || recordOf(before, after.LastHandover.ID) != nil {
		return ""
	}
	return after.LastHandover.ID
}

// recordOf is what the daemon reports of the upgrade with that id; nil: nothing.
func recordOf(s control.Status, id string) *control.Handover {
	if id == "" || s.LastHandover == nil || s.LastHandover.ID != id {
		return nil
	}
	return s.LastHandover
}

// upgradeFailure says why an upgrade is none; nil if the new process serves every
// session. A daemon that gave no id leaves only the numbers to compare.
func upgradeFailure(before, after control.Status, id string) error {
	version := locale.Clean(after.Version)
	goesOn := func(why string) error {
		return failure("admin.upgrade_failed", "version", version, "why", locale.Clean(why), "before", before.Sessions,
			"after", after.Sessions)
	}
	record := recordOf(after, id)
	switch {
	case record != nil && record.Lost > 0:
		return failure("admin.upgrade_lost", "version", version, "lost", record.Lost, "all",
			record.Lost+record.Sessions, "why", locale.Clean(record.Why))
	case record != nil && !record.Done:
		return goesOn(record.Why)
	case record != nil:
		return nil
	case id == "" && after.UpgradeFailed != "":
		return goesOn(after.UpgradeFailed)
	case id == "" && after.Sessions >= before.Sessions:
		return nil
	case id == "":
		return failure("admin.upgrade_fewer", "version", version, "before", before.Sessions, "after", after.Sessions)
	}
	return failure("admin.upgrade_unknown", "version", version, "pid", after.PID, "before", before.Sessions, "after",
		after.Sessions)
}

// sayUpgraded reports an upgrade at which nothing was lost.
func (p *program) sayUpgraded(before, after control.Status, id string) {
	to := locale.Clean(after.Version)
	if after.Version == before.Version {
		p.say("admin.upgraded_same", "to", to)
	} else {
		p.say("admin.upgraded", "from", locale.Clean(before.Version), "to", to)
	}
	if record := recordOf(after, id); record != nil {
		p.say("admin.upgrade_kept", "sessions", record.Sessions, "took", p.words(nil).Seconds(record.Seconds))
		if record.Revoked > 0 {
			p.say("admin.upgrade_revoked", "revoked", record.Revoked)
		}
	} else {
		p.say("admin.upgrade_counted", "before", before.Sessions, "after", after.Sessions)
	}
}
