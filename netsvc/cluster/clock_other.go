//go:build !linux

package cluster

import "time"

// systemClock is only needed where a process hands over to another.
func systemClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
