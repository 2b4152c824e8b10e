package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ahead is how many sessions may be open that the server does not count yet:
	// fewer than wait to be accepted in a queue of the usual 4096, for a SYN that
	// finds it full is sent again only a second later.
	ahead = 3000
	// asking is how often the server is asked for their number meanwhile. Asking
	// costs it a fraction of a millisecond.
	asking = 5 * time.Millisecond
	// sessionsPerAddress keeps below the number of ports that one source address
	// has for one destination.
	sessionsPerAddress = 20_000
)

// open opens sessions until there are n, and returns when the server counts as
// many. registered asks the server. Packets, set before, are what each says first.
func (l *loop) open(ctx context.Context, to *unix.SockaddrInet4, n int, registered func() (int, error)) error {
	for len(l.sessions) < n {
		if err := l.dial(to); err != nil {
			return fmt.Errorf("opening session %d: %w", len(l.sessions), err)
		}
		if len(l.sessions)%64 == 0 {
			if err := l.turn(0); err != nil {
				return err
			}
		}
		if len(l.sessions)-l.registered > ahead {
			if err := l.awaitRegistered(ctx, len(l.sessions)-ahead/2, registered); err != nil {
				return err
			}
		}
	}
	return l.awaitRegistered(ctx, n, registered)
}

// awaitRegistered waits until the server counts n sessions.
func (l *loop) awaitRegistered(ctx context.Context, n int, registered func() (int, error)) error {
	for end := time.Now().Add(patience); ; {
		var err error
		if l.registered, err = registered(); err != nil || l.registered >= n {
			return err
		}
		if time.Now().After(end) || l.closed > 0 {
			return fmt.Errorf("the server counts %d of %d sessions; it closed %d",
				l.registered, len(l.sessions), l.closed)
		}
		if err := l.rest(ctx, asking); err != nil {
			return err
		}
	}
}

// dial begins one more session.
func (l *loop) dial(to *unix.SockaddrInet4) error {
	number := len(l.sessions)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	l.sessions = append(l.sessions, session{fd: int32(fd)})
	if l.receiveBuffer != nil {
		if size := l.receiveBuffer(number); size > 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size); err != nil {
				return fmt.Errorf("making the receive buffer small: %w", err)
			}
		}
	}
	switch err := connect(fd, to, number/sessionsPerAddress); err {
	case nil: // as always over loopback
		if err := l.introduce(number); err != nil {
			return err
		}
		return l.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN, number)
	case unix.EINPROGRESS:
		return l.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLOUT, number)
	default:
		return err
	}
}

// connected goes on with a session whose connection is there, or has failed.
func (l *loop) connected(number int) error {
	fd := int(l.sessions[number].fd)
	failed, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failed != 0 {
		err = unix.Errno(failed)
	}
	if err != nil {
		return fmt.Errorf("opening session %d: connecting: %w", number, err)
	}
	if err := l.introduce(number); err != nil {
		return err
	}
	return l.watch(fd, unix.EPOLL_CTL_MOD, unix.EPOLLIN, number)
}

// introduce says who the session is.
func (l *loop) introduce(number int) error {
	return writeAll(int(l.sessions[number].fd), l.packets[number])
}

// connect connects from a loopback address of its own to a loopback address, from
// any to another; source counts the addresses from 0.
func connect(fd int, to *unix.SockaddrInet4, source int) error {
	if to.Addr[0] == 127 && source > 0 {
		// Without this the kernel would look for a port that is free for every
		// destination.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fmt.Errorf("choosing a source address: %w", err)
		}
		from := unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(1 + source/250), byte(1 + source%250)}}
		if err := unix.Bind(fd, &from); err != nil {
			return fmt.Errorf("choosing a source address: %w", err)
		}
	}
	err := unix.Connect(fd, to)
	if err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("connecting: %w", err)
	}
	return err
}

// writeAll writes a few bytes to a connection that has room for them.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if _, err := unix.Poll(wait, int(patience.Milliseconds())); err != nil && err != unix.EINTR {
				return fmt.Errorf("waiting to write: %w", err)
			}
			continue
		case err != nil:
			return fmt.Errorf("writing: %w", err)
		}
		b = b[n:]
	}
	return nil
}
