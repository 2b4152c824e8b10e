package handover

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is a TCP connection that came from another process. It is a net.Conn and a
// syscall.Conn. Nearly all that come have nothing to say, and to get ready to wait for
// each would take most of the time of a hand-over: so that is done when something has to
// wait for the peer. Until then there is the bare descriptor. Its methods may be called
// concurrently.
type Socket struct {
	mu     sync.RWMutex
	fd     int      // -1: closed, or file's
	file   *os.File // nil: nobody had to wait yet
	closed bool
	remote *net.TCPAddr // nil: nobody has asked yet
}

func newSocket(fd int) *Socket { return &Socket{fd: fd} }

// waiting returns the socket as a file that can be waited for.
func (s *Socket) waiting() (*os.File, error) {
	s.mu.RLock()
	file, closed := s.file, s.closed
	s.mu.RUnlock()
	if closed {
		return nil, net.ErrClosed
	}
	if file != nil {
		return file, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.file == nil {
		s.file, s.fd = os.NewFile(uintptr(s.fd), "session"), -1
	}
	return s.file, nil
}

// Read is part of net.Conn.
func (s *Socket) Read(b []byte) (int, error) {
	file, err := s.waiting()
	if err != nil {
		return 0, err
	}
	n, err := file.Read(b)
	return n, ofNetwork(err)
}

// Write is part of net.Conn.
func (s *Socket) Write(b []byte) (int, error) {
	file, err := s.waiting()
	if err != nil {
		return 0, err
	}
	n, err := file.Write(b)
	return n, ofNetwork(err)
}

// ofNetwork says in the words of package net that the socket was closed.
func ofNetwork(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// Close is part of net.Conn.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.file != nil {
		return s.file.Close()
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// CloseWrite ends what is sent, not what is received.
func (s *Socket) CloseWrite() error {
	return s.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// SetKeepAliveConfig is that of net.TCPConn.
func (s *Socket) SetKeepAliveConfig(c net.KeepAliveConfig) error {
	seconds := func(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
	return s.control(func(fd int) error {
		enable := 0
		if c.Enable {
			enable = 1
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, enable),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(c.Idle)),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(c.Interval)),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, c.Count),
		)
	})
}

// LocalAddr is part of net.Conn.
func (s *Socket) LocalAddr() net.Addr { return s.address(unix.Getsockname) }

// RemoteAddr is part of net.Conn. If nobody asks before the connection has ended it is the
// zero address: the system no longer knows it.
func (s *Socket) RemoteAddr() net.Addr {
	s.mu.RLock()
	known := s.remote
	s.mu.RUnlock()
	if known != nil {
		return known
	}
	found := s.address(unix.Getpeername)
	if found.Port != 0 {
		s.mu.Lock()
		s.remote = found
		s.mu.Unlock()
	}
	return found
}

func (s *Socket) address(ask func(fd int) (unix.Sockaddr, error)) *net.TCPAddr {
	var found unix.Sockaddr
	s.control(func(fd int) (err error) {
		found, err = ask(fd)
		return err
	})
	switch a := found.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port, Zone: zoneName(a.ZoneId)}
	}
	return &net.TCPAddr{}
}

// zoneName is the interface of a link-local address.
func zoneName(id uint32) string {
	if id == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return ""
}

// SetDeadline is part of net.Conn. To take away one that was never set costs nothing.
func (s *Socket) SetDeadline(at time.Time) error {
	return s.setDeadline(at, (*os.File).SetDeadline)
}

// SetReadDeadline is part of net.Conn.
func (s *Socket) SetReadDeadline(at time.Time) error {
	return s.setDeadline(at, (*os.File).SetReadDeadline)
}

// SetWriteDeadline is part of net.Conn.
func (s *Socket) SetWriteDeadline(at time.Time) error {
	return s.setDeadline(at, (*os.File).SetWriteDeadline)
}

func (s *Socket) setDeadline(at time.Time, set func(*os.File, time.Time) error) error {
	if at.IsZero() {
		s.mu.RLock()
		never := s.file == nil && !s.closed
		s.mu.RUnlock()
		if never {
			return nil
		}
	}
	file, err := s.waiting()
	if err != nil {
		return err
	}
	return ofNetwork(set(file, at))
}

// control runs f with the descriptor, which stays open meanwhile.
func (s *Socket) control(f func(fd int) error) error {
	var err error
	if controlErr := s.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// SyscallConn is part of syscall.Conn.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

// Control runs f with the descriptor, which stays open meanwhile.
func (s *Socket) Control(f func(fd uintptr)) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.closed:
		return net.ErrClosed
	case s.file == nil:
		f(uintptr(s.fd))
		return nil
	}
	raw, err := s.file.SyscallConn()
	if err != nil {
		return ofNetwork(err)
	}
	return ofNetwork(raw.Control(f))
}

// rawSocket is the syscall.RawConn of a Socket.
type rawSocket struct{ s *Socket }

func (r rawSocket) Control(f func(fd uintptr)) error { return r.s.Control(f) }

func (r rawSocket) Read(f func(fd uintptr) bool) error {
	raw, err := r.waiting()
	if err != nil {
		return err
	}
	return ofNetwork(raw.Read(f))
}

func (r rawSocket) Write(f func(fd uintptr) bool) error {
	raw, err := r.waiting()
	if err != nil {
		return err
	}
	return ofNetwork(raw.Write(f))
}

func (r rawSocket) waiting() (syscall.RawConn, error) {
	file, err := r.s.waiting()
	if err != nil {
		return nil, err
	}
	return file.SyscallConn()
}

// SocketOf is the connection whose descriptor is a file, which belongs to it from now on.
func SocketOf(file *os.File) *Socket { return &Socket{fd: -1, file: file} }
