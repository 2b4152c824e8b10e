package netsvc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// patience bounds how long a test waits for what must happen soon.
const patience = 2 * time.Minute

// settings are those of a daemon on free ports of 127.0.0.1 with all its files
// in one folder.
func settings(folder string) config.Config {
	c := config.Default(config.Paths{Data: filepath.Join(folder, "data"),
		Control: filepath.Join(folder, "control.sock")})
	c.Listen = config.Address{Host: "127.0.0.1"}
	c.Service = config.Address{Host: "127.0.0.1"}
	c.LogLevel = config.LevelTrace
	return c
}

// daemon is a Server that runs.
type daemon struct {
	*netsvc.Server
	*control.Client
	t    *testing.T
	stop func() error // ends it and returns what Run returned
}

func start(t *testing.T, o netsvc.Options) *daemon {
	t.Helper()
	server, err := netsvc.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stopped := false
	d := &daemon{Server: server, Client: control.NewClient(o.Config.Control), t: t, stop: func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return d
}

func (d *daemon) create(title string) control.App {
	d.t.Helper()
	a, err := d.CreateApp(context.Background(), title)
	if err != nil {
		d.t.Fatalf("creating an app: %v", err)
	}
	return a
}

// session opens a 1C session and waits until the service has it.
func (d *daemon) session(a control.App, user string) *wire.Client {
	d.t.Helper()
	key, err := wire.ParseClientKey(a.ClientKey)
	if err != nil {
		d.t.Fatal(err)
	}
	before := d.sessions(a.ID)
	addr := fmt.Sprintf("127.0.0.1:%d", d.SessionsPort())
	c, err := wire.Dial(context.Background(), addr, wire.Registration{AppID: a.ID, IbID: "ib", UserID: user}, key)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	eventually(d.t, "the session is registered", func() bool { return d.sessions(a.ID) > before })
	return c
}

func (d *daemon) sessions(appID string) int {
	a, err := d.App(context.Background(), appID)
	if err != nil {
		d.t.Fatal(err)
	}
	return a.Sessions
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (d *daemon) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", d.SendersPort(), path)
}

// authorise gets a token as a sender does, and the status of the answer.
func (d *daemon) authorise(serverKey string) (token string, status int) {
	d.t.Helper()
	response, err := http.Get(d.url("/auth?server_key=" + serverKey))
	if err != nil {
		d.t.Fatal(err)
	}
	return tokenOf(d.t, response), response.StatusCode
}

// tokenOf reads the answer to /auth.
func tokenOf(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Token
}

// send posts a message to all of the infobase and returns the answer's status
// and the number of sessions.
func (d *daemon) send(token, topic string) (status int, sessions string) {
	d.t.Helper()
	body := fmt.Sprintf(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":%q}}`, topic)
	request, err := http.NewRequest("POST", d.url("/sendmessage"), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("X-Delivered-Sessions")
}

func receive(t *testing.T, c *wire.Client) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	text, err := c.Receive()
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return string(text)
}

func ends(t *testing.T, c *wire.Client) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if text, err := c.Receive(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %q and %v, want the connection to end", text, err)
	}
}

func TestAMessageGoesFromASenderToASession(t *testing.T) {
	t.Parallel()
	d := start(t, netsvc.Options{Config: settings(t.TempDir())})
	a := d.create("Моя база")
	c := d.session(a, "ivanov")
	token, status := d.authorise(a.ServerKey)
	if status != 200 {
		t.Fatalf("/auth answered %d", status)
	}
	if status, n := d.send(token, "привет"); status != 200 || n != "1" {
		t.Fatalf("/sendmessage answered %d for %s sessions", status, n)
	}
	if got, want := receive(t, c), `{"topic":"привет"}`; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestAppsAndTokensSurviveARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	d := start(t, netsvc.Options{Config: settings(folder)})
	a := d.create("app")
	token, _ := d.authorise(a.ServerKey)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = start(t, netsvc.Options{Config: settings(folder)})
	c := d.session(a, "u")
	if status, _ := d.send(token, "x"); status != 200 {
		t.Fatalf("a token from before the restart is answered with %d", status)
	}
	receive(t, c)
}

func TestASessionWithAnOldKeyIsServedUntilTheGraceIsOver(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	d := start(t, netsvc.Options{Config: settings(t.TempDir()), Log: slog.NewTextHandler(&log, nil)})
	a := d.create("app")
	older := d.session(a, "older")
	renewed, err := d.RotateClientKey(t.Context(), a.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	newer := d.session(renewed.App, "newer")
	d.sendAll(a, 2)
	receive(t, older)
	receive(t, newer)
	d.logsOnce(&log, `msg="sessions will be closed when their client key ends" app=`+a.ID+" sessions=1 ")
}

func TestEndsSessionsWhenTheGraceOfTheirKeyIsOver(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	d := start(t, netsvc.Options{Config: settings(t.TempDir()), Log: slog.NewTextHandler(&log, nil)})
	a := d.create("app")
	older := d.session(a, "older")
	renewed, err := d.RotateClientKey(t.Context(), a.ID, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	newer := d.session(renewed.App, "newer")
	ends(t, older)
	d.logsOnce(&log, `msg="sessions closed because their key is no longer valid" app=`+a.ID+" sessions=1\n")
	d.sendAll(a, 1)
	receive(t, newer)
}

// sendAll sends a message to all of infobase "ib", of which there are that many.
func (d *daemon) sendAll(a control.App, sessions int) {
	d.t.Helper()
	n, err := d.Send(d.t.Context(), a.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"}, wire.Message{Topic: "x"})
	if err != nil || n != sessions {
		d.t.Fatalf("sent to %d sessions, %v; want %d", n, err, sessions)
	}
}

// logsOnce waits until words are in the log, and sees that they are there once.
func (d *daemon) logsOnce(log *lockedBuffer, words string) {
	d.t.Helper()
	eventually(d.t, "the log has "+words, func() bool { return strings.Contains(log.String(), words) })
	if n := strings.Count(log.String(), words); n != 1 {
		d.t.Errorf("%d times in the log: %s", n, words)
	}
}

func TestANewKeyWithoutGraceEndsTheOldOneAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, netsvc.Options{Config: settings(t.TempDir())})
	ctx := context.Background()
	a := d.create("app")
	c := d.session(a, "u")
	token, _ := d.authorise(a.ServerKey)
	if _, err := d.RotateClientKey(ctx, a.ID, 0); err != nil {
		t.Fatal(err)
	}
	ends(t, c)
	if _, err := d.RotateServerKey(ctx, a.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, status := d.authorise(a.ServerKey); status != 401 {
		t.Errorf("the old server key is answered with %d, want 401", status)
	}
	if status, _ := d.send(token, "x"); status != 401 {
		t.Errorf("a token of the old server key is answered with %d, want 401", status)
	}
}

func TestRemovingAnAppEndsItsSessionsAndTokens(t *testing.T) {
	t.Parallel()
	d := start(t, netsvc.Options{Config: settings(t.TempDir())})
	a := d.create("app")
	c := d.session(a, "u")
	token, _ := d.authorise(a.ServerKey)
	if _, err := d.RemoveApp(context.Background(), a.ID); err != nil {
		t.Fatal(err)
	}
	ends(t, c)
	if status, _ := d.send(token, "x"); status != 401 {
		t.Errorf("its token is answered with %d, want 401", status)
	}
}

// oldKeys is a keys file of the old product with three apps, the second damaged.
const oldKeys = "\ufeff#Бухгалтерия\r\n0f8fad5b-d9cb-469f-a165-70867728950e\r\n" +
	"jwEQmTEjQh9UvCO05JlVsKFh8X5K94Iuw2HbkyteVe3XUcOwjgrESEN8VdCnkcp4\r\n" +
	"IAAAABAAAACuIhXtnw4Yb3vmhLdsIEx1HYXDRq/tlUF4cgOdBPQ9mC1jpOaN/UVko/Fi3HMX7/E=\r\n" +
	"ytO9ipwxUCUyp2SiIOhhWNKSyEpOcjmhJbVFKqFlFLMzA4z6OASv9nI5e36QioET:637812345678901234\r\n\r\n" +
	"#Damaged\r\nnot an id\r\nx\r\ny\r\n" +
	"#Web shop\r\n1f8fad5b-d9cb-469f-a165-70867728950e\r\n" +
	"kwEQmTEjQh9UvCO05JlVsKFh8X5K94Iuw2HbkyteVe3XUcOwjgrESEN8VdCnkcp4\r\n" +
	"IAAAABAAAACgfXBYuAYLYyvYVZIFNJmxKzyzDWcgJ+//DOda6CjOHkDA2BYycCi1fNz7zfl00UU=\r\n"

func TestTakesOverTheOldKeysOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "keys")
	if err := os.WriteFile(path, []byte(oldKeys), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	options := netsvc.Options{Config: settings(folder), OldKeys: []string{path}, Log: slog.NewTextHandler(&log, nil)}
	d := start(t, options)
	if report := d.OldKeys().Report; report == nil || len(report.Imported) != 2 || len(report.Problems) != 1 {
		t.Fatalf("reported %+v, want two apps and one problem", report)
	}
	apps, err := d.Client.Apps(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		d.session(a, "u")
		token, status := d.authorise(a.ServerKey)
		if status != 200 {
			t.Fatalf("%s: /auth answered %d", a.Title, status)
		}
		if status, n := d.send(token, "x"); status != 200 || n != "1" {
			t.Fatalf("%s: /sendmessage answered %d for %s sessions", a.Title, status, n)
		}
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "kwEQmTEjQh9") || strings.Contains(log.String(), "IAAAABAAAAC") {
		t.Error("a key is in the log")
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != oldKeys {
		t.Errorf("the old file was touched: %v", err)
	}
	// An app that is removed must not come back with the next start.
	d = start(t, options)
	if _, err := d.RemoveApp(context.Background(), apps[0].ID); err != nil {
		t.Fatal(err)
	}
	d.stop()
	d = start(t, options)
	if n := d.Server.Apps(); n != 1 || d.OldKeys().Report != nil {
		t.Fatalf("%d apps after the restart, want 1", n)
	}
}

func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	takenAddress := config.Address{Host: "127.0.0.1", Port: taken.Addr().(*net.TCPAddr).Port}
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *config.Config)
		is      func(error) bool
	}{
		{"the senders' address is in use", func(t *testing.T, c *config.Config) { c.Listen = takenAddress },
			func(err error) bool {
				e, ok := errors.AsType[*netsvc.ListenError](err)
				return ok && e.Setting == "listen" && errors.Is(err, syscall.EADDRINUSE)
			}},
		{"the sessions' address is in use", func(t *testing.T, c *config.Config) { c.Service = takenAddress },
			func(err error) bool {
				e, ok := errors.AsType[*netsvc.ListenError](err)
				return ok && e.Setting == "service"
			}},
		{"the database is damaged", func(t *testing.T, c *config.Config) {
			if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.DataDir, "pns4ones.db"), []byte("not a database"),
				0o600); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool { return errors.Is(err, app.ErrDamaged) }},
		{"the control channel belongs to another daemon", func(t *testing.T, c *config.Config) {
			other := settings(t.TempDir())
			other.Control = c.Control
			start(t, netsvc.Options{Config: other})
		}, func(err error) bool { return errors.Is(err, socket.ErrInUse) }},
		{"the database belongs to another daemon", func(t *testing.T, c *config.Config) {
			other := settings(t.TempDir())
			other.DataDir = c.DataDir
			start(t, netsvc.Options{Config: other})
		}, func(err error) bool { return errors.Is(err, app.ErrLocked) }},
		{"the old keys cannot be read", func(t *testing.T, c *config.Config) {
			if err := os.Mkdir(oldKeysPath(c), 0o700); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool {
			_, ok := errors.AsType[*netsvc.OldKeysError](err)
			return ok
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := settings(t.TempDir())
			tt.prepare(t, &c)
			before := tree(t, filepath.Dir(c.DataDir))
			_, err := netsvc.Open(context.Background(), netsvc.Options{Config: c, OldKeys: []string{oldKeysPath(&c)}})
			if err == nil {
				t.Fatal("it started")
			}
			if !tt.is(err) {
				t.Fatalf("not told apart: %v", err)
			}
			if tt.name == "the control channel belongs to another daemon" {
				// The database was made by then; it must be gone, or the next start
				// would not import the old keys.
				if _, err := os.Lstat(c.DataDir); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the data folder is still there: %v", err)
				}
				return
			}
			if after := tree(t, filepath.Dir(c.DataDir)); after != before {
				t.Errorf("the folder was changed from\n%sto\n%s", before, after)
			}
		})
	}
}

func oldKeysPath(c *config.Config) string { return filepath.Join(filepath.Dir(c.DataDir), "keys") }

// tree lists the files below a folder with their sizes and times.
func tree(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestServesOnlyTheAllowedNetwork(t *testing.T) {
	t.Parallel()
	c := settings(t.TempDir())
	network, err := config.ParseAddress("127.1.0.0:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Listen = network
	d := start(t, netsvc.Options{Config: c})
	get := func(from, to string) error {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		response, err := client.Get(fmt.Sprintf("http://%s:%d/auth", to, d.SendersPort()))
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	if err := get("127.1.2.3", "127.1.0.1"); err != nil {
		t.Errorf("a peer inside is not served: %v", err)
	}
	if err := get("127.0.0.1", "127.0.0.1"); err == nil {
		t.Error("a peer outside is served")
	}
}

// TestLeavesNothingBehind runs alone, for it counts goroutines.
func TestLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	folder := t.TempDir()
	d := start(t, netsvc.Options{Config: settings(folder)})
	a := d.create("app")
	c := d.session(a, "u")
	token, _ := d.authorise(a.ServerKey)
	d.send(token, "x")
	receive(t, c)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	ends(t, c)
	c.Close()
	http.DefaultClient.CloseIdleConnections()
	d.Client.Close()
	eventually(t, "goroutines are back to what they were", func() bool { return runtime.NumGoroutine() <= before })
	if _, err := os.Lstat(filepath.Join(folder, "control.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
}

// TestLooksForTheOldKeysInSeveralPlaces: the first file that is there is taken, and
// one with other apps is named, for somebody may be missing them.
func TestLooksForTheOldKeysInSeveralPlaces(t *testing.T) {
	t.Parallel()
	const one = "#One\n0f8fad5b-d9cb-469f-a165-70867728950e\n" +
		"jwEQmTEjQh9UvCO05JlVsKFh8X5K94Iuw2HbkyteVe3XUcOwjgrESEN8VdCnkcp4\n" +
		"IAAAABAAAACuIhXtnw4Yb3vmhLdsIEx1HYXDRq/tlUF4cgOdBPQ9mC1jpOaN/UVko/Fi3HMX7/E=\n"
	const two = "#Two\n1f8fad5b-d9cb-469f-a165-70867728950e\n" +
		"kwEQmTEjQh9UvCO05JlVsKFh8X5K94Iuw2HbkyteVe3XUcOwjgrESEN8VdCnkcp4\n" +
		"IAAAABAAAACgfXBYuAYLYyvYVZIFNJmxKzyzDWcgJ+//DOda6CjOHkDA2BYycCi1fNz7zfl00UU=\n"
	tests := []struct {
		name          string
		first, second string // empty: not there
		file          int    // the one taken over: 1, 2; 0: none
		other         bool   // the second is named
	}{
		{"nowhere", "", "", 0, false},
		{"in the first place", one, "", 1, false},
		{"in the second place", "", one, 2, false},
		{"the same in both", one, "\n" + one, 1, false},
		{"part of it in the second", one + two, two, 1, false},
		{"another app in the second", one, two, 1, true},
		{"another key in the second", one, strings.Replace(one, "jwEQ", "xwEQ", 1), 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			places := []string{filepath.Join(folder, "first"), filepath.Join(folder, "second")}
			for i, content := range []string{tt.first, tt.second} {
				if content == "" {
					continue
				}
				if err := os.WriteFile(places[i], []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var log lockedBuffer
			d := start(t, netsvc.Options{Config: settings(folder), OldKeys: places,
				Log: slog.NewTextHandler(&log, nil)})
			old := d.OldKeys()
			if !slices.Equal(old.Looked, places) {
				t.Errorf("looked at %q", old.Looked)
			}
			if tt.file == 0 {
				if old.Report != nil || old.File != "" {
					t.Errorf("took over %q", old.File)
				}
			} else if old.File != places[tt.file-1] || old.Report == nil ||
				d.Server.Apps() != len(old.Report.Imported) {
				t.Errorf("took over %q: %+v", old.File, old.Report)
			}
			if named := slices.Equal(old.Other, places[1:]); named != tt.other || len(old.Other) > 0 != tt.other {
				t.Errorf("named are %q", old.Other)
			}
			if logged := strings.Contains(log.String(), "file="+places[1]+" imported="+places[0]); logged != tt.other {
				t.Errorf("the log has\n%s", log.String())
			}
		})
	}
}
