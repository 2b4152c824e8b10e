package main

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// A daemon of an older version goes on until it is upgraded, and refuses kinds of events that
// it does not know.
func TestEventsOfAnOlderDaemon(t *testing.T) {
	t.Parallel()
	known := []string{control.EventSessionOpened, control.EventAppChanged, control.EventStatistics}
	path := answerWith(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/apps" {
			io.WriteString(w, "[]")
			return
		}
		for kind := range strings.SplitSeq(r.URL.Query().Get("event"), ",") {
			if kind != "" && !slices.Contains(known, kind) {
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, `{"error":{"code":"bad_request","message":"event `+kind+`"}}`)
				return
			}
		}
		io.WriteString(w, `{"time":"2026-01-02T03:04:05Z","event":"statistics","statistics":{}}`+"\n"+
			`{"time":"2026-01-02T03:04:06Z","event":"app_changed","app_id":"a","title":"Trade","change":"created"}`+"\n")
	})
	for _, test := range []struct {
		name  string
		flags []string
		lines int
	}{
		{"all but statistics", nil, 1},
		{"statistics, for they are asked for", []string{"--event", "statistics,app_changed"}, 2},
		{"all, for a script", []string{"--json"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), &program{
				args:   append([]string{"--control", path, "--lang", "en", "events", "--once"}, test.flags...),
				getenv: func(string) string { return "" },
				stdin:  strings.NewReader(""), stdout: &stdout, stderr: &stderr,
			})
			if status != exitDone || strings.Count(stdout.String(), "\n") != test.lines {
				t.Errorf("exit status %d with %q, %s: want %d lines", status, stdout.String(), stderr.String(), test.lines)
			}
		})
	}
}
