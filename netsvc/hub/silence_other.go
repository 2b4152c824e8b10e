//go:build !linux && !windows

package hub

import (
	"errors"
	"syscall"
	"time"
)

// endUnacknowledged leaves it to the system here.
func endUnacknowledged(syscall.RawConn, time.Duration) {}

// silence is not known here.
func silence(syscall.RawConn) (time.Duration, bool) { return 0, false }

// isSilence reports whether an error says that the system has given up a silent peer.
func isSilence(err error) bool { return errors.Is(err, syscall.ETIMEDOUT) }
