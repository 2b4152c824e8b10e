package app_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
)

func TestNamesAreThereAfterReopening(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	var changed []string
	o := app.Options{Now: c.now, Changed: func(id string, _ *app.App) { changed = append(changed, id) }}
	r := open(t, path, o)
	a, b, gone := create(t, r, "a"), create(t, r, "b"), create(t, r, "gone")
	changed = nil
	user, ib := names.Name{Kind: names.User, ID: "1", Name: "Иванов"},
		names.Name{Kind: names.Infobase, ID: "2", Name: "Склад"}
	must[*app.App](t)(r.SetNames(a.ID, []names.Name{user}, false))
	must[*app.App](t)(r.SetNames(a.ID, []names.Name{user}, false)) // nothing new
	must[*app.App](t)(r.SetNames(a.ID, []names.Name{ib}, true))
	must[*app.App](t)(r.SetNames(gone.ID, []names.Name{user}, false))
	must[*app.App](t)(r.SetNames(b.ID, []names.Name{user, ib}, false))
	must[*app.App](t)(r.SetNames(b.ID, []names.Name{ib}, false))
	must[*app.App](t)(r.SetName(b.ID, names.Name{Kind: names.User, ID: " 3 ", Name: " Петров "}))
	must[*app.App](t)(r.SetName(b.ID, names.Name{Kind: names.Infobase, ID: "2"}))
	must[*app.App](t)(r.Rename(a.ID, "another title"))
	if err := r.Remove(gone.ID); err != nil {
		t.Fatal(err)
	}
	if want := []string{a.ID, a.ID, gone.ID, b.ID, b.ID, b.ID, b.ID, a.ID, gone.ID}; !slices.Equal(changed, want) {
		t.Errorf("changed: %v, want %v", changed, want)
	}
	check := func(r *app.Registry) {
		t.Helper()
		if got, want := r.NamesOf(strings.ToUpper(a.ID)).Sorted(), []names.Name{ib, user}; !slices.Equal(got, want) {
			t.Errorf("the first app has %v, want %v", got, want)
		}
		if got, want := r.NamesOf(b.ID).Sorted(),
			[]names.Name{{Kind: names.User, ID: "3", Name: "Петров"}}; !slices.Equal(got, want) {
			t.Errorf("the second app has %v, want %v", got, want)
		}
		if r.NamesOf(gone.ID) != nil {
			t.Error("names of an app that was removed")
		}
	}
	check(r)
	backup := must[[]byte](t)(r.Backup())
	closeRegistry(t, r)
	check(open(t, path, o))
	path = dbPath(t)
	writeFile(t, path, backup)
	check(open(t, path, o))
}

func TestBadNamesChangeNothing(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a := create(t, r, "a")
	must[*app.App](t)(r.SetName(a.ID, names.Name{ID: "1", Name: "Иванов"}))
	if _, err := r.SetName(a.ID, names.Name{ID: "1", Name: "a\nb"}); !errors.Is(err, names.ErrBadName) {
		t.Errorf("got %v, want %v", err, names.ErrBadName)
	}
	if _, err := r.SetName("59c775be-1a55-5522-9f0e-0a1b2c3d4e5f", names.Name{ID: "1", Name: "a"}); !errors.Is(err,
		app.ErrNotFound) {
		t.Errorf("got %v, want %v", err, app.ErrNotFound)
	}
	if _, err := r.SetNames(a.ID, manyNames(names.MaxNames), true); !errors.Is(err, names.ErrTooMany) {
		t.Errorf("got %v, want %v", err, names.ErrTooMany)
	}
	if got := r.NamesOf(a.ID); got.Len() != 1 || got.User("1") != "Иванов" {
		t.Errorf("there are %v", got.Sorted())
	}
}

func TestNamesGoWithTheAppsToAnotherProcess(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a, b := create(t, r, "a"), create(t, r, "b")
	must[*app.App](t)(r.SetName(a.ID, names.Name{ID: "1", Name: "Иванов"}))
	records := app.EncodeNames(r.List(), 1<<20)
	apps := must[[]*app.App](t)(app.DecodeApps(must[[]byte](t)(app.EncodeApps(r.List()))))
	if err := app.DecodeNames(apps, records); err != nil {
		t.Fatal(err)
	}
	there := app.FromMemory(apps, r.Identity(), app.Options{})
	if got := there.NamesOf(a.ID).User("1"); got != "Иванов" || there.NamesOf(b.ID) != nil {
		t.Errorf("it is called %q", got)
	}
	if few := app.EncodeNames(r.List(), 10); len(few) != 0 {
		t.Errorf("beyond the limit: %v", few)
	}
	records[a.ID][20] ^= 1
	if err := app.DecodeNames(apps, records); err == nil {
		t.Error("a damaged record was read")
	}
}

func manyNames(n int) []names.Name {
	all := make([]names.Name, n)
	for i := range all {
		all[i] = names.Name{ID: fmt.Sprintf("59c775be-1a55-5522-9f0e-%012x", i),
			Name: fmt.Sprintf("Иванов Иван Иванович %d", i)}
	}
	return all
}

// The goals: an import of 100 000 names in 2 s, a start 0.5 s longer.
func BenchmarkNames(b *testing.B) {
	b.Run("import", func(b *testing.B) {
		r := open(b, dbPath(b), app.Options{})
		a := create(b, r, "a")
		all := manyNames(names.MaxNames)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			all[0].Name = fmt.Sprint(i)
			must[*app.App](b)(r.SetNames(a.ID, all, false))
		}
	})
	for _, n := range []int{0, names.MaxNames} {
		b.Run(fmt.Sprintf("open/%d", n), func(b *testing.B) {
			path := dbPath(b)
			r := open(b, path, app.Options{})
			must[*app.App](b)(r.SetNames(create(b, r, "a").ID, manyNames(n), false))
			closeRegistry(b, r)
			b.ReportAllocs()
			for b.Loop() {
				r, err := app.Open(path, app.Options{})
				if err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
