package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// TestHealthIsToldToMonitors: a monitor asks every few seconds, and knows only statuses.
func TestHealthIsToldToMonitors(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		stopping bool
		status   int
		body     string
	}{
		"it serves":    {false, http.StatusOK, `{"status":"ok"}`},
		"it is ending": {true, http.StatusServiceUnavailable, `{"status":"stopping","reason":"the service is ending`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, func() server.Info { return server.Info{Stopping: want.stopping} })
			status, body := d.health()
			if status != want.status || !strings.HasPrefix(body, want.body) {
				t.Errorf("got %d %s, want %d %s…", status, body, want.status, want.body)
			}
			if d.log.String() != "" {
				t.Errorf("it is logged: %s", d.log)
			}
		})
	}
}

// health asks as curl --unix-socket does.
func (d *daemon) health() (status int, body string) {
	d.t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return socket.Dial(ctx, d.path) }}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("http://pns/v1/healthz")
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
