package netsvc

import (
	"runtime/debug"
)

// ballastBytes is how much garbage gathers at least before it is collected. The heap
// of a service with few sessions is a few MiB, and under load the collector would
// begin anew dozens of times a second. GOGC would do the same, but with many
// sessions in proportion to them.
const ballastBytes = 16 << 20

// newBallast returns what the collector counts as used for as long as it is kept.
// Nobody ever writes to it, so it takes no memory. Where the memory is limited to little,
// there is none.
func newBallast() []byte {
	if debug.SetMemoryLimit(-1) < 64*ballastBytes {
		return nil
	}
	return make([]byte, ballastBytes)
}
