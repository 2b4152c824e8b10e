package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxBatch is how many descriptors the kernel takes in one message (SCM_MAX_FD).
const maxBatch = 253

// Pair returns two ends of a socket for a hand-over.
func Pair() (here *net.UnixConn, there *os.File, err error) {
	// Of messages, so that each batch of descriptors is one.
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a pair of sockets: %w", err)
	}
	here, err = Conn(os.NewFile(uintptr(ends[0]), "handover"))
	if err != nil {
		unix.Close(ends[1])
		return nil, nil, err
	}
	return here, os.NewFile(uintptr(ends[1]), "handover"), nil
}

// Conn returns the connection of an end that came from another process, and closes
// the file.
func Conn(end *os.File) (*net.UnixConn, error) {
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
	return socket, nil
}

// Send sends a document and the descriptors of connections, which stay open here.
// It does not wait for anybody to read them, unless there are more than the
// socket's buffer has room for (some 100 000).
func Send(to *net.UnixConn, document []byte, connections []syscall.Conn) error {
	memory, err := memoryFile(document)
	if err != nil {
		return err
	}
	defer memory.Close()
	// The buffer holds a message for each batch; the kernel cuts this to what is
	// allowed.
	to.SetWriteBuffer(1 << 20)

	// The first message tells how many descriptors come, the document's first.
	all := append([]syscall.Conn{memory}, connections...)
	head := binary.AppendUvarint([]byte{Version}, uint64(len(all)))
	for start := 0; start < len(all); start += maxBatch {
		batch := all[start:min(start+maxBatch, len(all))]
		fds := make([]int, len(batch))
		for i, c := range batch {
			if fds[i], err = descriptor(c); err != nil {
				return fmt.Errorf("handing over a connection: %w", err)
			}
		}
		if _, _, err := to.WriteMsgUnix(head, unix.UnixRights(fds...), nil); err != nil {
			return fmt.Errorf("handing over %d of %d descriptors: %w", start, len(all), err)
		}
		head = []byte{Version}
	}
	runtime.KeepAlive(all)
	return nil
}

// descriptor is the number of a connection's descriptor, as long as it is open.
func descriptor(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(number uintptr) { fd = int(number) })
	return fd, err
}

func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("pns4ones-handover", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "handover")
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing a file in memory: %w", err)
	}
	return f, nil
}

// Receive takes what was sent. The files are the caller's. After an error there are
// none.
func Receive(from *net.UnixConn) (document []byte, files []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			files = nil
		}
	}()
	for total := 1; len(files) < total; {
		head, batch, err := receiveBatch(from)
		files = append(files, batch...)
		switch {
		case err != nil:
			return nil, files, err
		case len(head) == 0 || len(batch) == 0:
			return nil, files, fmt.Errorf("taking over connections: %d of %d came", len(files), total)
		case head[0] != Version:
			return nil, files, fmt.Errorf("taking over connections: the other process hands over in version %d, this one knows %d", head[0], Version)
		}
		if len(head) > 1 {
			n, read := binary.Uvarint(head[1:])
			if read <= 0 || n == 0 || n > 1<<24 {
				return nil, files, errors.New("taking over connections: the first message cannot be read")
			}
			total = int(n)
		}
	}
	if _, err := files[0].Seek(0, io.SeekStart); err != nil {
		return nil, files, fmt.Errorf("taking over connections: %w", err)
	}
	document, err = io.ReadAll(files[0])
	if err != nil {
		return nil, files, fmt.Errorf("taking over connections: reading about them: %w", err)
	}
	files[0].Close()
	return document, files[1:], nil
}

func receiveBatch(from *net.UnixConn) (head []byte, files []*os.File, err error) {
	head, rights := make([]byte, 16), make([]byte, unix.CmsgSpace(4*maxBatch))
	n, rn, flags, _, err := from.ReadMsgUnix(head, rights)
	if err != nil {
		return nil, nil, fmt.Errorf("taking over connections: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		return nil, nil, fmt.Errorf("taking over connections: %w", err)
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // something else than descriptors
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return head[:n], files, errors.New("taking over connections: there are more than this process may have open (ulimit -n)")
	}
	return head[:n], files, nil
}
