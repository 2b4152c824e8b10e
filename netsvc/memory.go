package netsvc

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// queueShare is the part of the memory that queues take if nobody says how much (protocol.md
	// section 5), and leastQueueMemory what they may always.
	queueShare       = 4
	leastQueueMemory = 64 << 20
)

// queueMemory is the setting, or a quarter of the memory that there is.
func queueMemory(setting int64) int64 {
	if setting > 0 {
		return setting
	}
	return max(memoryThereIs()/queueShare, leastQueueMemory)
}

// memoryThereIs is that of the machine, or as much as the control group may take; 0: unknown.
func memoryThereIs() int64 {
	least := uint64(math.MaxInt64)
	for _, from := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if bytes, err := from(); err == nil && bytes > 0 {
			least = min(least, bytes)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return int64(least)
}

// LimitMemory has the garbage collector keep the process within half of what its control group
// may take, unless GOMEMLIMIT says something. The rest is for what the system holds of the
// sockets, which counts for the group too. Without a bound on the group it changes nothing: there
// garbage may take as much again as what is used.
func LimitMemory() {
	bytes, err := memlimit.FromCgroup()
	if err != nil || bytes >= math.MaxInt64/8 || debug.SetMemoryLimit(-1) < math.MaxInt64 {
		return
	}
	debug.SetMemoryLimit(int64(bytes / 2))
}
