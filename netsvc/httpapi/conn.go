package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is the connection of a sender between the network and net/http. What
// net/http refuses by itself, before there is a request for our routes, it refuses
// in plain text and lets nobody know; here such an answer is recognised on its way out,
// replaced by one of ours, counted and logged. So is what is no HTTP at all.
//
// TLS is done here, too: net/http would keep to itself what was wrong with it.
type conn struct {
	net.Conn // what net/http reads and writes: a *tls.Conn with HTTPS
	server   *Server
	tls      *tls.Conn // nil: plain HTTP

	// Only one goroutine reads at a time.
	shaken bool // the TLS handshake is done
	spoke  bool // something has come

	begun    atomic.Bool // something of the next request has come
	handling atomic.Bool // a request is being answered
	refused  atomic.Bool // it has got its last answer

	succeeded atomic.Bool // one of its requests was a success
	heard     atomic.Bool // something has come since it became idle
	place     place       // guarded by the crowd's lock
	left      bool        // likewise

	deadlineMu sync.Mutex
	deadline   time.Time // for reading, as net/http wants it
}

// raw is the connection below TLS. It notices the first byte of a handshake.
type raw struct {
	net.Conn
	conn *conn
}

func (r raw) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if n > 0 {
		r.conn.hear()
	}
	return n, err
}

func (r raw) CloseWrite() error { return closeWrite(r.Conn) }

// hear gives what has begun to come the time that net/http allows.
func (c *conn) hear() {
	if !c.heard.Swap(true) {
		c.deadlineMu.Lock()
		defer c.deadlineMu.Unlock()
		c.Conn.SetReadDeadline(c.deadline)
	}
}

// SetReadDeadline is net.Conn's, but one that has had no successful request is not
// waited for that long.
func (c *conn) SetReadDeadline(at time.Time) error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.deadline = at
	if !c.heard.Load() && !c.handling.Load() && !c.succeeded.Load() {
		if soon := time.Now().Add(c.server.patience); at.IsZero() || soon.Before(at) {
			at = soon
		}
	}
	return c.Conn.SetReadDeadline(at)
}

// Close is net.Conn's.
func (c *conn) Close() error {
	c.server.crowd.leave(c)
	return c.Conn.Close()
}

// listener makes conns of what it accepts.
type listener struct {
	net.Listener
	server *Server
}

func (l listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, server: l.server}
		if l.server.tls != nil {
			c.tls = tls.Server(raw{accepted, c}, l.server.tls)
			c.Conn = c.tls
		}
		leaves := l.server.crowd.enter(c, l.server.limits.Load().MaxSenders)
		if leaves != nil {
			leaves.evicted()
		}
		if leaves != c {
			return c, nil
		}
	}
}

// connKey is that of the conn in the context of a request.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// begin notes that a request is being answered, until end is called.
func begin(r *http.Request) (c *conn) {
	if c, _ = r.Context().Value(connKey{}).(*conn); c != nil {
		c.handling.Store(true)
		c.server.crowd.busy(c)
	}
	return c
}

func (c *conn) end() {
	if c != nil {
		c.begun.Store(false)
		c.heard.Store(false)
		c.handling.Store(false)
		c.server.crowd.idle(c)
	}
}

// Read is net.Conn's. A connection that has nothing to say to net/http ends there.
func (c *conn) Read(b []byte) (int, error) {
	if c.tls != nil && !c.shaken {
		if !c.handshake() {
			return 0, io.EOF
		}
		c.shaken = true
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.hear()
		first := !c.spoke
		c.spoke = true
		c.begun.Store(true)
		if first && c.tls == nil && beginsTLS(b[:n]) {
			c.refuse(c.Conn, refusal{status: http.StatusBadRequest, reason: ReasonTLSOnHTTP,
				text: "this port speaks HTTP, and HTTPS was spoken to it: use http://, or switch HTTPS on with ssl_mode"})
			return 0, io.EOF
		}
	}
	if err != nil && !c.handling.Load() {
		c.broken(err)
	}
	return n, err
}

// beginsTLS recognises the record of a ClientHello (RFC 8446, 5.1). No request
// begins like that.
func beginsTLS(b []byte) bool { return b[0] == 0x16 && (len(b) < 2 || b[1] == 0x03) }

// broken notes that a connection ended, or took too long, before a request was there.
func (c *conn) broken(err error) {
	switch timeout := errors.Is(err, os.ErrDeadlineExceeded); {
	case !c.spoke && errors.Is(err, io.EOF):
		c.server.counters.checks.Add(1) // a health check: it connects, and that is all
	case !c.begun.Load() || c.refused.Load() || errors.Is(err, io.EOF):
		// Nothing is missing, or net/http is about to say that it is.
	case timeout:
		c.refuse(c.Conn, refusal{status: http.StatusRequestTimeout, reason: ReasonSlowHeader,
			text: "the header took too long to arrive"})
	}
}

// handshake does that of TLS, and reports one that failed.
func (c *conn) handshake() bool {
	err := c.tls.Handshake()
	if err == nil {
		return true
	}
	raw := c.tls.NetConn()
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, io.EOF):
		c.server.counters.checks.Add(1)
		return false
	case errors.As(err, &record) && beginsRequest(record.RecordHeader[:]):
		c.server.counters.handshakes.Add(1)
		c.refuse(raw, refusal{status: http.StatusBadRequest, reason: ReasonHTTPOnHTTPS,
			text: "this port speaks HTTPS, and HTTP was spoken to it: use https://"})
		return false
	}
	c.server.counters.handshakes.Add(1)
	c.server.log.Debug("tls handshake failed", slog.String("peer", c.RemoteAddr().String()), slog.Any("error", err))
	return false
}

// beginsRequest recognises a method with a blank or the rest of it behind.
func beginsRequest(b []byte) bool {
	for i, letter := range b {
		if letter == ' ' && i >= 3 {
			return true
		}
		if letter < 'A' || letter > 'Z' {
			return false
		}
	}
	return true
}

// Write is net.Conn's. What net/http has to say of its own accord is said by us.
func (c *conn) Write(b []byte) (int, error) {
	if why, own := ownAnswer(b); own {
		c.refuse(c.Conn, why)
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// CloseWrite ends what the sender reads. net/http does it before it closes.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// ownErrorHeader is in the answers of net/http's own, and in none of ours.
const ownErrorHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// ownAnswer recognises an answer that net/http gives without asking our routes, and
// says what it means.
func ownAnswer(b []byte) (why refusal, own bool) {
	const version = len("HTTP/1.1 ")
	if len(b) < version+len("400") || b[version] == '2' || b[version] == '1' ||
		!bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		return refusal{}, false
	}
	switch status := string(b[version : version+len("400")]); {
	case status == "417":
		return refusal{status: http.StatusExpectationFailed, reason: ReasonExpectation,
			text: "the header Expect asks for something that there is not"}, true
	case !bytes.Contains(b, []byte(ownErrorHeader)):
		return refusal{}, false
	case status == "431":
		return refusal{status: http.StatusRequestHeaderFieldsTooLarge, reason: ReasonHeaderTooLarge,
			text: fmt.Sprintf("the request line with the header is larger than %d bytes", MaxHeaderBytes)}, true
	case status == "501":
		return refusal{status: http.StatusNotImplemented, reason: ReasonTransferEncoding,
			text: "this Transfer-Encoding is not supported: only chunked is"}, true
	case status == "505":
		return refusal{status: http.StatusHTTPVersionNotSupported, reason: ReasonHTTPVersion,
			text: "this version of HTTP is not supported: 1.1 and 1.0 are"}, true
	case bytes.Contains(b, []byte("missing required Host header")):
		return refusal{status: http.StatusBadRequest, reason: ReasonNoHost, text: "the header Host is missing"}, true
	case bytes.Contains(b, []byte("Host header")):
		return refusal{status: http.StatusBadRequest, reason: ReasonBadHost,
			text: "the header Host is malformed: letters other than Latin ones are not allowed in it (a name is written as xn--…)"}, true
	}
	return refusal{status: http.StatusBadRequest, reason: ReasonMalformed,
		text: "the request is malformed, or ended early"}, true
}

// refuse gives the last answer on this connection, counts and logs it. to is where it
// is written: with HTTPS, that may be below TLS.
func (c *conn) refuse(to net.Conn, why refusal) {
	if c.refused.Swap(true) {
		return
	}
	c.server.note(c.peer(), why, slog.Int("status", why.status))
	answer, contentType := []byte(why.text+"\n"), "text/plain; charset=utf-8"
	if why.reason != ReasonTLSOnHTTP { // somebody may see the plain sentence in a trace
		contentType = contentTypeJSON[0]
		answer, _ = json.Marshal(struct {
			Error string `json:"error"`
		}{why.text})
	}
	to.SetWriteDeadline(time.Now().Add(c.server.timeouts.drain))
	fmt.Fprintf(to,
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		why.status, http.StatusText(why.status), contentType, len(answer), answer)
	linger(to, c.server.timeouts.drain)
}

// peer is the address of the other side; the zero Addr if it has none.
func (c *conn) peer() netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// linger reads what is still coming after the last answer, for a while: closing a
// connection with unread bytes resets it, and the peer may lose the answer.
func linger(c net.Conn, most time.Duration) {
	closeWrite(c)
	c.SetReadDeadline(time.Now().Add(most))
	io.CopyN(io.Discard, c, drainBytes)
}
