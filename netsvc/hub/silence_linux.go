package hub

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endUnacknowledged has the system give a connection up when what was sent has not been
// acknowledged for that long; probes of keep-alive count as sent.
func endUnacknowledged(raw syscall.RawConn, after time.Duration) {
	if raw == nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	})
}

// silence is how long ago the peer acknowledged something, if that is known.
func silence(raw syscall.RawConn) (ago time.Duration, known bool) {
	if raw == nil {
		return 0, false
	}
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			ago, known = time.Duration(info.Last_ack_recv)*time.Millisecond, true
		}
	})
	return ago, known
}

// isSilence reports whether an error of a connection that was established says that the
// system has given up a silent peer. The last two are what a router said meanwhile.
func isSilence(err error) bool {
	return errors.Is(err, unix.ETIMEDOUT) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH)
}
