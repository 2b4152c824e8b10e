//go:build unix

package listen

import (
	"errors"
	"syscall"
)

// isExhausted tells a shortage of file descriptors, of memory, or of what epoll may
// watch (ENOSPC).
func isExhausted(err error) bool {
	for _, shortage := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

// isAborted tells a connection that ended before it was accepted.
func isAborted(err error) bool {
	return errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EPROTO)
}

// isNotOurs tells an address that this machine does not have.
func isNotOurs(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// isInUse tells a port that another process has.
func isInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// isDenied tells a port that the process may not have.
func isDenied(err error) bool { return errors.Is(err, syscall.EACCES) }
