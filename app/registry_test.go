package app_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

func TestAppsAreThereAfterReopening(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	o := app.Options{Now: c.now}
	r := open(t, path, o)
	if !r.Created() {
		t.Error("a new database does not say that it is new")
	}
	a, b := create(t, r, "a"), create(t, r, "b")
	gone := create(t, r, "gone")
	must[*app.App](t)(r.Rename(a.ID, "ещё a"))
	must[*app.App](t)(r.RotateServerKey(a.ID, time.Hour))
	must[*app.App](t)(r.RotateClientKey(b.ID, time.Minute))
	must[*app.App](t)(r.RotateClientKey(b.ID, time.Hour))
	if err := r.Remove(gone.ID); err != nil {
		t.Fatal(err)
	}
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, time.Hour))
	before := r.List()
	closeRegistry(t, r)

	r = open(t, path, o)
	if r.Created() {
		t.Error("an old database says that it is new")
	}
	if after := r.List(); !reflect.DeepEqual(after, before) {
		t.Errorf("got %v, want %v", after, before)
	}
	if got, err := r.CheckToken(token.Value); err != nil || got.ID != a.ID {
		t.Errorf("a token from before: got %v, %v", got, err)
	}
}

func TestListIsInTheOrderOfCreation(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	var want []string
	for range 5 {
		want = append(want, create(t, r, "x").ID)
		c.advance(time.Nanosecond)
	}
	atOnce := []string{create(t, r, "y").ID, create(t, r, "y").ID, create(t, r, "y").ID}
	slices.Sort(atOnce)
	want = append(want, atOnce...)
	var got []string
	for _, a := range r.List() {
		got = append(got, a.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a := create(t, r, "a")
	for _, id := range []string{a.ID, strings.ToUpper(a.ID)} {
		if got, ok := r.Get(id); !ok || got != a {
			t.Errorf("%s: got %v, %v", id, got, ok)
		}
	}
	for _, id := range []string{"", "a", a.ID[:35], a.ID + "0", "{" + a.ID + "}", strings.ReplaceAll(a.ID, "-", ""),
		"00000000-0000-0000-0000-000000000000"} {
		if got, ok := r.Get(id); ok {
			t.Errorf("%s: got %v", id, got)
		}
	}
}

func TestUnknownAppCannotBeChanged(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	removed := create(t, r, "a").ID
	if err := r.Remove(removed); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{removed, "", "nonsense"} {
		for what, err := range map[string]error{
			"rename":      second(r.Rename(id, "b")),
			"remove":      r.Remove(id),
			"reset token": second(r.ResetToken(id)),
			"server key":  second(r.RotateServerKey(id, 0)),
			"client key":  second(r.RotateClientKey(id, 0)),
		} {
			if !errors.Is(err, app.ErrNotFound) {
				t.Errorf("%s of %q: got %v, want ErrNotFound", what, id, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnAppThatWasHandedOutDoesNotChange(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	was := *a
	was.ServerKeys, was.ClientKeys = slices.Clone(a.ServerKeys), slices.Clone(a.ClientKeys)

	must[*app.App](t)(r.Rename(a.ID, "b"))
	must[*app.App](t)(r.ResetToken(a.ID))
	must[*app.App](t)(r.RotateServerKey(a.ID, time.Second))
	must[*app.App](t)(r.RotateClientKey(a.ID, time.Second))
	c.advance(time.Hour)
	must[time.Time](t)(r.Expire())
	if !reflect.DeepEqual(*a, was) {
		t.Error("it did")
	}
	list := r.List()
	list[0] = nil
	if r.List()[0] == nil {
		t.Error("the list that was handed out is the registry's own")
	}
}

func TestChangedTellsEachChangeOnceItIsVisible(t *testing.T) {
	t.Parallel()
	type event struct {
		id    string
		title string // "-" for a removed app
	}
	var (
		r    *app.Registry
		told []event
	)
	c := newClock()
	r = open(t, dbPath(t), app.Options{Now: c.now, Changed: func(id string, a *app.App) {
		e := event{id, "-"}
		if a != nil {
			e.title = a.Title
		}
		if seen, _ := r.Get(id); seen != a {
			t.Errorf("told %v while readers see %v", a, seen)
		}
		told = append(told, e)
	}})
	a := create(t, r, "a")
	must[*app.App](t)(r.Rename(a.ID, "b"))
	must[*app.App](t)(r.RotateServerKey(a.ID, time.Second))
	must[*app.App](t)(r.RotateClientKey(a.ID, 0))
	must[*app.App](t)(r.ResetToken(a.ID))
	must[time.Time](t)(r.Expire()) // nothing to do yet
	c.advance(time.Minute)
	must[time.Time](t)(r.Expire())
	if _, err := r.Rename(a.ID, ""); err == nil {
		t.Error("an empty title was accepted")
	}
	if err := r.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	file := oldFile(oldEntry("x", idA, keyA, clientA), oldEntry("y", idB, keyB, clientB))
	must[app.ImportReport](t)(r.Import(strings.NewReader(file)))
	want := []event{{a.ID, "a"}, {a.ID, "b"}, {a.ID, "b"}, {a.ID, "b"}, {a.ID, "b"}, {a.ID, "b"}, {a.ID, "-"},
		{idA, "x"},
		{idB, "y"}}
	if !slices.Equal(told, want) {
		t.Errorf("got  %v\nwant %v", told, want)
	}
}

func TestClosedRegistryRefusesChangesAndStillReads(t *testing.T) {
	t.Parallel()
	told := 0
	r := open(t, dbPath(t), app.Options{Changed: func(string, *app.App) { told++ }})
	a := create(t, r, "a")
	a = must[*app.App](t)(r.RotateServerKey(a.ID, time.Hour))
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, time.Hour))
	closeRegistry(t, r)
	closeRegistry(t, r)
	was := told
	for what, err := range map[string]error{
		"create":      second(r.Create("b")),
		"rename":      second(r.Rename(a.ID, "b")),
		"remove":      r.Remove(a.ID),
		"reset token": second(r.ResetToken(a.ID)),
		"server key":  second(r.RotateServerKey(a.ID, 0)),
		"client key":  second(r.RotateClientKey(a.ID, 0)),
		"import":      second(r.Import(strings.NewReader(oldFile(oldEntry("x", idA, keyA, clientA))))),
	} {
		if !errors.Is(err, app.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
	if told != was {
		t.Error("a change that was refused was told")
	}
	if got, err := r.CheckToken(token.Value); got != a || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if list := r.List(); len(list) != 1 || list[0] != a {
		t.Errorf("got %v", list)
	}
}

// Under -race: readers never wait for writers, and see only whole states.
func TestReadersWhileKeysRotate(t *testing.T) {
	t.Parallel()
	r := open(t, dbPath(t), app.Options{})
	steady, busy := create(t, r, "steady"), create(t, r, "busy")
	token := must[app.Token](t)(r.Authorize(steady.ServerKeys[0].Key, time.Hour))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := r.CheckToken(token.Value); err != nil || a.ID != steady.ID {
					t.Errorf("the token of an app that is left alone: %v, %v", a, err)
					return
				}
				a, ok := r.Get(busy.ID)
				if !ok || len(r.List()) != 2 {
					t.Error("an app is missing for a moment")
					return
				}
				fresh, err := r.Authorize(a.ServerKeys[0].Key, time.Hour)
				if err != nil {
					t.Errorf("a current key, or one within its grace, is refused: %v", err)
					return
				}
				if _, err := r.CheckToken(fresh.Value); err != nil && !errors.Is(err, app.ErrTokenInvalid) {
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for range 4 {
				if err := errors.Join(
					second(r.RotateServerKey(busy.ID, time.Hour)),
					second(r.ResetToken(busy.ID)),
					second(r.Rename(busy.ID, "busy")),
				); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if n := len(get(t, r, busy.ID).ServerKeys); n != 9 {
		t.Errorf("%d server keys after 8 rotations", n)
	}
}

func TestARenameToTheSameTitleIsNoChange(t *testing.T) {
	t.Parallel()
	told := 0
	r := open(t, dbPath(t), app.Options{Changed: func(string, *app.App) { told++ }})
	a := create(t, r, "a")
	if same := must[*app.App](t)(r.Rename(a.ID, " a ")); same != a || told != 1 {
		t.Errorf("got another app: %v, told %d times, want 1", same != a, told)
	}
}
