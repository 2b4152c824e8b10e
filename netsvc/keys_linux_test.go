package netsvc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestKeysEndByTheClockThoughNothingCanBeStored: a server that has no database closes the
// sessions of a key when its time is over, once, and goes on trying to store that.
func TestKeysEndByTheClockThoughNothingCanBeStored(t *testing.T) {
	t.Parallel()
	registry, err := app.Open(filepath.Join(t.TempDir(), "pns4ones.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	a, err := registry.Create("app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.RotateClientKey(a.ID, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	apps := registry.List()
	logger, log := testlog.New()
	s := &Server{
		options: Options{RetryEvery: time.Millisecond}, logger: logger, history: history.New(),
		known: make(map[string]*app.App),
		hub:   hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)}), keysChanged: make(chan struct{}, 1),
		services: new(errgroup.Group),
	}
	defer s.hub.Shutdown(t.Context())
	s.setApps(app.FromMemory(apps, registry.Identity(), app.Options{Changed: s.appChanged}))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.services.Go(func() error { return s.hub.Serve(ln) })
	clients := make(map[int]*wire.Client)
	for generation := 1; generation <= 2; generation++ {
		c, err := wire.Dial(t.Context(), ln.Addr().String(),
			wire.Registration{AppID: a.ID, IbID: "ib", UserID: fmt.Sprint(generation)}, secretOf(t, apps[0],
				generation))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients[generation] = c
	}
	waitFor(t, "both are registered", func() bool { return s.hub.Stats().Sessions == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	s.services.Go(func() error { return s.keepKeys(ctx) })

	old := clients[1]
	old.SetReadDeadline(time.Now().Add(limit))
	if _, err := old.Receive(); err == nil {
		t.Error("the session under the old key got something")
	}
	waitFor(t, "it is gone", func() bool { return s.hub.Stats().Sessions == 1 })
	end := apps[0].ClientKeys[1].Until
	if now := time.Now(); now.Before(end) {
		t.Errorf("it was closed %v before the end of its key", end.Sub(now))
	}
	for range 20 { // whatever else changes about keys, it is not closed again
		wake(s.keysChanged)
		waitFor(t, "that was looked at", func() bool { return len(s.keysChanged) == 0 })
	}
	// Nobody can register under it, and the app has it still.
	if a := s.apps.List()[0]; len(a.ClientKeys) != 2 || !a.HasEnded(time.Now()) {
		t.Errorf("the app has the keys %v", a.ClientKeys)
	}
	late, err := wire.Dial(t.Context(), ln.Addr().String(), wire.Registration{AppID: a.ID, IbID: "ib", UserID: "late"},
		secretOf(t, apps[0], 1))
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	waitFor(t, "it is refused", func() bool { return s.hub.Stats().Refused[hub.ReasonWrongHMAC] == 1 })
	if n := s.hub.Publish(a.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"}, &wire.Message{Topic: "x"}); n != 1 {
		t.Errorf("reached %d sessions", n)
	}
	clients[2].SetReadDeadline(time.Now().Add(limit))
	if text, err := clients[2].Receive(); err != nil || string(text) != `{"topic":"x"}` {
		t.Errorf("got %q, %v", text, err)
	}
	cancel()
	if err := s.hub.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.services.Wait(); err != nil {
		t.Error(err)
	}
	if n := s.hub.Stats().Closed["key_revoked"]; n != 1 {
		t.Errorf("%d sessions were closed over their key", n)
	}
	for _, words := range []string{"sessions closed because their key is no longer valid",
		"sessions will be closed when their client key ends"} {
		if n := log.Count(words); n != 1 {
			t.Errorf("%d times in the log: %s\n%v", n, words, log)
		}
	}
}
