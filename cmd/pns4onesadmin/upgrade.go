package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

const (
	upgradeTimeout = time.Minute
	upgradePoll    = 50 * time.Millisecond
)

// upgradeCommand has the daemon that is installed now take over from the one that
// runs, and waits until it has.
func (p *program) upgradeCommand() *cobra.Command {
	return p.command("upgrade", nil, func(cmd *cobra.Command, _ []string) error {
		return p.withDaemon(func(client *control.Client) error {
			client.OnVersion = nil // which version takes over from which is the result
			before, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := client.Upgrade(cmd.Context()); err != nil {
				return err
			}
			after, err := awaitOtherProcess(cmd.Context(), client, before.PID)
			if err != nil {
				return err
			}
			if after.UpgradeFailed != "" {
				return failure("admin.upgrade_failed",
					"version", locale.Clean(after.Version),
					"why", locale.Clean(after.UpgradeFailed),
					"before", before.Sessions,
					"after", after.Sessions)
			}
			id := "admin.upgraded"
			if after.Version == before.Version {
				id = "admin.upgraded_same"
			}
			p.say(id,
				"from", locale.Clean(before.Version),
				"to", locale.Clean(after.Version),
				"before", before.Sessions,
				"after", after.Sessions)
			if p.json {
				return p.printJSON(after)
			}
			return nil
		})
	})
}

// awaitOtherProcess waits until another process than pid answers, or that one says
// that none has taken over.
func awaitOtherProcess(ctx context.Context, client *control.Client, pid int) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, upgradeTimeout)
	defer cancel()
	ticker := time.NewTicker(upgradePoll)
	defer ticker.Stop()
	for {
		status, err := client.Status(ctx)
		if err == nil && (status.PID != pid || status.UpgradeFailed != "") {
			return status, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return status, locale.NewText("admin.upgrade_late", "N", int(upgradeTimeout/time.Second))
		}
	}
}
