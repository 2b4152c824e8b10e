package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// loop holds the clients' side of every connection in one epoll instance, without
// a goroutine each. It reads what sessions get into one buffer and counts the
// bytes: as the length of a frame is known, that shows when a session has it. It
// is used by one goroutine.
type loop struct {
	epoll    int
	events   [512]unix.EpollEvent
	buf      [64 << 10]byte
	sessions []session
	others   []func() error // what to do when another connection is readable

	bytes  int64 // received by all sessions since expect
	want   int64 // what each session is to receive
	behind int   // sessions that have not received it all
	closed int   // sessions that the server has closed

	packets    [][]byte // what each session says first
	registered int      // sessions that the server last said it counts

	// observe, if set, sees what sessions get; it is not counted then.
	observe func(number int, b []byte) error
	// receiveBuffer, if set, is how small the kernel's receive buffer of a
	// session is to be; 0: as the system has it.
	receiveBuffer func(number int) int
}

// session is one connection.
type session struct {
	fd       int32
	ignored  bool // it does not read
	received int64
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	return &loop{epoll: fd}, nil
}

// close ends all sessions with a reset, which leaves no connection in TIME_WAIT:
// the next run shall find the ports free.
func (l *loop) close() {
	for i := range l.sessions {
		reset(int(l.sessions[i].fd))
	}
	unix.Close(l.epoll)
}

func reset(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// handler keeps what is to be done when a connection that is no session can be
// read, and returns what to watch it as.
func (l *loop) handler(readable func() error) int {
	l.others = append(l.others, readable)
	return -len(l.others)
}

// watch changes what is waited for on a descriptor. The pad of the event carries
// what it is: a session's number or, below zero, what handler returned.
func (l *loop) watch(fd, op int, events uint32, what int) error {
	e := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(what)}
	if err := unix.EpollCtl(l.epoll, op, fd, &e); err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	return nil
}

// turn waits for something to happen for up to timeout, rounded up to whole
// milliseconds, and handles it.
func (l *loop) turn(timeout time.Duration) error {
	n, err := unix.EpollWait(l.epoll, l.events[:], int((timeout+time.Millisecond-1)/time.Millisecond))
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("waiting for connections: %w", err)
	}
	for i := range l.events[:n] {
		e := &l.events[i]
		switch {
		case e.Pad < 0:
			err = l.others[-1-e.Pad]()
		case e.Events&unix.EPOLLOUT != 0:
			err = l.connected(int(e.Pad))
		default:
			err = l.read(int(e.Pad))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// patience is how long the loop waits for what must come.
const patience = 60 * time.Second

// until handles what happens until done reports true.
func (l *loop) until(ctx context.Context, what string, done func() bool) error {
	for end := time.Now().Add(patience); !done(); {
		if err := l.turn(100 * time.Millisecond); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v: %d of %d sessions have not received %d bytes, "+
				"%d were closed by the server", what, patience, l.behind, len(l.sessions), l.want, l.closed)
		}
	}
	return nil
}

// rest handles what happens for a while.
func (l *loop) rest(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := l.turn(time.Until(end)); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// expect begins to count anew: from now on every session that reads is to get so
// many bytes.
func (l *loop) expect(bytes int64) {
	l.bytes, l.want, l.behind = 0, bytes, 0
	for i := range l.sessions {
		s := &l.sessions[i]
		s.received = 0
		if !s.ignored && bytes > 0 {
			l.behind++
		}
	}
}

// complete reports that every session that reads has received what it is to.
func (l *loop) complete() bool { return l.behind == 0 }

// exact is an error if a session has received another number of bytes than it was
// to, or was closed.
func (l *loop) exact() error {
	for i := range l.sessions {
		if s := &l.sessions[i]; !s.ignored && s.received != l.want {
			return fmt.Errorf("session %d received %d bytes, %d were sent to it; %d sessions were closed by the server",
				i, s.received, l.want, l.closed)
		}
	}
	return nil
}

// read takes what a session has got.
func (l *loop) read(number int) error {
	s := &l.sessions[number]
	n, err := unix.Read(int(s.fd), l.buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if n <= 0 {
		l.closed++
		return l.ignore(number)
	}
	if l.observe != nil {
		return l.observe(number, l.buf[:n])
	}
	l.bytes += int64(n)
	before := s.received
	s.received += int64(n)
	if before < l.want && s.received >= l.want {
		l.behind--
	}
	return nil
}

// ignore has a session read no more.
func (l *loop) ignore(number int) error {
	s := &l.sessions[number]
	s.ignored = true
	if s.received < l.want {
		l.behind--
	}
	return l.watch(int(s.fd), unix.EPOLL_CTL_DEL, 0, 0)
}
