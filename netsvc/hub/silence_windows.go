package hub

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// tcpMaxRT is TCP_MAXRT of ws2ipdef.h: for how many seconds unacknowledged data is sent
// again.
const tcpMaxRT = 5

// endUnacknowledged has the system give a connection up when what was sent has not been
// acknowledged for that long.
func endUnacknowledged(raw syscall.RawConn, after time.Duration) {
	if raw == nil {
		return
	}
	seconds := int((after + time.Second - 1) / time.Second)
	raw.Control(func(fd uintptr) {
		windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_TCP, tcpMaxRT, seconds)
	})
}

// silence is not known here.
func silence(syscall.RawConn) (time.Duration, bool) { return 0, false }

// isSilence reports whether an error says that the system has given up a silent peer.
func isSilence(err error) bool {
	return errors.Is(err, windows.WSAETIMEDOUT) || errors.Is(err, windows.WSAENETRESET)
}
