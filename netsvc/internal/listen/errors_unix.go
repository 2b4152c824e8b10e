//go:build unix

package listen

import (
	"errors"
	"syscall"
)

// isExhausted tells a shortage of file descriptors or memory.
func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
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
