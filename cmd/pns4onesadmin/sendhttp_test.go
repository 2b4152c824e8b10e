package main

import (
	"net/http"
	"net/http/httptest"
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
