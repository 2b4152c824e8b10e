package hub_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// A network in memory, in which a test says when a byte goes on: from the hub into the send buffer, from there to the
// peer, and to the hub. Its connections have descriptors that no system gives, so that the hub writes to them as it
// writes to those of the system, and all that waits for one waits within a bubble of testing/synctest.

// pipe is a connection as the hub has it. Everything is guarded by mu; the hub waits for change.
type pipe struct {
	fd       uintptr
	mu       sync.Mutex
	change   *sync.Cond
	incoming []byte // may be read by the hub
	ended    bool   // and then comes the end
	broken   error  // what reading and writing fail with; nil: the connection is whole
	hungUp   bool   // the hub has closed it
	halfShut bool   // for writing only

	sent     []byte                           // that the hub has written and that has not left, the send buffer
	credit   int                              // bytes that the hub may write before the test says so again
	room     int                              // of the send buffer
	capped   int                              // what the hub has asked its room to be; 0: nothing
	kernel   bool                             // the send buffer holds what it was capped to, twice, and one more write
	passed   int                              // bytes that have come into the send buffer, ever
	left     int                              // of the frame that came in last
	written  func()                           // is called when bytes have been taken and the write has not returned yet; nil: nothing is
	onFrame  func(first []byte, size, at int) // a frame has begun to come in: what the hub is writing from its first byte on
	readEnd  time.Time
	writeEnd time.Time
}

var (
	pipes         sync.Map // uintptr of the descriptor -> *pipe
	lastPipe      atomic.Int64
	errPipeClosed = errors.New("the pipe is closed")
)

func init() {
	hub.WriteFake = func(fd int, b []byte) (int, error) {
		found, ok := pipes.Load(uintptr(fd))
		if !ok {
			return -1, unix.EBADF
		}
		return found.(*pipe).tryWrite(b)
	}
}

// tryWrite is a write that does not wait.
func (p *pipe) tryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken != nil:
		return -1, p.broken
	case p.hungUp || p.halfShut:
		return -1, unix.EPIPE
	}
	n := p.take(b)
	if n == 0 {
		return -1, unix.EAGAIN
	}
	if p.written != nil {
		p.mu.Unlock()
		p.written()
		p.mu.Lock()
	}
	return n, nil
}

func newPipe(room int) *pipe {
	p := &pipe{fd: uintptr(hub.FirstFakeFD + lastPipe.Add(1)), room: room}
	p.change = sync.NewCond(&p.mu)
	pipes.Store(p.fd, p)
	return p
}

// take moves what may be written into the send buffer. The caller holds mu.
func (p *pipe) take(b []byte) int {
	room := p.room - len(p.sent)
	if p.kernel && p.capped > 0 {
		room = 0
		if len(p.sent) < 2*p.capped {
			room = len(b)
		}
	}
	n := max(min(len(b), room, p.credit), 0)
	for at := 0; at < n; {
		if p.left == 0 {
			p.left = 4 + int(b[at]) + int(b[at+1])<<8 + int(b[at+2])<<16
			p.onFrame(b[at:], p.left, p.passed+at)
		}
		step := min(p.left, n-at)
		p.left -= step
		at += step
	}
	p.sent = append(p.sent, b[:n]...)
	p.passed += n
	p.credit -= n
	return n
}

// wait waits for a change, until a deadline. The caller holds mu.
func (p *pipe) wait(end time.Time) {
	if end.IsZero() {
		p.change.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(end), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.change.Broadcast()
	})
	defer timer.Stop()
	p.change.Wait()
}

func isOver(end time.Time) bool { return !end.IsZero() && !time.Now().Before(end) }

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.hungUp:
			return 0, net.ErrClosed
		case isOver(p.readEnd):
			return 0, os.ErrDeadlineExceeded
		case p.broken != nil:
			return 0, p.broken
		case len(p.incoming) > 0:
			n := copy(b, p.incoming)
			p.incoming = p.incoming[n:]
			return n, nil
		case p.ended:
			return 0, io.EOF
		}
		p.wait(p.readEnd)
	}
}

func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.hungUp:
			p.linger()
			return n, net.ErrClosed
		case p.broken != nil:
			p.linger()
			return n, p.broken
		case p.halfShut:
			return n, unix.EPIPE
		}
		n += p.take(b[n:])
		switch {
		case n == len(b):
			return n, nil
		case isOver(p.writeEnd):
			return n, os.ErrDeadlineExceeded
		}
		p.wait(p.writeEnd)
	}
}

// linger has whoever wrote notice late that the connection has ended: others go on meanwhile.
func (p *pipe) linger() {
	p.mu.Unlock()
	for range 30 {
		runtime.Gosched()
	}
	p.mu.Lock()
}

// set changes the pipe, and has the hub see it.
func (p *pipe) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.change.Broadcast()
}

// breaks ends the connection for the hub, as a reset or the system's giving up does.
func (p *pipe) breaks(why error) { p.set(func() { p.broken, p.sent = why, nil }) }

func (p *pipe) Close() error {
	p.set(func() { p.hungUp = true })
	return nil
}

func (p *pipe) CloseWrite() error {
	p.set(func() { p.halfShut = true })
	return nil
}

// over reports whether the hub has ended the connection, or knows that it has ended.
func (p *pipe) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hungUp || p.halfShut || p.broken != nil
}

func (p *pipe) SetDeadline(at time.Time) error {
	p.set(func() { p.readEnd, p.writeEnd = at, at })
	return nil
}

func (p *pipe) SetReadDeadline(at time.Time) error {
	p.set(func() { p.readEnd = at })
	return nil
}

func (p *pipe) SetWriteDeadline(at time.Time) error {
	p.set(func() { p.writeEnd = at })
	return nil
}

func (p *pipe) SetWriteBuffer(n int) error {
	p.set(func() {
		p.capped = n
		p.room = min(p.room, 2*n+16<<10)
	})
	return nil
}

func (p *pipe) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (p *pipe) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }

func (p *pipe) SyscallConn() (syscall.RawConn, error) { return rawPipe{p}, nil }

type rawPipe struct{ p *pipe }

func (r rawPipe) Control(do func(fd uintptr)) error {
	do(r.p.fd)
	return nil
}
func (r rawPipe) Read(func(fd uintptr) bool) error  { return errPipeClosed }
func (r rawPipe) Write(func(fd uintptr) bool) error { return errPipeClosed }

// pipeListener gives the hub the connections that it is handed.
type pipeListener struct {
	backlog chan *pipe
	closed  chan struct{}
	once    sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{backlog: make(chan *pipe), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case p := <-l.backlog:
		return p, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// unread is how many bytes of the send buffer have not left it.
func (p *pipe) unread() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// holds reports whether the send buffer has bytes of a frame, or may have.
func (p *pipe) holds(start, size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return start+size > p.passed-len(p.sent) && start < p.passed
}

// contains reports whether frames has one with these bytes.
func contains(frames [][]byte, one []byte) bool {
	for _, f := range frames {
		if bytes.Equal(f, one) {
			return true
		}
	}
	return false
}
