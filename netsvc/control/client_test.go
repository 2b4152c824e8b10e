package control_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
)

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

// unreachable checks that the daemon was found to be unreachable, and why.
func unreachable(t *testing.T, err error, path string, kind control.ConnectKind) {
	t.Helper()
	e, ok := errors.AsType[*control.ConnectError](err)
	if !ok || e.Kind != kind || e.Path != path || e.Err == nil {
		t.Fatalf("got %v, want a ConnectError of kind %d", err, kind)
	}
	if n := strings.Count(err.Error(), path); n != 1 {
		t.Errorf("%q names the path %d times", err, n)
	}
}

func TestNoDaemonIsToldApart(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	c := control.NewClient(path)
	_, err := c.Status(t.Context())
	unreachable(t, err, path, control.ConnectMissing)
	if err := c.Export(t.Context(), io.Discard); err == nil {
		t.Error("exported from no daemon")
	}
	_, err = c.Import(t.Context(), strings.NewReader("#x"))
	unreachable(t, err, path, control.ConnectMissing)
}

func TestTheClientWaitsNoLongerThanItShould(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	c := control.NewClient(path)
	c.Wait = 50 * time.Millisecond
	_, err := c.Status(t.Context())
	unreachable(t, err, path, control.ConnectMissing)

	c.Wait = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := c.Status(ctx)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	c.Close()
}

// stranger is something that speaks HTTP at the path, but is not our daemon.
func stranger(t *testing.T, handle http.HandlerFunc) *control.Client {
	t.Helper()
	path := sockettest.Path(t)
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	c := control.NewClient(path)
	t.Cleanup(func() {
		c.Close()
		server.Close()
		<-served
	})
	return c
}

func TestAnAnswerThatIsNotOursIsAnError(t *testing.T) {
	t.Parallel()
	t.Run("an error of another shape", func(t *testing.T) {
		t.Parallel()
		c := stranger(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("x", 1<<20), http.StatusBadGateway)
		})
		_, err := c.Apps(t.Context())
		other, ok := errors.AsType[*control.ConnectError](err)
		if !ok || other.Kind != control.ConnectOther || !strings.Contains(err.Error(), "502") {
			t.Errorf("got %v, want that something else answers, with the status", err)
		}
	})
	t.Run("an error of another shape from a daemon", func(t *testing.T) {
		t.Parallel()
		c := stranger(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(control.VersionHeader, "9.9")
			http.Error(w, "x", http.StatusBadGateway)
		})
		_, err := c.Apps(t.Context())
		refusal, ok := errors.AsType[*control.Error](err)
		if !ok || refusal.Status != http.StatusBadGateway || refusal.Code != control.CodeInternal ||
			!strings.Contains(refusal.Message, "502") {
			t.Errorf("got %v, want a refusal with the status", err)
		}
	})
	t.Run("no HTTP", func(t *testing.T) {
		t.Parallel()
		c := stranger(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, "220 mail.example ESMTP\r\n")
			conn.Close()
		})
		_, err := c.Apps(t.Context())
		if other, ok := errors.AsType[*control.ConnectError](err); !ok || other.Kind != control.ConnectOther {
			t.Errorf("got %v, want that something else answers", err)
		}
	})
	t.Run("no JSON", func(t *testing.T) {
		t.Parallel()
		c := stranger(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
		_, err := c.Apps(t.Context())
		if other, ok := errors.AsType[*control.ConnectError](err); !ok || other.Kind != control.ConnectOther {
			t.Errorf("got %v, want that something else answers", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		c := stranger(t, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "#Title\n")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		if err := c.Export(t.Context(), io.Discard); err == nil {
			t.Error("took a part of the keys for all")
		}
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		c := stranger(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestADaemonThatKnowsNoIDsIsUpgradedToo(t *testing.T) {
	t.Parallel()
	c := stranger(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}\n") })
	if id, err := c.Upgrade(t.Context()); err != nil || id != "" {
		t.Errorf("got %q and %v", id, err)
	}
}

// An import that is given up on would be made nevertheless.
func TestAnImportMayTakeLongerThanOtherRequests(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan struct{}), make(chan struct{})
	path := stranger(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/import" {
			<-r.Context().Done()
			return
		}
		io.Copy(io.Discard, r.Body)
		close(arrived)
		<-answer
		io.WriteString(w, "{}")
	}).Path()
	c := control.NewClientWithin(path, 20*time.Millisecond, patience)
	defer c.Close()
	got := make(chan error, 1)
	go func() {
		_, err := c.Import(context.Background(), strings.NewReader("#x"))
		got <- err
	}()
	<-arrived
	_, err := c.Status(t.Context()) // begins later and is given up on
	unreachable(t, err, path, control.ConnectFailed)
	if !strings.Contains(err.Error(), "20ms") {
		t.Errorf("%q does not say how long it waited", err)
	}
	close(answer)
	if err := <-got; err != nil {
		t.Errorf("the import: %v", err)
	}
}
