package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control/server"
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
			if got := d.do("GET", "/v1/healthz", ""); got.status != want.status ||
				!strings.HasPrefix(got.body, want.body) {
				t.Errorf("got %d %s, want %d %s…", got.status, got.body, want.status, want.body)
			}
			if d.log.String() != "" {
				t.Errorf("it is logged: %s", d.log)
			}
		})
	}
}
