package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
)

// TestHealthIsToldToMonitors: a monitor asks every few seconds, and knows only statuses.
func TestHealthIsToldToMonitors(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		stopping bool
		cluster  string // empty: the daemon is alone
		query    string
		status   int
		body     string
	}{
		"it serves":              {false, "", "", http.StatusOK, `{"status":"ok"}`},
		"it is ending":           {true, "", "", http.StatusServiceUnavailable, `{"status":"stopping","reason":"the service is ending`},
		"it is live":             {false, "live", "?cluster", http.StatusOK, `{"status":"ok"}`},
		"it is joining":          {false, "joining", "?cluster", http.StatusOK, `{"status":"joining"}`},
		"it is cut off":          {false, "cut_off", "", http.StatusOK, `{"status":"cut_off"}`},
		"it is cut off, as part": {false, "cut_off", "?cluster", http.StatusServiceUnavailable, `{"status":"cut_off"}`},
		"it is refused":          {false, "refused", "", http.StatusOK, `{"status":"refused"}`},
		"it is refused, as part": {false, "refused", "?cluster", http.StatusServiceUnavailable, `{"status":"refused"}`},
		"it is ending, cut off":  {true, "cut_off", "", http.StatusServiceUnavailable, `{"status":"stopping","reason":`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info := server.Info{Stopping: want.stopping}
			if want.cluster != "" {
				info.Cluster = &control.Cluster{State: want.cluster}
			}
			d := start(t, func() server.Info { return info })
			if got := d.do("GET", "/v1/healthz"+want.query, ""); got.status != want.status ||
				!strings.HasPrefix(got.body, want.body) {
				t.Errorf("got %d %s, want %d %s…", got.status, got.body, want.status, want.body)
			}
			if d.log.String() != "" {
				t.Errorf("it is logged: %s", d.log)
			}
		})
	}
}
