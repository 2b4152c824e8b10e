package listen

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isExhausted reports a shortage of handles or memory.
func isExhausted(err error) bool {
	return errors.Is(err, windows.WSAEMFILE) || errors.Is(err, windows.WSAENOBUFS)
}

// isAborted reports a connection that ended before it was accepted.
func isAborted(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAECONNABORTED)
}

// isNotOurs reports an address that this machine does not have.
func isNotOurs(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT)
}

// isInUse reports a port that another process has.
func isInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

// isDenied reports a port that the process may not have, or that the system keeps.
func isDenied(err error) bool { return errors.Is(err, windows.WSAEACCES) }
