package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
)

func TestSaysOnceThatTheDaemonIsOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		daemon string // in its answers; empty: it does not say
		want   string // on stderr
	}{
		"the same version": {version, ""},
		"another version": {"9.8.7", "The daemon is version 9.8.7, this program is version " + version +
			".\n"},
		"a daemon from before there was": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), &program{
				args:   []string{"--control", answerAs(t, test.daemon), "--lang", "en", "sessions"}, // asks twice
				getenv: func(string) string { return "" },
				stdin:  strings.NewReader(""), stdout: &stdout, stderr: &stderr,
			})
			if status != exitDone || !strings.HasPrefix(stdout.String(), "No.") {
				t.Errorf("exit status %d with %q", status, stdout.String())
			}
			if stderr.String() != test.want {
				t.Errorf("stderr: %q, want %q", stderr.String(), test.want)
			}
		})
	}
}

// answerAs is a daemon of some version without apps and sessions, until the end of
// the test. It returns where its control channel is.
func answerAs(t *testing.T, version string) (path string) {
	t.Helper()
	return answerWith(t, func(w http.ResponseWriter, r *http.Request) {
		if version != "" {
			w.Header().Set(control.VersionHeader, version)
		}
		if r.URL.Path == "/v1/apps" {
			io.WriteString(w, "[]")
			return
		}
		io.WriteString(w, "{}")
	})
}

// answerWith is a daemon that answers with handle until the end of the test. It returns where
// its control channel is.
func answerWith(t *testing.T, handle http.HandlerFunc) (path string) {
	t.Helper()
	path = sockettest.Path(t)
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return path
}
