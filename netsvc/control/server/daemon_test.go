package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

// now is the registry's clock.
var now = time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC)

// daemon is a control channel over a real registry and hub.
type daemon struct {
	*control.Client
	t        testing.TB
	path     string
	apps     *app.Registry
	hub      *hub.Hub
	sessions string // address for 1C sessions
	log      *testlog.Buffer
	logger   *slog.Logger
	history  *history.History
	server   *server.Server
	stats    *stats.Recorder
	level    config.Level // as it was set
	reload   func(locale.Lang) (control.ReloadReport, error)
	upgrade  func(context.Context) (id string, err error)
	publish  hub.Publisher // nil: by the hub alone
	stop     func()
	// told is called before the hub is told of a change; nil: nothing is.
	told func()
}

// start runs a daemon until the end of the test. info nil: the simplest. more sets further
// options.
func start(t testing.TB, info func() server.Info, more ...func(*server.Options)) *daemon {
	t.Helper()
	path := sockettest.Path(t)
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatalf("opening the channel: %v", err)
	}
	return serve(t, path, ln, info, more...)
}

func serve(t testing.TB, path string, ln net.Listener, info func() server.Info,
	more ...func(*server.Options)) *daemon {
	t.Helper()
	d := &daemon{t: t, path: path, log: new(testlog.Buffer), Client: control.NewClient(path)}
	logger := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	records := logring.New(logger.Handler(), slog.LevelDebug)
	logger = slog.New(records)
	past, latency := history.New(), stats.NewLatency()
	d.hub = hub.New(hub.Options{Logger: logger, Observe: past.Observe, Latency: latency.Observe,
		Unmet: func(appID string, to wire.Recipient) { past.Unmet(appID, to) }})
	var err error
	d.apps, err = app.Open(filepath.Join(t.TempDir(), "pns4ones.db"),
		app.Options{Now: func() time.Time { return now }, Changed: d.changed})
	if err != nil {
		t.Fatalf("opening the registry: %v", err)
	}
	sessions, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.sessions = sessions.Addr().String()
	if info == nil {
		info = func() server.Info { return server.Info{} }
	}
	measured := stats.New(stats.Sources{
		Hub: d.hub.Stats, Apps: d.apps.List, AppStats: d.hub.AppStats, Latency: latency,
		HTTP:         func() httpapi.Stats { return httpapi.Stats{} },
		Rejected:     func() map[string]uint64 { return map[string]uint64{"listen": 0} },
		TLSExpiresAt: func() time.Time { return time.Time{} },
		TokenUse:     d.apps.TokenUse,
		LastHandover: func() *stats.Handover { return nil },
		Database:     func() bool { return true },

		UpgradeFailed: func() bool { return false },
	})
	d.history, d.logger, d.stats = past, logger, measured
	publish := func(ctx context.Context, appID string, to wire.Recipient, m wire.Message) hub.Delivery {
		if d.publish != nil {
			return d.publish(ctx, appID, to, m)
		}
		return d.hub.Alone(ctx, appID, to, m)
	}
	options := server.Options{
		Version: "1.2.3", Apps: d.apps, Hub: d.hub, Publish: publish, Log: records, History: past, Stats: measured,
		Info: info, Logger: logger,
		Reload:      func(lang locale.Lang) (control.ReloadReport, error) { return d.reload(lang) },
		HandingOver: d.hub.Frozen, SetLogLevel: func(level config.Level) { d.level = level },
		Upgrade: func(ctx context.Context) (string, error) { return d.upgrade(ctx) },
	}
	for _, set := range more {
		set(&options)
	}
	d.server = server.New(options)
	served := make(chan error, 2)
	go func() { served <- d.server.Serve(ln) }()
	go func() { served <- d.hub.Serve(sessions) }()
	d.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		d.Client.Close()
		results := []error{d.server.Shutdown(ctx), d.hub.Shutdown(ctx), <-served, <-served, d.apps.Close()}
		if err := errors.Join(results...); err != nil {
			t.Errorf("ending the daemon: %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

// changed lets the hub know of an app as the real daemon does.
func (d *daemon) changed(id string, a *app.App) {
	if d.told != nil {
		d.told()
	}
	if a == nil {
		d.hub.RemoveApp(id)
		return
	}
	var keys []hub.Key
	for _, k := range a.ClientKeys {
		keys = append(keys, hub.Key{Generation: k.Generation, Secret: parseKey(d.t, k.Key)})
	}
	d.hub.SetApp(id, keys)
}

func parseKey(t testing.TB, text string) *wire.ClientKey {
	t.Helper()
	key, err := wire.ParseClientKey(text)
	if err != nil {
		t.Fatalf("client key: %v", err)
	}
	return key
}

// newApp creates an app through the channel.
func (d *daemon) newApp(title string) control.App {
	d.t.Helper()
	a, err := d.CreateApp(d.t.Context(), title)
	if err != nil {
		d.t.Fatalf("creating the app %q: %v", title, err)
	}
	return a
}

// connect opens a 1C session and waits until the hub has it.
func (d *daemon) connect(a control.App, ib, user, group string, said ...wire.Attribute) *wire.Client {
	d.t.Helper()
	before, _ := d.hub.AppSessions(a.ID)
	who := wire.Registration{AppID: a.ID, IbID: ib, UserID: user, UserGroup: group}
	c, err := wire.Dial(d.t.Context(), d.sessions, who, parseKey(d.t, a.ClientKey), said...)
	if err != nil {
		d.t.Fatalf("connecting a session: %v", err)
	}
	d.t.Cleanup(func() { c.Close() })
	eventually(d.t, "the session is registered", func() bool {
		after, _ := d.hub.AppSessions(a.ID)
		return after > before
	})
	return c
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// expect receives a message and compares it.
func expect(t *testing.T, c *wire.Client, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got, err := c.Receive()
	if err != nil {
		t.Fatalf("receiving: %v", err)
	}
	if string(got) != want {
		t.Errorf("received %s\n    want %s", got, want)
	}
}

// ended waits for the end of a session.
func ended(t *testing.T, c *wire.Client) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if got, err := c.Receive(); err != io.EOF {
		t.Fatalf("received %s (%v), want the end of the session", got, err)
	}
}

// answer is what came back for a raw request.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the code of the error in the answer.
func (a answer) code(t testing.TB) string {
	t.Helper()
	var body struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Error.Code == "" || body.Error.Message == "" {
		t.Fatalf("status %d with %q, want an error object (%v)", a.status, a.body, err)
	}
	return body.Error.Code
}

// do makes a request as a program that is not ours would.
func (d *daemon) do(method, target, body string, header ...string) answer {
	d.t.Helper()
	return d.doReading(method, target, strings.NewReader(body), header...)
}

func (d *daemon) doReading(method, target string, body io.Reader, header ...string) answer {
	d.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return socket.Dial(ctx, d.path) },
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequest(method, "http://pns"+target, body)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatalf("%s %s: reading the answer: %v", method, target, err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// refused checks the status and the code of an error.
func refused(t *testing.T, err error, status int, code string) *control.Error {
	t.Helper()
	refusal, ok := errors.AsType[*control.Error](err)
	if !ok {
		t.Fatalf("got %v, want a refusal %d %s", err, status, code)
	}
	if refusal.Status != status || refusal.Code != code {
		t.Errorf("got %d %s (%s), want %d %s", refusal.Status, refusal.Code, refusal.Message, status, code)
	}
	return refusal
}

// discard is a logger for what nobody looks at.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
