package app_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

// clock is a clock that stands still until it is moved.
type clock struct{ ns atomic.Int64 }

// newClock starts between two whole seconds, to show what is rounded how.
func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func dbPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "pns4ones.db")
}

func open(t testing.TB, path string, o app.Options) *app.Registry {
	t.Helper()
	r, err := app.Open(path, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func closeRegistry(t testing.TB, r *app.Registry) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// newRegistry is an empty registry with a clock of its own.
func newRegistry(t testing.TB) (*app.Registry, *clock) {
	t.Helper()
	c := newClock()
	return open(t, dbPath(t), app.Options{Now: c.now}), c
}

// must is for calls that are not what the test is about.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

func create(t testing.TB, r *app.Registry, title string) *app.App {
	t.Helper()
	return must[*app.App](t)(r.Create(title))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	return must[[]byte](t)(os.ReadFile(path))
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, r *app.Registry, id string) *app.App {
	t.Helper()
	a, ok := r.Get(id)
	if !ok {
		t.Fatalf("app %s is not there", id)
	}
	return a
}
