package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// overHTTP is a message to be sent to url.
func overHTTP(url string) *sending {
	return &sending{
		url: url, serverKey: "the-server-key",
		to:      wire.Recipient{Type: wire.ToAll, IbID: "demo"},
		message: wire.Message{Notification: wire.Notification{Title: "x"}},
	}
}

func TestSendingOverHTTPTakesTheServerKeyNowhereElse(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(elsewhere.Close)
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirecting.Close)

	_, err := sendOverHTTP(t.Context(), overHTTP(redirecting.URL))
	if err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("the error is %v, want one that says 307", err)
	}
	if reached.Load() {
		t.Error("the redirect was followed")
	}
}

func TestErrorsOfSendingOverHTTPNeverShowTheServerKey(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	answering := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	for name, url := range map[string]string{
		"nobody there":     gone.URL,
		"refused":          answering(http.StatusUnauthorized, `{"error":"bad \u001b[2J key"}`),
		"not the service":  answering(http.StatusOK, "<html>"),
		"no token":         answering(http.StatusOK, "{}"),
		"no URL":           "http://a b",
		"no host":          "http://",
		"an unknown world": "gopher://localhost",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sendOverHTTP(t.Context(), overHTTP(url))
			if err == nil {
				t.Fatal("it was sent")
			}
			if text := err.Error(); strings.Contains(text, "the-server-key") || strings.Contains(text, "\x1b") {
				t.Errorf("the error is %q", text)
			}
		})
	}
}

// The sender's way names no nodes, but says how many did not confirm.
func TestSendingOverHTTPSaysHowManyNodesDidNotConfirm(t *testing.T) {
	t.Parallel()
	var sent atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth" {
			w.Write([]byte(`{"access_token":"t"}`))
			return
		}
		w.Header().Set("X-Delivered-Sessions", "3")
		if n := sent.Add(1); n < 3 { // each confirms the last one
			w.Header().Set("X-Unconfirmed-Nodes", strconv.Itoa(int(3-n)))
		}
	}))
	t.Cleanup(service.Close)
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), &program{
		args: []string{"--lang", "en", "send", "--http", service.URL, "--server-key", "k", "--ib", "demo",
			"--user", "ann", "--user", "bob", "--user", "zoe", "--json", "text"},
		getenv: func(string) string { return "" },
		stdin:  strings.NewReader(""), stdout: &stdout, stderr: &stderr,
	})
	if status != exitDone || !strings.HasPrefix(stdout.String(), `{"sessions":9,"unconfirmed":2,"recipients":[`) {
		t.Errorf("exit status %d with %s", status, &stdout)
	}
	if !strings.Contains(stderr.String(), "as far as 2 nodes is not known") {
		t.Errorf("said: %s", &stderr)
	}
}
