package httpapi_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/testclock"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

// service is the whole path of a message: registry, hub, HTTP interface, each
// on a port of its own.
type service struct {
	t        testing.TB
	apps     *app.Registry
	hub      *hub.Hub
	http     *httpapi.Server
	address  string // of the HTTP interface
	url      string
	sessions string // address of the hub
	log      *testlog.Buffer
	clock    *testclock.Clock // the registry's
	stop     func()
}

// start runs a service until the end of the test. construct nil is
// httpapi.New.
func start(t testing.TB, o httpapi.Options, construct func(httpapi.Options) *httpapi.Server) *service {
	t.Helper()
	logger, out := testlog.New()
	s := &service{t: t, log: out, clock: testclock.New(time.Now())}
	s.hub = hub.New(hub.Options{Logger: logger})
	apps, err := app.Open(filepath.Join(t.TempDir(), "pns4ones.db"), app.Options{Now: s.clock.Now, Changed: s.changed})
	if err != nil {
		t.Fatalf("opening the registry: %v", err)
	}
	s.apps = apps
	o.Apps, o.Logger, o.Limits = s.apps, logger, complete(o.Limits)
	if o.Publish == nil {
		o.Publish = s.hub.Alone
	}
	if construct == nil {
		construct = httpapi.New
	}
	s.http = construct(o)
	senders, sessions := listen(t), listen(t)
	s.address, s.sessions = senders.Addr().String(), sessions.Addr().String()
	s.url = "http://" + s.address
	if o.Certificate != nil {
		s.url = "https://" + s.address
	}
	served := runAll(func() error { return s.http.Serve(senders) }, func() error { return s.hub.Serve(sessions) })
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			t.Errorf("shutting down the HTTP interface: %v", err)
		}
		if err := s.hub.Shutdown(ctx); err != nil {
			t.Errorf("shutting down the hub: %v", err)
		}
		for range 2 {
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
		if err := s.apps.Close(); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// complete sets the limits that a test has nothing to say about.
func complete(l httpapi.Limits) httpapi.Limits {
	l.TokenLifetime = cmp.Or(l.TokenLifetime, time.Hour)
	l.ExpiresIn = cmp.Or(l.ExpiresIn, config.EpochAuto)
	l.MaxMessageBytes = cmp.Or(l.MaxMessageBytes, 1<<20)
	return l
}

// runAll runs the functions and collects their results.
func runAll(functions ...func() error) chan error {
	results := make(chan error, len(functions))
	for _, f := range functions {
		go func() { results <- f() }()
	}
	return results
}

func (s *service) changed(id string, a *app.App) {
	if a == nil {
		s.hub.RemoveApp(id)
		return
	}
	var keys []hub.Key
	for _, k := range a.ClientKeys {
		secret, err := wire.ParseClientKey(k.Key)
		if err != nil {
			s.t.Errorf("client key of a new app: %v", err)
		}
		keys = append(keys, hub.Key{Generation: k.Generation, Secret: secret})
	}
	s.hub.SetApp(id, keys)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func (s *service) newApp(title string) *app.App {
	s.t.Helper()
	a, err := s.apps.Create(title)
	if err != nil {
		s.t.Fatalf("creating an app: %v", err)
	}
	return a
}

// connect is a 1C session of the app.
func (s *service) connect(a *app.App, ib, user, group string) *wire.Client {
	s.t.Helper()
	key, err := wire.ParseClientKey(a.ClientKeys[0].Key)
	if err != nil {
		s.t.Fatal(err)
	}
	before, _ := s.hub.AppSessions(a.ID)
	c, err := wire.Dial(context.Background(), s.sessions,
		wire.Registration{AppID: a.ID, IbID: ib, UserID: user, UserGroup: group}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	eventually(s.t, "the session to be registered", func() bool {
		now, _ := s.hub.AppSessions(a.ID)
		return now > before
	})
	return c
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// wantReceived expects the next message of the session.
func wantReceived(t testing.TB, c *wire.Client, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got, err := c.Receive()
	if err != nil {
		t.Fatalf("receiving: %v", err)
	}
	if string(got) != want {
		t.Errorf("received %s\nwant     %s", got, want)
	}
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
	proto  string
	last   bool // it says Connection: close
}

// client does not follow redirects, so that one would be seen.
func client() *http.Client {
	return &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *service) do(c *http.Client, method, target string, header http.Header, body io.Reader) answer {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+target, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := c.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	return read(s.t, response)
}

func read(t testing.TB, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answer{response.StatusCode, response.Header, string(data), response.Proto, response.Close}
}

func (s *service) get(target string) answer {
	s.t.Helper()
	return s.do(client(), http.MethodGet, target, nil, nil)
}

func (s *service) send(token, body string) answer {
	s.t.Helper()
	return s.do(client(), http.MethodPost, "/sendmessage", bearer(token), strings.NewReader(body))
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// token is what /auth would give the app's sender.
func (s *service) token(a *app.App) string {
	s.t.Helper()
	token, err := s.apps.Authorize(a.ServerKeys[0].Key, time.Hour)
	if err != nil {
		s.t.Fatalf("authorising: %v", err)
	}
	return token.Value
}

type authAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
}

func (s *service) authorize(a *app.App, userAgent string) authAnswer {
	s.t.Helper()
	got := s.do(client(), http.MethodGet, "/auth?server_key="+a.ServerKeys[0].Key,
		http.Header{"User-Agent": {userAgent}},
		nil)
	if got.status != http.StatusOK {
		s.t.Fatalf("/auth: %d %s", got.status, got.body)
	}
	var result authAnswer
	if err := json.Unmarshal([]byte(got.body), &result); err != nil {
		s.t.Fatalf("/auth: %v in %s", err, got.body)
	}
	return result
}

// wantError expects a status with a JSON error that contains text.
func (a answer) wantError(t testing.TB, status int, text string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d; body %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q, want application/json", got)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body) != 1 || body["error"] == "" {
		t.Fatalf("body %q (%v), want {\"error\": …}", a.body, err)
	}
	if !strings.Contains(body["error"], text) {
		t.Errorf("error %q, want it to say %q", body["error"], text)
	}
}

func (a answer) wantSent(t testing.TB, sessions int) {
	t.Helper()
	if a.status != http.StatusOK || a.body != "" {
		t.Errorf("got %d %q, want 200 with an empty body", a.status, a.body)
	}
	if got := a.header.Get("X-Delivered-Sessions"); got != fmt.Sprint(sessions) {
		t.Errorf("X-Delivered-Sessions %q, want %d", got, sessions)
	}
}

// rawConn is a sender that writes its bytes by hand.
type rawConn struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (s *service) raw() *rawConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if strings.HasPrefix(s.url, "https:") {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	conn.SetDeadline(time.Now().Add(patience))
	return &rawConn{conn, s.t, bufio.NewReader(conn)}
}

// write sends lines ended by CRLF, and the empty line after them.
func (c *rawConn) writeHeader(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		c.t.Fatalf("writing: %v", err)
	}
}

func (c *rawConn) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("writing: %v", err)
	}
}

func (c *rawConn) read() answer {
	c.t.Helper()
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("reading the answer: %v", err)
	}
	return read(c.t, response)
}

// wantClosed expects the server to have nothing more to say.
func (c *rawConn) wantClosed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); len(rest) > 0 || err != nil {
		c.t.Errorf("got %q, %v; want the end of the connection", rest, err)
	}
}
