package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Connection is a connection that travels, with a number by which the other process
// knows it.
type Connection struct {
	Number uint64
	Conn   net.Conn
}

// trayBytes is what a tray holds, as the kernel counts it: a variable for tests.
var trayBytes = 1 << 20

// Pack puts the descriptors of connections into trays, which are the caller's to send
// and to close. The connections stay open here. It never waits: a tray that takes no more
// is followed by another one. A connection that has no descriptor any more, or is closed
// meanwhile, is left out, and its number among the failed.
func Pack(connections []Connection) (trays []*os.File, failed []uint64, err error) {
	p := packer{in: -1}
	defer p.close()
	for len(connections) > 0 {
		batch := connections[:min(maxFiles, len(connections))]
		connections = connections[len(batch):]
		if err := p.pack(batch); err != nil {
			for _, tray := range p.trays {
				tray.Close()
			}
			return nil, nil, err
		}
	}
	return p.trays, p.failed, nil
}

// packer fills trays, one after the other.
type packer struct {
	in     int // the end of the last tray that is written to; -1: there is none
	trays  []*os.File
	failed []uint64

	// The next message has the numbers of connections, 8 bytes each in little-endian
	// order, and as many descriptors.
	text []byte
	fds  []int
}

// pack sends a batch in one message. Each descriptor is held until that has gone: else a
// connection that is closed meanwhile would spoil the message, or its descriptor be
// another one's by then.
func (p *packer) pack(batch []Connection) error {
	if len(batch) == 0 {
		return p.send()
	}
	first, rest := batch[0], batch[1:]
	held := false
	var err error
	if has, ok := first.Conn.(syscall.Conn); ok {
		if raw, rawErr := has.SyscallConn(); rawErr == nil {
			raw.Control(func(fd uintptr) {
				held = true
				p.text, p.fds = binary.LittleEndian.AppendUint64(p.text, first.Number), append(p.fds, int(fd))
				err = p.pack(rest)
			})
		}
	}
	if held {
		return err
	}
	p.failed = append(p.failed, first.Number)
	return p.pack(rest)
}

// send puts the next message into the last tray, or into a new one if that is full.
func (p *packer) send() error {
	text, fds := p.text, p.fds
	p.text, p.fds = p.text[:0], p.fds[:0]
	if len(fds) == 0 {
		return nil
	}
	rights := unix.UnixRights(fds...)
	err := error(unix.EAGAIN)
	if p.in >= 0 {
		err = unix.Sendmsg(p.in, text, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	}
	if errors.Is(err, unix.EAGAIN) {
		if err = p.next(); err != nil {
			return err
		}
		err = unix.Sendmsg(p.in, text, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	}
	if err != nil {
		return fmt.Errorf("packing connections: %w", err)
	}
	return nil
}

// next begins another tray.
func (p *packer) next() error {
	ends, err := pair()
	if err != nil {
		return err
	}
	p.close()
	p.in = ends[0]
	// The kernel cuts this to what is allowed. An error leaves what it was.
	unix.SetsockoptInt(p.in, unix.SOL_SOCKET, unix.SO_SNDBUF, trayBytes)
	p.trays = append(p.trays, os.NewFile(uintptr(ends[1]), "tray"))
	return nil
}

func (p *packer) close() {
	if p.in >= 0 {
		unix.Close(p.in)
		p.in = -1
	}
}

// Unpack takes the connections out of a tray without waiting, limit at most, and closes
// it: those that stay in it are closed, and so are those for which this process may have
// no more descriptors.
func Unpack(tray *os.File, limit int, each func(number uint64, s *Socket)) error {
	defer tray.Close()
	raw, err := tray.SyscallConn()
	if err != nil {
		return fmt.Errorf("unpacking connections: %w", err)
	}
	text, rights := make([]byte, 8*maxFiles), make([]byte, unix.CmsgSpace(4*maxFiles))
	for limit > 0 {
		n, rn := 0, 0
		if controlErr := raw.Control(func(fd uintptr) {
			n, rn, _, _, err = unix.Recvmsg(int(fd), text, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		}); controlErr != nil {
			err = controlErr
		}
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN || err == nil && n == 0:
			return nil
		case err != nil:
			return fmt.Errorf("unpacking connections: %w", err)
		}
		fds, err := parseRights(rights[:rn])
		if err != nil {
			return fmt.Errorf("unpacking connections: %w", err)
		}
		for i, fd := range fds {
			if limit == 0 || 8*i+8 > n {
				unix.Close(fd)
				continue
			}
			limit--
			each(binary.LittleEndian.Uint64(text[8*i:]), newSocket(fd))
		}
	}
	return nil
}
