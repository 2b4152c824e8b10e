package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

// Whatever a request needs must cost the same with any number of apps.
var appCounts = []int{1, 100, 5000}

// registryOf is a registry with n apps, made in one transaction.
func registryOf(b *testing.B, n int) *app.Registry {
	r := open(b, dbPath(b), app.Options{})
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "#App %d\n00000000-0000-4000-8000-%012x\n%064d\n%s\n\n", i, i, i, clientA)
	}
	if _, err := r.Import(strings.NewReader(file.String())); err != nil {
		b.Fatal(err)
	}
	if len(r.List()) != n {
		b.Fatalf("%d apps of %d", len(r.List()), n)
	}
	return r
}

func forAppCounts(b *testing.B, run func(*testing.B, *app.Registry)) {
	for _, n := range appCounts {
		b.Run(fmt.Sprintf("apps=%d", n), func(b *testing.B) { run(b, registryOf(b, n)) })
	}
}

func BenchmarkCheckToken(b *testing.B) {
	forAppCounts(b, func(b *testing.B, r *app.Registry) {
		list := r.List()
		tokens := make([]string, len(list))
		for i, a := range list {
			tokens[i] = must[app.Token](b)(r.Authorize(a.ServerKeys[0].Key, time.Hour)).Value
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := r.CheckToken(tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

// With as many old keys as there may be, all of which have to be tried.
func BenchmarkCheckTokenOfOldestKey(b *testing.B) {
	r := registryOf(b, 1)
	token := must[app.Token](b)(r.Authorize(r.List()[0].ServerKeys[0].Key, time.Hour)).Value
	for range 8 {
		must[*app.App](b)(r.RotateServerKey(r.List()[0].ID, 2*time.Hour))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.CheckToken(token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	forAppCounts(b, func(b *testing.B, r *app.Registry) {
		list := r.List()
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := r.Authorize(list[i%len(list)].ServerKeys[0].Key, time.Hour); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

// Create waits for the disk; what grows with the apps is the copy of the snapshot.
func BenchmarkCreate(b *testing.B) {
	forAppCounts(b, func(b *testing.B, r *app.Registry) {
		for b.Loop() {
			if _, err := r.Create("one more"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Open checks every page and every record.
func BenchmarkOpen(b *testing.B) {
	forAppCounts(b, func(b *testing.B, r *app.Registry) {
		path := dbPath(b)
		full := open(b, path, app.Options{})
		var file strings.Builder
		if err := r.Export(&file); err != nil {
			b.Fatal(err)
		}
		must[app.ImportReport](b)(full.Import(strings.NewReader(file.String())))
		closeRegistry(b, full)
		for b.Loop() {
			closeRegistry(b, must[*app.Registry](b)(app.Open(path, app.Options{})))
		}
	})
}
