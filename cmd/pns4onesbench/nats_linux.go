package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// nats is a nats-server, for comparison: a subscriber of one subject for each
// session. Its protocol is lines of text, written here by hand.
type nats struct {
	*process
	folder    string
	to        *unix.SockaddrInet4
	sessions  *loop
	publisher int
	publish   []byte // one message
	message   int    // bytes a subscriber gets for it
	pongs     int    // subscribers that are known to the server
	pings     int    // subscribers that the server has measured
}

const natsSubject = "bench"

// startNATS starts the nats-server that was named.
func (b *bench) startNATS(ctx context.Context) (_ *nats, err error) {
	n := &nats{publisher: -1}
	if n.folder, err = os.MkdirTemp("", "pns4onesbench"); err != nil {
		return nil, fmt.Errorf("making a folder for nats-server: %w", err)
	}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	settings := filepath.Join(n.folder, "nats.conf")
	// It shall not ask, while it is measured, whether subscribers live.
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nports_file_dir: %q\nping_interval: \"1h\"\n", n.folder)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the settings of nats-server: %w", err)
	}
	cmd := exec.Command(b.natsPath, "-c", settings)
	if n.process, err = b.startProcess("nats-server", cmd); err != nil {
		return nil, err
	}
	if n.to, err = n.awaitPort(ctx); err != nil {
		return nil, n.failed(err)
	}
	if n.sessions, err = newLoop(); err != nil {
		return nil, err
	}
	m, err := messageOf(b.frameBytes)
	if err != nil {
		return nil, err
	}
	n.setMessage(frameBytesOf(m))
	return n, n.openPublisher()
}

// setMessage makes a message that is size bytes at the subscriber, its head
// included.
func (n *nats) setMessage(size int) {
	frame := func(payload int) int {
		return len(fmt.Sprintf("MSG %s 1 %d\r\n\r\n", natsSubject, payload)) + payload
	}
	payload := max(1, 2*size-frame(size))
	n.message = frame(payload)
	n.publish = fmt.Appendf(nil, "PUB %s %d\r\n%s\r\n", natsSubject, payload, bytes.Repeat([]byte{'.'}, payload))
}

// awaitPort waits for the file in which nats-server writes its port.
func (n *nats) awaitPort(ctx context.Context) (*unix.SockaddrInet4, error) {
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		files, _ := filepath.Glob(filepath.Join(n.folder, "*.ports"))
		if len(files) == 0 {
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return nil, fmt.Errorf("reading its port: %w", err)
		}
		var ports struct {
			URLs []string `json:"nats"`
		}
		if json.Unmarshal(text, &ports) != nil || len(ports.URLs) == 0 {
			continue // being written
		}
		at, err := url.Parse(ports.URLs[0])
		if err != nil {
			return nil, fmt.Errorf("reading its port: %w", err)
		}
		return sockaddr(at.Host)
	}
	return nil, fmt.Errorf("it did not serve within %v", startTime)
}

var (
	natsConnect = []byte(`CONNECT {"verbose":false,"pedantic":false,"lang":"none","version":"0","protocol":0}` + "\r\n")
	natsPing    = []byte("PING\r\n")
	natsPong    = []byte("PONG\r\n")
)

func (n *nats) openPublisher() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the publisher: %w", err)
	}
	n.publisher = fd
	if err := connect(fd, n.to, 0); err != nil {
		return fmt.Errorf("opening the publisher: %w", err)
	}
	if err := writeAll(fd, natsConnect); err != nil {
		return fmt.Errorf("opening the publisher: %w", err)
	}
	return n.sessions.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN, n.sessions.handler(func() error {
		got, err := unix.Read(fd, n.sessions.buf[:])
		if got <= 0 {
			return n.failed(fmt.Errorf("the publisher was closed: %v", err))
		}
		if bytes.Contains(n.sessions.buf[:got], natsPing) {
			return writeAll(fd, natsPong)
		}
		return nil
	}))
}

func (n *nats) server() *process  { return n.process }
func (n *nats) clients() *loop    { return n.sessions }
func (n *nats) messageBytes() int { return n.message }

func (n *nats) stop() {
	if n.publisher >= 0 {
		unix.Close(n.publisher)
	}
	if n.sessions != nil {
		n.sessions.close()
	}
	if n.process != nil {
		n.process.stop()
	}
	os.RemoveAll(n.folder)
}

// prepare makes what a subscriber says. The answer to the PING after the
// subscription reports that it is in force.
func (n *nats) prepare(count int) error {
	for i := len(n.sessions.packets); i < count; i++ {
		packet := fmt.Appendf(nil, "%sSUB %s 1\r\nPING\r\n", natsConnect, natsSubject)
		n.sessions.packets = append(n.sessions.packets, packet)
	}
	return nil
}

func (n *nats) open(ctx context.Context, count int) error {
	if err := n.prepare(count); err != nil {
		return err
	}
	n.sessions.observe = n.observe
	return n.sessions.open(ctx, n.to, count, func() (int, error) { return n.pongs, nil })
}

// observe sees what the server says to a subscriber before the first message.
func (n *nats) observe(number int, b []byte) error {
	n.pongs += bytes.Count(b, natsPong)
	if bytes.Contains(b, natsPing) {
		n.pings++
		return writeAll(int(n.sessions.sessions[number].fd), natsPong)
	}
	return nil
}

// settle waits for the PING that the server sends to each new subscriber after
// two seconds, to measure the way. What comes later are messages.
func (n *nats) settle(ctx context.Context) error {
	if err := n.sessions.until(ctx, "waiting for nats-server to measure its subscribers", func() bool {
		return n.pings >= len(n.sessions.sessions)
	}); err != nil {
		return err
	}
	n.sessions.observe = nil
	return n.quiet()
}

func (n *nats) send() (bool, error) { return true, writeAll(n.publisher, n.publish) }
