package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
)

func TestTheClientWaitsForADaemonThatIsStarting(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	c := control.NewClient(path)
	c.Wait = patience
	got := make(chan error, 1)
	go func() {
		_, err := c.Status(context.Background())
		got <- err
	}()
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, path, ln, nil)
	if err := <-got; err != nil {
		t.Errorf("got %v from a daemon that was starting", err)
	}
	c.Close()
}

func TestTheClientSurvivesARestartOfTheDaemon(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	c := control.NewClient(path)
	defer c.Close()
	for range 3 {
		ln, err := socket.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		d := serve(t, path, ln, nil)
		for range 2 {
			if _, err := c.Status(t.Context()); err != nil {
				t.Fatalf("after a restart: %v", err)
			}
		}
		if _, err := c.CreateApp(t.Context(), "one"); err != nil {
			t.Fatalf("after a restart: %v", err)
		}
		d.stop()
		_, err = c.Status(t.Context())
		if e, ok := errors.AsType[*control.ConnectError](err); !ok || e.Kind != control.ConnectMissing {
			t.Fatalf("after the end: %v, want no daemon", err)
		}
	}
}

func TestManyCallersAreServedAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a, err := d.CreateApp(t.Context(), "one")
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := d.RotateClientKey(t.Context(), a.ID, time.Hour); err != nil {
				t.Error(err)
			}
			if _, err := d.Sessions(t.Context(), control.SessionQuery{AppID: a.ID}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if apps, err := d.Apps(t.Context()); err != nil || len(apps) != 20 {
		t.Errorf("there are %d apps (%v), want 20", len(apps), err)
	}
}

func TestARequestThatIsNoHTTPIsRefused(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for _, text := range []string{"hello\r\n\r\n", "\x16\x03\x01\x00\x05hello\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"} {
		conn, err := socket.Dial(t.Context(), d.path)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		go io.WriteString(conn, text) // its end may find nobody reading
		got, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, net.ErrClosed) && len(got) == 0 ||
			!strings.HasPrefix(string(got), "HTTP/1.1 4") {
			t.Errorf("%.20q: answered %q, %v", text, got, err)
		}
		conn.Close()
	}
	if _, err := d.Status(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
