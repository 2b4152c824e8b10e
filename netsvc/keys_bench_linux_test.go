package netsvc

import (
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
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// BenchmarkAppChange is what a change of an app costs beside the database, amid 50 apps
// that have eight old client keys each, and many sessions.
func BenchmarkAppChange(b *testing.B) {
	for _, sessions := range []int{100, 8000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			registry, err := app.Open(filepath.Join(b.TempDir(), "pns4ones.db"), app.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer registry.Close()
			for range 50 {
				a, err := registry.Create("app")
				if err != nil {
					b.Fatal(err)
				}
				for range 8 {
					if _, err := registry.RotateClientKey(a.ID, 24*time.Hour); err != nil {
						b.Fatal(err)
					}
				}
			}
			logger := slog.New(slog.DiscardHandler)
			s := &Server{logger: logger, history: history.New(), known: make(map[string]*app.App),
				hub:         hub.New(hub.Options{Logger: logger}),
				keysChanged: make(chan struct{}, 1), services: new(errgroup.Group)}
			s.setApps(registry)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s.services.Go(func() error { return s.hub.Serve(ln) })
			first := registry.List()[0]
			key, err := wire.ParseClientKey(first.ClientKeys[0].Key)
			if err != nil {
				b.Fatal(err)
			}
			for i := range sessions {
				c, err := wire.Dial(b.Context(), ln.Addr().String(), wire.Registration{AppID: first.ID, IbID: "ib",
					UserID: fmt.Sprint(i)}, key)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
			}
			for s.hub.Stats().Sessions < sessions {
				time.Sleep(time.Millisecond)
			}
			var announced map[announcement]bool
			b.ReportAllocs()
			for b.Loop() {
				s.appChanged(first.ID, first)
				s.closeEnded()
				_, announced = s.announceEnds(s.apps.NextEnd(time.Now()), announced)
			}
			b.StopTimer()
			if err := s.hub.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
			if err := s.services.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
