package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// poster sends one HTTP request again and again over connections of the loop. The
// request is made beforehand and the answer is looked at as far as need be, so
// that the clients' side costs less than the server's.
type poster struct {
	loop    *loop
	to      *unix.SockaddrInet4
	request []byte
	// fresh: a new connection for each request, as 1C does it.
	fresh bool
	// again: the next request follows each answer.
	again bool

	conns    []*postConn
	dialed   int
	posted   int // requests
	answered int
	// unconfirmed of the answered ones may not have reached all nodes of a cluster.
	unconfirmed int
}

// postConn is a connection, or in fresh mode the place for one after another.
type postConn struct {
	poster *poster
	slot   int // of its handler in the loop
	fd     int
	busy   bool
	answer []byte // what has come of it
}

// connectionsPerAddress is how many connections, one after the other, come from a
// loopback address: those that have ended keep their ports for a minute.
const connectionsPerAddress = 5000

// newPoster makes a poster with up to a number of connections, each opened when it
// is first needed: the daemon closes one that stays silent.
func newPoster(l *loop, to *unix.SockaddrInet4, request []byte, conns int, fresh bool) *poster {
	p := &poster{loop: l, to: to, request: request, fresh: fresh}
	for range conns {
		c := &postConn{poster: p, fd: -1}
		c.slot = l.handler(c.readable)
		p.conns = append(p.conns, c)
	}
	return p
}

// close closes the connections.
func (p *poster) close() {
	for _, c := range p.conns {
		c.close()
	}
}

// post sends the request over a connection that is not in use. It reports false if
// there is none.
func (p *poster) post() (bool, error) {
	for _, c := range p.conns {
		if !c.busy {
			return true, c.post()
		}
	}
	return false, nil
}

// idle reports that every request was answered.
func (p *poster) idle() bool { return p.answered == p.posted }

func (c *postConn) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

func (c *postConn) dial() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a connection to post: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("opening a connection to post: %w", err)
	}
	if err := connect(fd, c.poster.to, c.poster.dialed/connectionsPerAddress); err != nil {
		unix.Close(fd)
		return fmt.Errorf("opening a connection to post: %w", err)
	}
	c.poster.dialed++
	c.fd = fd
	return c.poster.loop.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN, c.slot)
}

func (c *postConn) post() error {
	if c.fd < 0 {
		if err := c.dial(); err != nil {
			return err
		}
	}
	c.busy = true
	c.answer = c.answer[:0]
	c.poster.posted++
	return writeAll(c.fd, c.poster.request)
}

var (
	endOfHeader       = []byte("\r\n\r\n")
	unconfirmedHeader = []byte("\r\nX-Unconfirmed-Nodes: ")
)

// readable takes what has come of an answer. One of 200 has no body.
func (c *postConn) readable() error {
	n, err := unix.Read(c.fd, c.poster.loop.buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if n <= 0 && !c.busy { // it was idle for long
		c.close()
		return nil
	}
	if n <= 0 {
		return errors.New("posting: the server closed the connection")
	}
	c.answer = append(c.answer, c.poster.loop.buf[:n]...)
	if !bytes.HasSuffix(c.answer, endOfHeader) && !c.refused() {
		return nil
	}
	if c.refused() {
		line, _, _ := bytes.Cut(c.answer, []byte("\r\n"))
		return fmt.Errorf("posting: the server answered %q", line)
	}
	c.busy = false
	c.poster.answered++
	if bytes.Contains(c.answer, unconfirmedHeader) {
		c.poster.unconfirmed++
	}
	if c.poster.fresh {
		c.close()
	}
	if c.poster.again {
		return c.post()
	}
	return nil
}

func (c *postConn) refused() bool {
	const good = "HTTP/1.1 200"
	return len(c.answer) >= len(good) && string(c.answer[:len(good)]) != good
}

// postRequest is the whole request that sends body to /sendmessage.
func postRequest(host, token string, body []byte) []byte {
	var b strings.Builder
	b.WriteString("POST /sendmessage HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	b.Write(body)
	return []byte(b.String())
}
