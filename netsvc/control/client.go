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
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Client calls the daemon's control channel. Its methods may be called
// concurrently; each returns an *Error if the daemon refuses, a *ConnectError if
// it cannot be reached, or one that wraps ctx's error.
type Client struct {
	path    string
	calls   caller
	imports caller // the same, but more patient: for what takes long to begin
	// Wait is how long to keep trying while no daemon listens, for one that is
	// just starting. Set it before the first call.
	Wait time.Duration
	// Lang is the language in which Reload says what is wrong; empty: English. Set
	// it before the first call.
	Lang locale.Lang
	// OnVersion is called once, with the version of the daemon that answers first.
	// Daemons older than VersionHeader do not say it. Set it before the first call;
	// nil: nobody asks.
	OnVersion func(daemon string)
	met       sync.Once
	node      string // that is to answer; empty: the daemon itself decides
}

// VersionHeader is in every answer: the version of the daemon.
const VersionHeader = "Pns4ones-Version"

// NewClient returns a client of the socket or pipe at path. It connects when it
// is first needed. Close it in the end.
func NewClient(path string) *Client { return newClient(path, answerTimeout, importTimeout) }

// A daemon that hangs must not hang the scripts that ask it: this is how long it
// may take to begin an answer. A large keys file takes a while to store, and an
// import that is given up on would still be made.
const (
	answerTimeout = 15 * time.Second
	importTimeout = 10 * time.Minute
)

func newClient(path string, answer, imports time.Duration) *Client {
	c := &Client{path: path}
	c.calls, c.imports = c.caller(answer), c.caller(imports)
	return c
}

// caller waits for the beginning of an answer as long as its patience lasts.
type caller struct {
	*http.Client
	patience time.Duration
}

func (c *Client) caller(patience time.Duration) caller {
	return caller{&http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		DisableCompression: true,
		// The daemon is on this machine: a few connections do, and none is kept long.
		MaxIdleConns:          4,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: patience,
	}}, patience}
}

// Path is where the client looks for the daemon.
func (c *Client) Path() string { return c.path }

// On returns a client whose requests the named node of the cluster answers, for itself
// alone; they go through the same daemon. It has the same connections, and is not closed by
// itself. A daemon that knows no cluster refuses them.
func (c *Client) On(node string) *Client {
	return &Client{path: c.path, calls: c.calls, imports: c.imports, Wait: c.Wait, Lang: c.Lang, node: node}
}

// Close closes the connections that are not in use.
func (c *Client) Close() {
	c.calls.CloseIdleConnections()
	c.imports.CloseIdleConnections()
}

// Status returns how the daemon is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, "GET", "/status", nil)
}

// StatusByApp is Status with ByApp.
func (c *Client) StatusByApp(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, "GET", "/status?by_app=true", nil)
}

// Apps lists the apps in the order of their creation.
func (c *Client) Apps(ctx context.Context) ([]App, error) {
	return ask[[]App](ctx, c, "GET", "/apps", nil)
}

// App returns the app with that id.
func (c *Client) App(ctx context.Context, id string) (App, error) {
	return ask[App](ctx, c, "GET", appPath(id), nil)
}

// CreateApp adds an app with fresh keys.
func (c *Client) CreateApp(ctx context.Context, title string) (App, error) {
	if err := checkText(CodeBadTitle, title); err != nil {
		return App{}, err
	}
	return ask[App](ctx, c, "POST", "/apps", TitleBody{title})
}

// RenameApp gives an app another title.
func (c *Client) RenameApp(ctx context.Context, id, title string) (App, error) {
	if err := checkText(CodeBadTitle, title); err != nil {
		return App{}, err
	}
	return ask[App](ctx, c, "PATCH", appPath(id), TitleBody{title})
}

// RemoveApp removes an app and closes its sessions.
func (c *Client) RemoveApp(ctx context.Context, id string) (AppChange, error) {
	return ask[AppChange](ctx, c, "DELETE", appPath(id), nil)
}

// RotateServerKey gives an app a new server key. The old one, and the tokens got
// with it, work on for grace; 0: not at all.
func (c *Client) RotateServerKey(ctx context.Context, id string, grace time.Duration) (AppChange, error) {
	return ask[AppChange](ctx, c, "POST", appPath(id)+"/server-key", graceBody{grace.String()})
}

// RotateClientKey gives an app a new client key. The sessions under the old one
// live on for grace; 0: they are closed.
func (c *Client) RotateClientKey(ctx context.Context, id string, grace time.Duration) (AppChange, error) {
	return ask[AppChange](ctx, c, "POST", appPath(id)+"/client-key", graceBody{grace.String()})
}

// RevokeOld ends the old keys of an app before their time: server keys, client keys, or
// both. The sessions under old client keys are closed.
func (c *Client) RevokeOld(ctx context.Context, id string, server, client bool) (AppChange, error) {
	return ask[AppChange](ctx, c, "POST", appPath(id)+"/revoke-old", RevokeBody{server, client})
}

// Rotate renews keys of several apps, of all or of none; the old ones work on for grace.
// The apps come in that order.
func (c *Client) Rotate(ctx context.Context, rotations []Rotation, grace time.Duration) ([]AppChange, error) {
	return ask[[]AppChange](ctx, c, "POST", "/rotate", rotateBody{rotations, graceBody{grace.String()}})
}

// ResetToken makes all tokens of an app invalid.
func (c *Client) ResetToken(ctx context.Context, id string) (App, error) {
	return ask[App](ctx, c, "POST", appPath(id)+"/reset-token", nil)
}

// Sessions returns a page of the sessions that match.
func (c *Client) Sessions(ctx context.Context, q SessionQuery) (SessionPage, error) {
	return ask[SessionPage](ctx, c, "GET", "/sessions?"+q.values().Encode(), nil)
}

// CloseSession ends a session. If since is not zero, only one that began then: a
// daemon that was started again gives the same ids to other sessions.
func (c *Client) CloseSession(ctx context.Context, id string, since time.Time) error {
	path := "/sessions/" + url.PathEscape(id)
	if !since.IsZero() {
		path += "?" + url.Values{"since": {since.Format(time.RFC3339Nano)}}.Encode()
	}
	_, err := ask[struct{}](ctx, c, "DELETE", path, nil)
	return err
}

// Send is SendCounting for who wants to know the number of sessions alone.
func (c *Client) Send(ctx context.Context, appID string, to wire.Recipient, m wire.Message) (sessions int, err error) {
	sent, err := c.SendCounting(ctx, appID, to, m)
	return sent.Sessions, err
}

// SendCounting sends a message of an app and returns how many sessions it was queued for. All
// characters arrive as they are, and the data in its order; text that is not UTF-8 is refused.
func (c *Client) SendCounting(ctx context.Context, appID string, to wire.Recipient, m wire.Message) (Sent, error) {
	n := m.Notification
	texts := []string{to.IbID, to.UserID, to.UserGroup, m.Topic, n.Title, n.Body, n.Icon, n.Action}
	for _, p := range m.Data {
		texts = append(texts, p.Key, p.Value)
	}
	if err := checkText(CodeBadRequest, texts...); err != nil {
		return Sent{}, err
	}
	return ask[Sent](ctx, c, "POST", "/messages", messageBody{
		AppID:     appID,
		Recipient: recipientBody{Type: to.Type, IbID: to.IbID, UserID: to.UserID, UserGroup: to.UserGroup},
		Message:   m.AppendJSON(nil),
	})
}

// Import takes over the apps of an old keys file. It does not close file.
func (c *Client) Import(ctx context.Context, file io.Reader) (report ImportReport, err error) {
	err = c.send(ctx, c.imports, "POST", "/import", io.NopCloser(file), readInto(&report))
	return report, err
}

// Export writes all apps as an old keys file.
func (c *Client) Export(ctx context.Context, w io.Writer) error {
	return c.send(ctx, c.calls, "GET", "/export", nil, func(answer io.Reader) error {
		_, err := io.Copy(w, answer)
		return err
	})
}

// Names returns the names of an app that an administrator has given, infobases first,
// each kind by name.
func (c *Client) Names(ctx context.Context, appID string) ([]Name, error) {
	return ask[[]Name](ctx, c, "GET", appPath(appID)+"/names", nil)
}

// ImportNames replaces the names of an app by those of a file; with merge the others
// stay. A file with anything wrong in it changes nothing. It does not close file.
func (c *Client) ImportNames(ctx context.Context, appID string, file io.Reader, merge bool) (report NamesReport,
	err error) {
	path := appPath(appID) + "/names"
	if merge {
		path += "?merge=true"
	}
	err = c.send(ctx, c.imports, "PUT", path, io.NopCloser(file), readInto(&report))
	return report, err
}

// ExportNames writes the names of an app as a file that ImportNames takes.
func (c *Client) ExportNames(ctx context.Context, appID string, w io.Writer) error {
	return c.send(ctx, c.calls, "GET", appPath(appID)+"/names/file", nil, func(answer io.Reader) error {
		_, err := io.Copy(w, answer)
		return err
	})
}

// ClearNames takes all names of an app away.
func (c *Client) ClearNames(ctx context.Context, appID string) (NamesReport, error) {
	return ask[NamesReport](ctx, c, "DELETE", appPath(appID)+"/names", nil)
}

// SetName gives a user or an infobase of an app another name; an empty one takes away
// what it has.
func (c *Client) SetName(ctx context.Context, appID string, n Name) (NamesReport, error) {
	if err := checkText(CodeBadName, n.ID, n.Name); err != nil {
		return NamesReport{}, err
	}
	return ask[NamesReport](ctx, c, "PATCH", appPath(appID)+"/names", n)
}

func appPath(id string) string { return "/apps/" + url.PathEscape(id) }

// checkText refuses text that JSON cannot carry: the encoder would put other
// characters in its place unasked.
func checkText(code string, texts ...string) error {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return &Error{Status: http.StatusBadRequest, Code: code, Message: "the text is not valid UTF-8"}
		}
	}
	return nil
}

// ask makes a request with the JSON of in as its body, unless in is nil, and
// returns the object in the answer.
func ask[T any](ctx context.Context, c *Client, method, path string, in any) (out T, err error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return out, fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	err = c.send(ctx, c.calls, method, path, body, readInto(&out))
	return out, err
}

func readInto(object any) func(io.Reader) error {
	return func(answer io.Reader) error {
		if err := json.NewDecoder(answer).Decode(object); err != nil {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
		return nil
	}
}

// send makes a request and hands the body of a good answer to read.
func (c *Client) send(ctx context.Context, by caller, method, path string, body io.Reader,
	read func(io.Reader) error) error {
	if c.node != "" {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + url.Values{"node": {c.node}}.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://pns/v1"+path, body)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	if c.Lang != "" {
		request.Header.Set("Accept-Language", string(c.Lang))
	}
	response, err := by.Do(request)
	if err != nil {
		if e, ok := errors.AsType[*ConnectError](err); ok {
			return e
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // its URL means nothing to a person
		}
		if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() && ctx.Err() == nil {
			return &ConnectError{Path: c.path, Kind: ConnectFailed, Err: fmt.Errorf("no answer within %v", by.patience)}
		}
		if strings.Contains(err.Error(), "malformed HTTP") {
			return &ConnectError{Path: c.path, Kind: ConnectOther, Err: errors.New("it does not speak HTTP")}
		}
		return fmt.Errorf("talking to the daemon: %s: %w", c.path, err)
	}
	defer response.Body.Close()
	version := response.Header.Get(VersionHeader)
	if version != "" && c.OnVersion != nil {
		c.met.Do(func() { c.OnVersion(version) })
	}
	ours := true
	if response.StatusCode >= 300 {
		err, ours = refusalOf(response)
	} else {
		err = read(response.Body)
		_, noJSON := errors.AsType[*json.SyntaxError](err)
		ours = !noJSON
	}
	if version == "" && !ours {
		return &ConnectError{Path: c.path, Kind: ConnectOther, Err: fmt.Errorf("HTTP %s", response.Status)}
	}
	return err
}

// maxErrorBytes bounds what is read of an answer that should be an error.
const maxErrorBytes = 64 << 10

// refusalOf reads why the daemon refused; ours reports whether it is a daemon that did.
func refusalOf(response *http.Response) (refusal error, ours bool) {
	var body ErrorBody
	err := json.NewDecoder(io.LimitReader(response.Body, maxErrorBytes)).Decode(&body)
	if err != nil || body.Error == nil {
		message := "the daemon answered " + response.Status
		return &Error{Status: response.StatusCode, Code: CodeInternal, Message: message}, false
	}
	body.Error.Status = response.StatusCode
	return body.Error, true
}
