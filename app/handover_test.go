package app_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
)

// stalledDisk holds up every commit until it is thawed.
type stalledDisk struct {
	given  chan struct{} // gets a value when the disk is given a change
	thawed chan struct{}
	thaw   func()
}

func stall(t *testing.T, r *app.Registry) *stalledDisk {
	t.Helper()
	d := &stalledDisk{given: make(chan struct{}, 100), thawed: make(chan struct{})}
	d.thaw = sync.OnceFunc(func() { close(d.thawed) })
	t.Cleanup(d.thaw) // before the registry is closed
	app.BeforeDisk(r, func(db *bbolt.DB, body func(*bbolt.Tx) error) error {
		d.given <- struct{}{}
		<-d.thawed
		return db.Update(body)
	})
	return d
}

// doing runs f in a goroutine and hands over its error.
func doing(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func creating(r *app.Registry, title string) <-chan error {
	return doing(func() error { return second(r.Create(title)) })
}

// over is a context that has ended.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func noError(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// changesOf tries every kind of change of an app.
func changesOf(r *app.Registry, id string) map[string]error {
	return map[string]error{
		"create":      second(r.Create("b")),
		"rename":      second(r.Rename(id, "b")),
		"remove":      r.Remove(id),
		"reset token": second(r.ResetToken(id)),
		"server key":  second(r.RotateServerKey(id, 0)),
		"client key":  second(r.RotateClientKey(id, 0)),
		"import":      second(r.Import(strings.NewReader(entryA))),
		"backup":      second(r.Backup()),
	}
}

func TestPauseShutsTheGateAndWaitsForTheChangeUnderWay(t *testing.T) {
	t.Parallel()
	r := open(t, dbPath(t), app.Options{})
	a := create(t, r, "a")
	disk := stall(t, r)
	underWay := creating(r, "under way")
	<-disk.given
	waiting := creating(r, "waiting")

	want(t, "pause while the disk stalls", r.Pause(over()), context.Canceled)
	want(t, "the change that waited", <-waiting, app.ErrHandingOver)
	for what, err := range changesOf(r, a.ID) {
		want(t, what, err, app.ErrHandingOver)
	}
	if got := len(r.List()); got != 1 {
		t.Errorf("%d apps are visible before the disk has them", got)
	}
	paused := doing(func() error { return r.Pause(context.Background()) })
	disk.thaw()
	noError(t, "the change under way", <-underWay)
	noError(t, "pause", <-paused)
	want(t, "after the change under way", second(r.Create("b")), app.ErrHandingOver)

	r.Resume()
	create(t, r, "c")
	if got := len(r.List()); got != 3 {
		t.Errorf("%d apps, want a, under way and c", got)
	}
}

func TestPauseOfAnIdleRegistryNeedsNoTime(t *testing.T) {
	t.Parallel()
	r := open(t, dbPath(t), app.Options{})
	noError(t, "pause", r.Pause(over()))
	noError(t, "pause again", r.Pause(over()))
	r.Resume()
	create(t, r, "a")
}

func TestAbandonAnswersWhileTheCommitGoesOn(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	r := open(t, dbPath(t), app.Options{Changed: func(_ string, a *app.App) { told <- a.Title }})
	if age := r.CommitAge(); age != 0 {
		t.Errorf("with nothing under way the disk has had it for %v", age)
	}
	disk := stall(t, r)
	underWay := creating(r, "late")
	<-disk.given
	waiting := creating(r, "waiting")
	if r.CommitAge() <= 0 {
		t.Error("a change is in the disk, and CommitAge does not say so")
	}
	want(t, "pause", r.Pause(over()), context.Canceled)
	r.Abandon()
	want(t, "the change under way", <-underWay, app.ErrOutcomeUnknown)
	want(t, "the change that waited", <-waiting, app.ErrHandingOver)
	if len(r.List()) != 0 || len(told) != 0 {
		t.Error("what is not on disk is visible")
	}
	if r.CommitAge() <= 0 {
		t.Error("the commit goes on, and CommitAge does not say so")
	}
	disk.thaw()
	noError(t, "pause", r.Pause(context.Background()))
	if len(r.List()) != 1 || len(told) != 1 || <-told != "late" {
		t.Error("the disk took the change in the end, and it is not visible or was not told")
	}
	if age := r.CommitAge(); age != 0 {
		t.Errorf("after the commit the disk has had it for %v", age)
	}
	r.Resume()
	create(t, r, "after")
}

// An upgrade that was refused, then a restart, all during one change.
func TestAbandonReachesAChangeFromBeforeResume(t *testing.T) {
	t.Parallel()
	r := open(t, dbPath(t), app.Options{})
	disk := stall(t, r)
	underWay := creating(r, "a")
	<-disk.given
	want(t, "pause", r.Pause(over()), context.Canceled)
	r.Resume()
	r.Abandon()
	want(t, "the change under way", <-underWay, app.ErrOutcomeUnknown)
	disk.thaw()
}

func TestReleaseLetsGoOfTheFileAndServesFromMemory(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	o := app.Options{Now: c.now}
	var told []string
	o.Changed = func(id string, a *app.App) {
		if a == nil {
			told = append(told, "- "+id)
		} else {
			told = append(told, a.Title)
		}
	}
	r := open(t, path, o)
	same, changed, gone := create(t, r, "same"), create(t, r, "changed"), create(t, r, "gone")
	must[*app.App](t)(r.RotateServerKey(same.ID, time.Minute))
	same = must[*app.App](t)(r.RotateClientKey(same.ID, time.Minute))
	token := must[app.Token](t)(r.Authorize(same.ServerKeys[0].Key, time.Hour))

	disk := stall(t, r)
	underWay := doing(func() error { return second(r.Rename(changed.ID, "in time")) })
	<-disk.given
	want(t, "release while the disk stalls", r.Release(over()), context.Canceled)
	noError(t, "available", r.Unavailable())
	if _, err := app.Open(path, app.Options{}); !errors.Is(err, app.ErrLocked) {
		t.Errorf("the file that was not released: %v", err)
	}
	disk.thaw()
	noError(t, "release", r.Release(context.Background()))
	noError(t, "the change under way", <-underWay)
	noError(t, "release again", r.Release(over()))
	want(t, "unavailable", r.Unavailable(), app.ErrUnavailable)

	c.advance(time.Hour - time.Second)
	for what, err := range changesOf(r, same.ID) {
		want(t, what, err, app.ErrUnavailable)
	}
	want(t, "expire", second(r.Expire()), app.ErrUnavailable)
	noError(t, "identity", r.EnsureIdentity())
	if got, err := r.CheckToken(token.Value); got != same || err != nil || len(r.List()) != 3 {
		t.Errorf("reads from memory: %v, %v", got, err)
	}

	other := open(t, path, app.Options{Now: c.now})
	must[*app.App](t)(other.Rename(changed.ID, "changed again"))
	noError(t, "remove", other.Remove(gone.ID))
	create(t, other, "new")
	closeRegistry(t, other)

	told = nil
	noError(t, "reopen", r.Reopen(path))
	noError(t, "reopen again", r.Reopen(path))
	noError(t, "available", r.Unavailable())
	if got := strings.Join(told, ", "); got != "- "+gone.ID+", changed again, new" {
		t.Errorf("told: %s", got)
	}
	if get(t, r, same.ID) != same {
		t.Error("an app that did not change is another one")
	}
	create(t, r, "last")
}

func TestReopenRefusals(t *testing.T) {
	t.Parallel()
	theirs := open(t, dbPath(t), app.Options{})
	create(t, theirs, "theirs")
	backup := must[[]byte](t)(theirs.Backup())
	locked := dbPath(t)
	open(t, locked, app.Options{})
	for _, c := range []struct {
		name string
		path string
		file []byte // nil: none is made
		want error
	}{
		{"nothing is there", dbPath(t), nil, fs.ErrNotExist},
		{"another database", dbPath(t), backup, app.ErrAnother},
		{"a damaged one", dbPath(t), []byte("garbage"), app.ErrDamaged},
		{"a locked one", locked, nil, app.ErrLocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := dbPath(t)
			r := open(t, path, app.Options{Changed: func(string, *app.App) {}})
			a := create(t, r, "a")
			noError(t, "release", r.Release(context.Background()))
			if c.file != nil {
				writeFile(t, c.path, c.file)
			}
			err := r.Reopen(c.path)
			want(t, "reopen", err, c.want)
			if err == nil || strings.Count(err.Error(), c.path) != 1 {
				t.Errorf("the path is not said once: %v", err)
			}
			want(t, "unavailable", r.Unavailable(), app.ErrUnavailable)
			want(t, "the reason", r.Unavailable(), c.want)
			if _, err := os.Stat(c.path); (err == nil) != (c.file != nil || c.path == locked) {
				t.Errorf("the file: %v", err)
			}
			if list := r.List(); len(list) != 1 || list[0] != a {
				t.Errorf("apps: %v", list)
			}
			noError(t, "reopen its own", r.Reopen(path))
			noError(t, "available", r.Unavailable())
			create(t, r, "b")
		})
	}
}

func TestReopenDuringAHandOver(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	noError(t, "release", r.Release(context.Background()))
	noError(t, "pause", r.Pause(context.Background()))
	want(t, "reopen", r.Reopen(path), app.ErrHandingOver)
	open(t, path, app.Options{}).Close() // it is free
	r.Resume()
	noError(t, "reopen", r.Reopen(path))
}

func TestAHandOverThatBeginsDuringReopenFindsTheFileFree(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{LockWait: time.Minute})
	noError(t, "release", r.Release(context.Background()))
	other := open(t, path, app.Options{})
	reopened := doing(func() error { return r.Reopen(path) })
	for r.Release(over()) == nil { // until Reopen has its turn, and waits for the lock
		runtime.Gosched()
	}
	want(t, "pause", r.Pause(over()), context.Canceled)
	closeRegistry(t, other)
	want(t, "reopen", <-reopened, app.ErrHandingOver)
	closeRegistry(t, open(t, path, app.Options{}))
	r.Resume()
	noError(t, "reopen", r.Reopen(path))
}

func TestReopenOfAClosedRegistry(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	closeRegistry(t, r)
	want(t, "unavailable", r.Unavailable(), app.ErrClosed)
	r.SetUnavailable(errors.New("x"))
	r.Resume()
	want(t, "reopen", r.Reopen(path), app.ErrClosed)
	want(t, "unavailable", r.Unavailable(), app.ErrClosed)
	want(t, "create", second(r.Create("a")), app.ErrClosed)
}

func TestServingWhatAnotherProcessHad(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	old := open(t, path, app.Options{Now: c.now})
	a := create(t, old, "a")
	a = must[*app.App](t)(old.RotateClientKey(a.ID, time.Hour))
	token := must[app.Token](t)(old.Authorize(a.ServerKeys[0].Key, time.Hour))
	document := must[[]byte](t)(app.EncodeApps(old.List()))
	identity := old.Identity()

	var told []string
	r := app.FromMemory(must[[]*app.App](t)(app.DecodeApps(document)), identity,
		app.Options{Now: c.now, Changed: func(_ string, a *app.App) { told = append(told, a.Title) }})
	defer r.Close()
	if r.Created() || r.Identity() != identity {
		t.Errorf("created %v, identity %v of %v", r.Created(), r.Identity(), identity)
	}
	if got, err := r.CheckToken(token.Value); err != nil || got.ID != a.ID {
		t.Errorf("token of the other process: %v, %v", got, err)
	}
	for what, err := range changesOf(r, a.ID) {
		want(t, what, err, app.ErrUnavailable)
	}
	noError(t, "release", r.Release(over()))
	if err := r.Unavailable(); err != app.ErrUnavailable {
		t.Errorf("without a cause: %v", err)
	}
	r.SetUnavailable(app.ErrDamaged)
	want(t, "the reason", r.Unavailable(), app.ErrDamaged)
	want(t, "the reason", r.Unavailable(), app.ErrUnavailable)

	must[*app.App](t)(old.Rename(a.ID, "renamed meanwhile"))
	want(t, "reopen while it is locked", r.Reopen(path), app.ErrLocked)
	closeRegistry(t, old)
	noError(t, "reopen", r.Reopen(path))
	if len(told) != 1 || told[0] != "renamed meanwhile" {
		t.Errorf("told %v", told)
	}
	r.SetUnavailable(app.ErrDamaged) // too late
	noError(t, "available", r.Unavailable())
	create(t, r, "b")
}

func TestCloseDoesNotHangBehindAStalledDisk(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	disk := stall(t, r)
	underWay := creating(r, "a")
	<-disk.given
	waiting := creating(r, "b")
	want(t, "close", r.Close(), context.DeadlineExceeded)
	want(t, "the change that waited", <-waiting, app.ErrClosed)
	want(t, "a change after it", second(r.Create("c")), app.ErrClosed)
	disk.thaw()
	noError(t, "the change under way", <-underWay)
	closeRegistry(t, r)
	if list := open(t, path, app.Options{}).List(); len(list) != 1 || list[0].Title != "a" {
		t.Errorf("apps: %v", list)
	}
}

// Not parallel, for it counts goroutines.
func TestNoGoroutineIsLeftAfterAStalledDisk(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		path := filepath.Join(t.TempDir(), "pns4ones.db")
		r := must[*app.Registry](t)(app.Open(path, app.Options{}))
		disk := stall(t, r)
		underWay := creating(r, "a")
		<-disk.given
		waiting := creating(r, "b")
		want(t, "release", r.Release(over()), context.Canceled)
		r.Abandon()
		want(t, "under way", <-underWay, app.ErrOutcomeUnknown)
		want(t, "waiting", <-waiting, app.ErrHandingOver)
		must[app.Seen](t)(app.Look(path))
		disk.thaw()
		noError(t, "release", r.Release(context.Background()))
		r.Resume()
		noError(t, "reopen", r.Reopen(path))
		noError(t, "close", r.Close())
	}
	limit := time.After(time.Minute)
	for runtime.NumGoroutine() > before {
		select {
		case <-limit:
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		default:
			runtime.Gosched()
		}
	}
}

// Under -race: all that may happen at once does.
func TestHandingOverUnderLoad(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{Changed: func(string, *app.App) {}})
	steady := create(t, r, "steady")
	token := must[app.Token](t)(r.Authorize(steady.ServerKeys[0].Key, time.Hour))
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	acknowledged := make([]map[string]bool, 3)
	for i := range acknowledged {
		acknowledged[i] = make(map[string]bool)
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := r.Create("x")
				switch {
				case err == nil:
					acknowledged[i][a.ID] = true
				case errors.Is(err, app.ErrHandingOver), errors.Is(err, app.ErrUnavailable),
					errors.Is(err, app.ErrOutcomeUnknown):
					runtime.Gosched()
				default:
					t.Errorf("create: %v", err)
					return
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.CheckToken(token.Value); err != nil {
				t.Errorf("token: %v", err)
				return
			}
			r.CommitAge()
			r.NextEnd(time.Now())
			r.Identity()
		}
	})
	for i := range 20 {
		if i%2 == 0 {
			r.Abandon()
		}
		noError(t, "pause", r.Pause(context.Background()))
		noError(t, "release", r.Release(context.Background()))
		r.Resume()
		noError(t, "reopen", r.Reopen(path))
	}
	close(stop)
	writers.Wait()
	readers.Wait()
	closeRegistry(t, r)
	after := open(t, path, app.Options{})
	if len(r.List()) != len(after.List()) {
		t.Errorf("%d apps are visible, %d in the file", len(r.List()), len(after.List()))
	}
	for _, ids := range acknowledged {
		for id := range ids {
			get(t, after, id)
		}
	}
}
