package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The limits are what the daemon is held against: servers that do nothing but
// what cannot be left out. They are this program run again, as processes of their
// own.
const (
	limitCommand = "limit"
	limitRaw     = "raw"   // accepts, reads a packet, and writes a frame in a loop
	limitParse   = "parse" // net/http, parses a message and answers
)

// What the raw loop is told, a byte each.
const (
	rawToAll = 'a'
	rawToOne = 'o' // the first session
	rawCount = 'c' // answers how many sessions there are
)

// rawLoop serves as the raw loop until its stdin ends: without queues, without
// book-keeping, without a goroutine for a session.
type rawLoop struct {
	epoll    int
	listener int
	frame    []byte
	packet   []byte // room for what a session says first
	sessions []int
	events   [512]unix.EpollEvent
}

// runRawLoop listens on a free loopback port, which it prints, and serves.
func runRawLoop(frameBytes, packetBytes int) error {
	r := &rawLoop{frame: make([]byte, frameBytes), packet: make([]byte, packetBytes)}
	var err error
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("making an epoll instance: %w", err)
	}
	if r.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	if err := unix.Bind(r.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if err := unix.Listen(r.listener, 1<<16); err != nil { // the system cuts it to somaxconn
		return fmt.Errorf("listening: %w", err)
	}
	name, err := unix.Getsockname(r.listener)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Printf("127.0.0.1:%d\n", name.(*unix.SockaddrInet4).Port)
	for _, fd := range []int{0, r.listener} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return fmt.Errorf("waiting: %w", err)
		}
	}
	return r.serve()
}

func (r *rawLoop) serve() error {
	for {
		n, err := unix.EpollWait(r.epoll, r.events[:], -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting: %w", err)
		}
		for _, e := range r.events[:n] {
			switch int(e.Fd) {
			case 0:
				err = r.obey()
			case r.listener:
				err = r.accept()
			default:
				// The packet of a session, or its end. Nobody is waited for any more.
				unix.Read(int(e.Fd), r.packet)
				err = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, int(e.Fd), nil)
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}

// accept takes the sessions that wait. A packet that is not there yet is read
// later.
func (r *rawLoop) accept() error {
	for {
		fd, _, err := unix.Accept4(r.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
		r.sessions = append(r.sessions, fd)
		if _, err := unix.Read(fd, r.packet); err == unix.EAGAIN {
			if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
				return fmt.Errorf("waiting for a packet: %w", err)
			}
		}
	}
}

// obey does what stdin says. Its end is io.EOF.
func (r *rawLoop) obey() error {
	var said [64]byte
	n, err := unix.Read(0, said[:])
	if n <= 0 {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("reading a command: %w", err)
	}
	for _, c := range said[:n] {
		switch c {
		case rawCount:
			fmt.Println(len(r.sessions))
		case rawToOne:
			err = writeAll(r.sessions[0], r.frame)
		case rawToAll:
			for _, fd := range r.sessions {
				if err = writeAll(fd, r.frame); err != nil {
					break
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runParse listens on a free loopback port, which it prints, and answers posts as
// /sendmessage would, after parsing and nothing else.
func runParse() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() { // it ends with the process that started it
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, _, err = wire.ParseRequest(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
}

// limit is the clients' side of one of these servers.
type limit struct {
	*process
	to       *unix.SockaddrInet4
	host     string
	frame    int
	stdin    io.WriteCloser
	stdout   *bufio.Reader
	sessions *loop
}

// startLimit starts this program as one of the limits.
func (b *bench) startLimit(kind string) (_ *limit, err error) {
	l := &limit{}
	m, err := messageOf(b.frameBytes)
	if err != nil {
		return nil, err
	}
	// The raw loop sends what the daemon would: as long a frame.
	l.frame = frameBytesOf(m)
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", kind, err)
	}
	cmd := exec.Command(self, limitCommand, kind, strconv.Itoa(l.frame), strconv.Itoa(packetBytes))
	if l.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", kind, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", kind, err)
	}
	l.stdout = bufio.NewReader(stdout)
	if l.process, err = b.startProcess(kind, cmd); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.stop()
		}
	}()
	if l.host, err = l.line(); err != nil {
		return nil, err
	}
	if l.to, err = sockaddr(l.host); err != nil {
		return nil, err
	}
	l.sessions, err = newLoop()
	return l, err
}

// packetBytes is about how long a registration packet is.
const packetBytes = 112

func (l *limit) server() *process  { return l.process }
func (l *limit) clients() *loop    { return l.sessions }
func (l *limit) messageBytes() int { return l.frame }

func (l *limit) stop() {
	if l.sessions != nil {
		l.sessions.close()
	}
	l.stdin.Close()
	l.process.stop()
}

// line reads what the process says.
func (l *limit) line() (string, error) {
	said, err := l.stdout.ReadString('\n')
	if err != nil {
		return "", l.failed(fmt.Errorf("waiting for its answer: %w", err))
	}
	return strings.TrimSpace(said), nil
}

func (l *limit) tell(command byte) error {
	if _, err := l.stdin.Write([]byte{command}); err != nil {
		return l.failed(err)
	}
	return nil
}

func (l *limit) prepare(n int) error {
	for i := len(l.sessions.packets); i < n; i++ {
		l.sessions.packets = append(l.sessions.packets, make([]byte, packetBytes))
	}
	return nil
}

func (l *limit) open(ctx context.Context, n int) error {
	if err := l.prepare(n); err != nil {
		return err
	}
	return l.sessions.open(ctx, l.to, n, func() (int, error) {
		if err := l.tell(rawCount); err != nil {
			return 0, err
		}
		said, err := l.line()
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(said)
	})
}

func (l *limit) settle(context.Context) error { return l.quiet() }

func (l *limit) send() (bool, error) { return true, l.tell(rawToAll) }
