package handover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxFiles is how many descriptors the kernel takes in one message (SCM_MAX_FD).
const maxFiles = 253

// maxMessage bounds the text of a message, in bytes.
const maxMessage = 64 << 10

// Link is one end of a conversation between two processes. Its methods may be called
// concurrently, but messages are read by one at a time. Close it.
type Link struct{ socket *net.UnixConn }

// NewLink returns two ends of a link: one for this process, one to be passed on.
func NewLink() (here *Link, there *os.File, err error) {
	ends, err := pair()
	if err != nil {
		return nil, nil, err
	}
	here, err = OpenLink(os.NewFile(uintptr(ends[0]), "handover"))
	if err != nil {
		unix.Close(ends[1])
		return nil, nil, err
	}
	return here, os.NewFile(uintptr(ends[1]), "handover"), nil
}

// pair makes two sockets that are connected, of messages, so that each is read whole or
// not at all.
func pair() (ends [2]int, err error) {
	ends, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return ends, fmt.Errorf("making a pair of sockets: %w", err)
	}
	return ends, nil
}

// OpenLink returns the link whose end came from another process. It closes the file.
func OpenLink(end *os.File) (*Link, error) {
	defer end.Close()
	conn, err := net.FileConn(end)
	if err != nil {
		return nil, fmt.Errorf("using the socket of a hand-over: %w", err)
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("using the socket of a hand-over: it is another kind of socket")
	}
	return &Link{socket}, nil
}

// Close ends the link. Whoever reads the other end meets io.EOF behind the last message.
func (l *Link) Close() error { return l.socket.Close() }

// File is a copy of the link's end, to be passed on.
func (l *Link) File() (*os.File, error) { return l.socket.File() }

// SetDeadline bounds how long Send and Receive wait; zero: for ever.
func (l *Link) SetDeadline(at time.Time) { l.socket.SetDeadline(at) }

// Send sends a message with descriptors, which stay open here. There may be 253 of them.
// It waits only if nobody has read many messages before.
func (l *Link) Send(text []byte, files ...syscall.Conn) error {
	switch {
	case len(text) == 0 || len(text) > maxMessage:
		return fmt.Errorf("sending to the other process: a message of %d bytes", len(text))
	case len(files) > maxFiles:
		return fmt.Errorf("sending to the other process: %d descriptors in one message", len(files))
	}
	fds := make([]int, len(files))
	for i, f := range files {
		var err error
		if fds[i], err = descriptor(f); err != nil {
			return fmt.Errorf("sending to the other process: %w", err)
		}
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := l.socket.WriteMsgUnix(text, rights, nil); err != nil {
		return fmt.Errorf("sending to the other process: %w", err)
	}
	runtime.KeepAlive(files)
	return nil
}

// descriptor is the number of an open descriptor.
func descriptor(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(number uintptr) { fd = int(number) })
	return fd, err
}

// Receive returns the next message and its descriptors, which are the caller's. The
// error wraps io.EOF if the other end is closed, os.ErrDeadlineExceeded if nothing came
// in time. After an error there are no descriptors.
func (l *Link) Receive() (text []byte, files []*os.File, err error) {
	text, rights := buffers()
	n, rn, flags, _, err := l.socket.ReadMsgUnix(text, rights)
	return message(text, rights, n, rn, flags, err)
}

// ReceiveNow is Receive of what is there already: if nothing is, its error wraps
// os.ErrDeadlineExceeded. A deadline would not do: once it has gone by, and on a busy
// machine it soon has, nothing is read, whatever is there.
func (l *Link) ReceiveNow() (text []byte, files []*os.File, err error) {
	raw, err := l.socket.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("hearing from the other process: %w", err)
	}
	text, rights := buffers()
	var n, rn, flags int
	var readErr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, rn, flags, _, readErr = unix.Recvmsg(int(fd), text, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
			if !errors.Is(readErr, unix.EINTR) {
				return true
			}
		}
	})
	switch {
	case err != nil:
	case errors.Is(readErr, unix.EAGAIN):
		err = os.ErrDeadlineExceeded
	default:
		err = readErr
	}
	return message(text, rights, n, rn, flags, err)
}

func buffers() (text, rights []byte) {
	return make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*maxFiles))
}

// message is what was read.
func message(text, rights []byte, n, rn, flags int, err error) ([]byte, []*os.File, error) {
	if err == nil && n == 0 {
		err = io.EOF // there are no empty messages
	}
	if err != nil {
		return nil, nil, fmt.Errorf("hearing from the other process: %w", err)
	}
	fds, err := parseRights(rights[:rn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = errTooManyFiles
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, fmt.Errorf("hearing from the other process: %w", err)
	}
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "handed over"))
	}
	return text[:n], files, nil
}

// errTooManyFiles: some of the descriptors that were sent are lost.
var errTooManyFiles = errors.New("there are more descriptors than this process may have open (ulimit -n)")

// parseRights returns the descriptors in the ancillary data of a message. They are not
// passed on to programs that this process starts.
func parseRights(rights []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // something else than descriptors
		}
		fds = append(fds, more...)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
