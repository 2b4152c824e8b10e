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

// The nodes of a cluster tell each other names with the time that they are of: the latest hold,
// whoever hears of them in whatever order, and after a restart, too.
func TestTheLatestNamesOfAllNodesHold(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	r := open(t, path, app.Options{Now: c.now})
	a, gone := create(t, r, "a"), create(t, r, "gone")
	user := func(name string) []names.Name { return []names.Name{{Kind: names.User, ID: "1", Name: name}} }
	own := must[*app.App](t)(r.SetNames(a.ID, user("own"), false))
	if own.NamesAt() != c.now().UnixMilli() {
		t.Errorf("they are of %d, want %d", own.NamesAt(), c.now().UnixMilli())
	}
	at := own.NamesAt()
	for _, step := range []struct {
		at    int64
		name  string // empty: none
		taken bool
		want  string
	}{
		{at - 1, "older", false, "own"}, {at, "own", false, "own"}, {at + 5, "newer", true, "newer"},
		{at + 1, "late", false, "newer"}, {at + 6, "", true, ""}, {at + 5, "newer", false, ""},
		{at + 7, "b", true, "b"},
	} {
		var all []names.Name
		if step.name != "" {
			all = user(step.name)
		}
		if taken, err := r.TakeNames(a.ID, step.at, all); err != nil || taken != step.taken {
			t.Errorf("%+v: taken: %v, %v", step, taken, err)
		}
		if got := r.NamesOf(a.ID).User("1"); got != step.want {
			t.Errorf("%+v: there is %q", step, got)
		}
	}
	// Of two that were made in the same moment all choose the same one.
	other := open(t, dbPath(t), app.Options{Now: c.now})
	var file strings.Builder
	if err := r.Export(&file); err != nil {
		t.Fatal(err)
	}
	must[app.ImportReport](t)(other.Import(strings.NewReader(file.String())))
	for i, one := range []*app.Registry{r, other} {
		must[bool](t)(one.TakeNames(a.ID, at+7, user([]string{"c", "b"}[i])))
		must[bool](t)(one.TakeNames(a.ID, at+7, user([]string{"b", "c"}[i])))
	}
	if one, two := r.NamesOf(a.ID).User("1"), other.NamesOf(a.ID).User("1"); one != two {
		t.Errorf("one has %q, the other %q", one, two)
	}
	// A change here is later than what it was made from, whatever the clock says.
	again := must[*app.App](t)(r.SetNames(a.ID, user("again"), true))
	if again.NamesAt() != at+8 {
		t.Errorf("changed at %d, want %d", again.NamesAt(), at+8)
	}
	must[bool](t)(r.TakeNames(gone.ID, at, user("gone")))
	if err := r.Remove(gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.TakeNames(gone.ID, at+9, user("gone")); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("names of an app that is gone: %v", err)
	}
	must[*app.App](t)(r.Rename(a.ID, "another title"))
	closeRegistry(t, r)
	r = open(t, path, app.Options{Now: c.now})
	if now := get(t, r, a.ID); now.NamesAt() != at+8 || now.Names().User("1") != "again" {
		t.Errorf("after reopening: %q of %d", now.Names().User("1"), now.NamesAt())
	}
	must[*app.App](t)(r.SetNames(a.ID, nil, false))
	closeRegistry(t, r)
	if now := get(t, open(t, path, app.Options{Now: c.now}), a.ID); now.NamesAt() != at+9 || now.Names() != nil {
		t.Errorf("taken away at %d, want %d", now.NamesAt(), at+9)
	}
}
