package control

import "time"

// Handover is what became of a hand-over of the sessions from one process to
// another. A process that did not get its sessions from another one, and has not
// tried to give them away, has none to report.
type Handover struct {
	// ID is what the request for the upgrade was answered with; empty for a restart.
	ID          string `json:"id"`
	Way         string `json:"way"` // WayRestart or WayUpgrade
	FromVersion string `json:"from_version"`
	ToVersion   string `json:"to_version"` // empty if the other process did not come to say it
	FromPID     int    `json:"from_pid"`
	ToPID       int    `json:"to_pid"`
	// At is when the sessions were frozen, Seconds how long they were not served.
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	// Of the sessions that were there before, Sessions are served afterwards, Revoked were
	// closed for their key is no longer in force, and Lost were lost.
	Sessions int `json:"sessions"`
	Lost     int `json:"lost"`
	Revoked  int `json:"revoked,omitempty"`
	// Why sessions were lost, or why the process that ran goes on.
	Why string `json:"why,omitempty"`
	// Done: another process took over. Otherwise the one that ran goes on.
	Done bool `json:"done"`
}

// The ways of a Handover: through the service manager, or to a process that the one
// before has started itself.
const (
	WayRestart = "restart"
	WayUpgrade = "upgrade"
)

// UpgradeBegun answers a request for an upgrade.
type UpgradeBegun struct {
	ID string `json:"id"` // what Handover.ID will be
}
