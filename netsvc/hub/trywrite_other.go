//go:build !unix

package hub

import "syscall"

// tryWriter leaves every write to a goroutine that may wait: overlapped sockets
// have no write that does not.
type tryWriter struct{}

func newTryWriter() *tryWriter { return new(tryWriter) }

func (*tryWriter) tryWrite(syscall.RawConn, []byte) (n int, full bool, err error) {
	return 0, true, nil
}
