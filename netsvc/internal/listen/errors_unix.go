//go:build unix

package listen

import (
	"errors"
	"syscall"
)

// isExhausted reports a shortage of file descriptors, of memory, or of what epoll may
// watch (ENOSPC).
func isExhausted(err error) bool {
	for _, shortage := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

// isAborted reports a connection that ended before it was accepted.
func isAborted(err error) bool {
	return errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EPROTO)
}

// isNotOurs reports an address that this machine does not have.
func isNotOurs(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// isInUse reports a port that another process has.
func isInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// isDenied reports a port that the process may not have.
func isDenied(err error) bool { return errors.Is(err, syscall.EACCES) }
