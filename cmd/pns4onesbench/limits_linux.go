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
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The limits are what the daemon is held against: servers that do nothing but
// what cannot be left out. They are this program run again, as processes of their
// own.
const (
	limitCommand = "limit"
	limitRaw     = "raw"     // accepts, reads a packet, and writes a frame in a loop
	limitParse   = "parse"   // net/http, parses a message and answers
	limitForward = "forward" // the same, which also writes a frame to a session
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
	const kind = unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	if r.listener, err = unix.Socket(unix.AF_INET, kind, 0); err != nil {
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
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
			Events: unix.EPOLLIN,
			Fd:     int32(fd),
		}); err != nil {
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
			if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
				Events: unix.EPOLLIN,
				Fd:     int32(fd),
			}); err != nil {
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
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(web.Addr())
	go obeyUntilEnd(func() int { return 0 })
	return serveParsed(web, func() error { return nil })
}

// runForward is runParse with one session, which it takes at a second port and
// writes a frame to for each post: no queue, no book-keeping.
func runForward(frameBytes int) error {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	sessions, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(web.Addr())
	fmt.Println(sessions.Addr())
	var count atomic.Int32
	go obeyUntilEnd(func() int { return int(count.Load()) })
	session, err := sessions.Accept()
	if err != nil {
		return err
	}
	count.Add(1)
	frame := make([]byte, frameBytes)
	return serveParsed(web, func() error {
		_, err := session.Write(frame)
		return err
	})
}

// serveParsed answers posts after parsing and deliver.
func serveParsed(web net.Listener, deliver func() error) error {
	return http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, _, err = wire.ParseRequest(body)
		}
		if err == nil {
			err = deliver()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
}

// obeyUntilEnd says how many sessions there are when it is asked, and ends this
// program with the one that started it.
func obeyUntilEnd(sessions func() int) {
	said := bufio.NewReader(os.Stdin)
	for {
		c, err := said.ReadByte()
		if err != nil {
			os.Exit(0)
		}
		if c == rawCount {
			fmt.Println(sessions())
		}
	}
}

// limit is the clients' side of one of these servers.
type limit struct {
	*process
	web      string              // where the handlers take posts; "" for the raw loop
	to       *unix.SockaddrInet4 // where sessions connect; nil for the parsing handler
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
	if kind != limitRaw {
		if l.web, err = l.line(); err != nil {
			return nil, err
		}
	}
	if kind != limitParse {
		at, err := l.line()
		if err != nil {
			return nil, err
		}
		if l.to, err = sockaddr(at); err != nil {
			return nil, err
		}
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

// poster posts a message as long as the daemon would get.
func (l *limit) poster(frameBytes int, fresh bool) (*poster, error) {
	m, err := messageOf(frameBytes)
	if err != nil {
		return nil, err
	}
	body, err := bodyOf(toUser(0), m)
	if err != nil {
		return nil, err
	}
	to, err := sockaddr(l.web)
	if err != nil {
		return nil, err
	}
	// A token as long as the daemon's, which nobody looks at.
	return newPoster(l.sessions, to, postRequest(l.web, fmt.Sprintf("%064d", 0), body), postConns, fresh), nil
}

func (l *limit) settle(context.Context) error { return l.quiet() }

func (l *limit) send() (bool, error) { return true, l.tell(rawToAll) }
