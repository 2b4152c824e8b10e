package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// oldProcess is a daemon with the process id 10 that always answers the same.
func oldProcess(t *testing.T, status string) *control.Client {
	t.Helper()
	folder, err := os.MkdirTemp("", "pns") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "control.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, status)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	client := control.NewClient(path)
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-served
	})
	return client
}

func TestWhatWasWaitedForInVainIsSaid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		client *control.Client
		id     string
		ru, en string // parts of the messages
	}{
		{"no record of this upgrade",
			oldProcess(t, `{"pid":10,"upgrade_failed":"an earlier one","last_handover":{"id":"an earlier one"}}`),
			"7f3a",
			"отвечает прежний процесс (10)", "the old process (10) answers"},
		{"no other process", oldProcess(t, `{"pid":10,"last_handover":{"id":""}}`), "", "отвечает прежний процесс (10)",
			"the old process (10) answers"},
		{"nobody", control.NewClient(filepath.Join(t.TempDir(), "nothing")), "7f3a",
			"ни прежний процесс (10), ни новый",
			"neither the old process (10) nor a new one has answered. Sessions before: 5000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			defer test.client.Close()
			_, err := awaitOutcome(t.Context(), test.client, control.Status{PID: 10, Sessions: 5000}, test.id,
				10*time.Millisecond, 0)
			for lang, part := range map[locale.Lang]string{locale.Russian: test.ru, locale.English: test.en} {
				p := &program{text: locale.New(lang)}
				if got := p.errorText(err); exitStatus(err) != exitFailed || !strings.Contains(got, part) {
					t.Errorf("%s: exit status %d with %q, want %q in it", lang, exitStatus(err), got, part)
				}
			}
		})
	}
}

func TestAPersonMayStopWaitingForAnUpgrade(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := awaitOutcome(ctx, oldProcess(t, `{"pid":10}`), control.Status{PID: 10}, "7f3a", patience,
		patience); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
