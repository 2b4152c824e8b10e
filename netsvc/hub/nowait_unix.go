//go:build unix

package hub

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// tryWriter makes writes that never wait. It holds what one call needs, so that
// a call allocates nothing; it must not be used concurrently.
type tryWriter struct {
	b     []byte
	n     int
	err   error
	write func(fd uintptr)
}

func newTryWriter() *tryWriter {
	w := new(tryWriter)
	w.write = func(fd uintptr) {
		for {
			w.n, w.err = writeTo(int(fd), w.b)
			if w.err != unix.EINTR {
				return
			}
		}
	}
	return w
}

// writeTo is the system's call. Tests put a network of their own into its place.
var writeTo = unix.Write

// tryWrite writes what the socket's buffer takes of b. full reports that some
// is left because the buffer is full.
func (w *tryWriter) tryWrite(raw syscall.RawConn, b []byte) (n int, full bool, err error) {
	if raw == nil {
		return 0, true, nil
	}
	w.b = b
	// Not raw.Write: that gets ready to wait.
	err = raw.Control(w.write)
	w.b = nil
	switch {
	case err != nil:
		return 0, false, err
	case w.err == unix.EAGAIN:
		return 0, true, nil
	case w.err != nil:
		return 0, false, w.err
	}
	return w.n, w.n < len(b), nil
}

// triesWrites is whether tryWriter ever writes.
const triesWrites = true

// tryReader makes reads that never wait, like tryWriter.
type tryReader struct {
	b    []byte
	n    int
	read func(fd uintptr)
}

func newTryReader() *tryReader {
	r := new(tryReader)
	r.read = func(fd uintptr) { r.n, _ = unix.Read(int(fd), r.b) }
	return r
}

// tryRead reads what is there. It says nothing of errors and of the end: whoever
// reads next meets them again.
func (r *tryReader) tryRead(raw syscall.RawConn, b []byte) (n int) {
	if raw == nil {
		return 0
	}
	r.b, r.n = b, 0
	raw.Control(r.read)
	r.b = nil
	return max(r.n, 0)
}
