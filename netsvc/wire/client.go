package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// clientFrameBytes bounds a frame a Client takes. The protocol has no
	// bound of its own; the service's max_message_size is far below this one.
	clientFrameBytes = 1 << 30
	// clientReadBytes holds a small frame whole, so that one read fetches it.
	clientReadBytes = 512
)

// Client is a 1C session in Go (protocol.md section 4): it registers and gets
// messages. It serves tests, the listen command and load programs.
// One goroutine at a time may call Receive; every other method may be called
// at any time.
type Client struct {
	conn net.Conn
	in   *bufio.Reader

	registering sync.Mutex // held from the choice of a key to its packet's last byte
	mu          sync.Mutex
	keys        []*ClientKey // keys[0] is the one the last frame came under; then those registered since
}

// Dial connects to the service at addr (host:port) and registers r under k, with
// attributes if there are any. As there is no reply to a registration, a refused one shows in Receive as io.EOF.
// ctx bounds Dial itself only.
func Dial(ctx context.Context, addr string, r Registration, k *ClientKey, attributes ...Attribute) (*Client, error) {
	packet, err := AppendRegistration(nil, r, k, attributes...)
	if err != nil {
		return nil, fmt.Errorf("registering at %s: %w", addr, err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to the service: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	_, err = conn.Write(packet)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("registering at %s: %w", addr, err)
	}
	return &Client{conn: conn, in: bufio.NewReaderSize(conn, clientReadBytes), keys: []*ClientKey{k}}, nil
}

// Receive waits for the next message and returns its JSON as it was in the
// frame; the caller owns it. Errors are those of ReadFrame: io.EOF when the
// service closed the session. After any error but a deadline between two frames
// the session is of no more use.
func (c *Client) Receive() ([]byte, error) {
	f, err := receiveFrame(c.in, clientFrameBytes)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	keys := c.keys
	c.mu.Unlock()
	if len(keys) == 1 {
		return f.open(keys[0], f.ciphertext)
	}
	// After a registration under a new key the service may still send what it
	// had queued under the old one.
	plaintext := make([]byte, len(f.ciphertext))
	for i, k := range keys {
		var opened []byte
		if opened, err = f.open(k, plaintext); err == nil {
			c.mu.Lock()
			c.keys = c.keys[i:]
			c.mu.Unlock()
			return opened, nil
		}
	}
	return nil, err
}

// Register replaces the identity of the session (section 4.1). Messages the
// service had queued for the old one may still arrive.
func (c *Client) Register(r Registration, k *ClientKey, attributes ...Attribute) error {
	packet, err := AppendRegistration(nil, r, k, attributes...)
	if err != nil {
		return fmt.Errorf("registering again: %w", err)
	}
	c.registering.Lock()
	defer c.registering.Unlock()
	c.mu.Lock()
	if last := c.keys[len(c.keys)-1]; !last.Equal(k) {
		c.keys = append(c.keys[:len(c.keys):len(c.keys)], k)
	}
	c.mu.Unlock()
	if _, err := c.conn.Write(packet); err != nil {
		return fmt.Errorf("registering again: %w", err)
	}
	return nil
}

// Close ends the session and makes a waiting Receive return an error that is
// net.ErrClosed. Closing again does nothing.
func (c *Client) Close() error {
	if err := c.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// LocalAddr is the session's own end of the connection.
func (c *Client) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// SetReadDeadline is when a waiting Receive gives up with
// os.ErrDeadlineExceeded; the zero time is never.
func (c *Client) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }
