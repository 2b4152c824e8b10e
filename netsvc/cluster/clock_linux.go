package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// systemClock is the clock of the system that nobody sets; all its processes have the same.
func systemClock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return time.Duration(time.Now().UnixNano()) // no kernel that Go runs on is without
	}
	return time.Duration(now.Nano())
}
