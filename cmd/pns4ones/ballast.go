package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// ballastBytes is how much garbage gathers at least before it is collected. The heap
// of a service with few sessions is a few MiB, and under load the collector would
// begin anew hundreds of times a second. GOGC would do the same, but with many
// sessions in proportion to them.
const ballastBytes = 16 << 20

// holdBallast gives the collector something that it counts, until the returned
// function is called. Nobody ever writes to it, so it takes no memory. Where the
// memory is limited, there is none.
func holdBallast() (drop func()) {
	if debug.SetMemoryLimit(-1) < math.MaxInt64 {
		return func() {}
	}
	ballast := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(ballast) }
}
