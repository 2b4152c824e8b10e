package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Client calls the daemon's control channel. Its methods may be called
// concurrently; each returns an *Error if the daemon refuses, a *ConnectError if
// it cannot be reached, or ctx's error.
type Client struct {
	path string
	http *http.Client
	// Wait is how long to keep trying while no daemon listens, for one that is
	// just starting. Set it before the first call.
	Wait time.Duration
}

// NewClient returns a client of the socket or pipe at path. It connects when it
// is first needed. Close it in the end.
func NewClient(path string) *Client {
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		DisableCompression: true,
		// The daemon is on this machine: a few connections do, and none is kept long.
		MaxIdleConns:    4,
		IdleConnTimeout: 30 * time.Second,
	}}
	return c
}

// Path is where the client looks for the daemon.
func (c *Client) Path() string { return c.path }

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ConnectKind tells why the daemon cannot be reached.
type ConnectKind int

// The kinds of ConnectError.
const (
	ConnectFailed  ConnectKind = iota // none of the others
	ConnectMissing                    // there is no socket or pipe: the daemon does not run
	ConnectRefused                    // a socket is there, but nobody listens: the daemon has crashed
	ConnectDenied                     // the user may not connect
)

// ConnectError says that the daemon cannot be reached.
type ConnectError struct {
	Path  string
	Kind  ConnectKind
	Group string // with ConnectDenied: whose members may connect, if that is known
	Err   error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("connecting to the daemon: %s: %v", e.Path, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// waitStep is the pause between tries while the daemon is starting.
const waitStep = 20 * time.Millisecond

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	deadline := time.Now().Add(c.Wait)
	for {
		conn, err := dial(ctx, c.path)
		if err == nil {
			return conn, nil
		}
		e := connectError(c.path, err)
		if e.Kind != ConnectMissing && e.Kind != ConnectRefused || time.Now().After(deadline) {
			return nil, e
		}
		select {
		case <-time.After(waitStep):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// call makes a request with a JSON body, unless in is nil, and reads the answer
// into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	return c.send(ctx, method, path, body, func(answer io.Reader) error {
		if out == nil {
			return nil
		}
		if err := json.NewDecoder(answer).Decode(out); err != nil {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
		return nil
	})
}

// send makes a request and hands the body of a good answer to read.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://pns/v1"+path, body)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if e, ok := errors.AsType[*ConnectError](err); ok {
			return e
		}
		var transport *url.Error
		if errors.As(err, &transport) {
			err = transport.Err // its URL means nothing to a person
		}
		return fmt.Errorf("talking to the daemon: %s: %w", c.path, err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return refusalOf(response)
	}
	return read(response.Body)
}

// maxErrorBytes bounds what is read of an answer that should be an error.
const maxErrorBytes = 64 << 10

func refusalOf(response *http.Response) error {
	var body errorBody
	err := json.NewDecoder(io.LimitReader(response.Body, maxErrorBytes)).Decode(&body)
	if err != nil || body.Error == nil {
		return &Error{Status: response.StatusCode, Code: CodeInternal, Message: "the daemon answered " + response.Status}
	}
	body.Error.Status = response.StatusCode
	return body.Error
}

// Status tells how the daemon is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, "GET", "/status", nil, &s)
}

// Apps lists the apps in the order of their creation.
func (c *Client) Apps(ctx context.Context) (apps []App, err error) {
	return apps, c.call(ctx, "GET", "/apps", nil, &apps)
}

// App returns the app with that id.
func (c *Client) App(ctx context.Context, id string) (a App, err error) {
	return a, c.call(ctx, "GET", appPath(id), nil, &a)
}

// CreateApp adds an app with fresh keys.
func (c *Client) CreateApp(ctx context.Context, title string) (a App, err error) {
	return a, c.call(ctx, "POST", "/apps", titleBody{title}, &a)
}

// RenameApp gives an app another title.
func (c *Client) RenameApp(ctx context.Context, id, title string) (a App, err error) {
	return a, c.call(ctx, "PATCH", appPath(id), titleBody{title}, &a)
}

// RemoveApp removes an app and closes its sessions.
func (c *Client) RemoveApp(ctx context.Context, id string) (a AppChange, err error) {
	return a, c.call(ctx, "DELETE", appPath(id), nil, &a)
}

// RotateServerKey gives an app a new server key. The old one, and the tokens got
// with it, work on for grace; 0: not at all.
func (c *Client) RotateServerKey(ctx context.Context, id string, grace time.Duration) (a AppChange, err error) {
	return a, c.call(ctx, "POST", appPath(id)+"/server-key", graceBody{Grace: grace.String()}, &a)
}

// RotateClientKey gives an app a new client key. The sessions under the old one
// live on for grace; 0: they are closed.
func (c *Client) RotateClientKey(ctx context.Context, id string, grace time.Duration) (a AppChange, err error) {
	return a, c.call(ctx, "POST", appPath(id)+"/client-key", graceBody{Grace: grace.String()}, &a)
}

// ResetToken makes all tokens of an app invalid.
func (c *Client) ResetToken(ctx context.Context, id string) (a App, err error) {
	return a, c.call(ctx, "POST", appPath(id)+"/reset-token", nil, &a)
}

// Sessions returns a page of the sessions that match.
func (c *Client) Sessions(ctx context.Context, q SessionQuery) (p SessionPage, err error) {
	values := make(url.Values)
	for name, value := range map[string]string{
		"app": q.AppID, "ib": q.IbID, "user": q.UserID, "group": q.UserGroup, "q": q.Text, "sort": q.Sort, "after": q.After,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return p, c.call(ctx, "GET", "/sessions?"+values.Encode(), nil, &p)
}

// CloseSession ends a session.
func (c *Client) CloseSession(ctx context.Context, id string) error {
	return c.call(ctx, "DELETE", "/sessions/"+url.PathEscape(id), nil, nil)
}

// Send sends a message of an app and returns the number of sessions it was
// queued for.
func (c *Client) Send(ctx context.Context, appID string, to wire.Recipient, m wire.Message) (sessions int, err error) {
	var answer sent
	err = c.call(ctx, "POST", "/messages", messageBody{
		AppID:     appID,
		Recipient: recipientBody{Type: to.Type, IbID: to.IbID, UserID: to.UserID, UserGroup: to.UserGroup},
		Message:   m.AppendJSON(nil),
	}, &answer)
	return answer.Sessions, err
}

// Import takes over the apps of an old keys file.
func (c *Client) Import(ctx context.Context, file io.Reader) (r ImportReport, err error) {
	err = c.send(ctx, "POST", "/import", file, func(answer io.Reader) error { return json.NewDecoder(answer).Decode(&r) })
	return r, err
}

// Export writes all apps as an old keys file.
func (c *Client) Export(ctx context.Context, w io.Writer) error {
	return c.send(ctx, "GET", "/export", nil, func(answer io.Reader) error {
		_, err := io.Copy(w, answer)
		return err
	})
}

func appPath(id string) string { return "/apps/" + url.PathEscape(id) }
