//go:build !unix

package hub

import "syscall"

// tryWriter leaves every write to a goroutine that may wait: overlapped sockets
// have none that does not. So a session is too slow here as soon as its queue is
// full, whether the peer reads or not.
type tryWriter struct{}

func newTryWriter() *tryWriter { return new(tryWriter) }

func (*tryWriter) tryWrite(syscall.RawConn, []byte) (n int, full bool, err error) {
	return 0, true, nil
}

// triesWrites is whether tryWriter ever writes.
const triesWrites = false

// tryReader leaves every read to a goroutine that may wait, too.
type tryReader struct{}

func newTryReader() *tryReader { return new(tryReader) }

func (*tryReader) tryRead(syscall.RawConn, []byte) (n int) { return 0 }
