package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
)

var errNobodyAnswers = errors.New("nobody answers")

// quorum agrees on changes for the registries of several nodes, as a bucket would: the
// first to bring a version wins.
type quorum struct {
	mu     sync.Mutex
	newest map[string]app.Change
	fail   error // instead of agreeing
}

// agree is for the registry that node returns; it may be asked before there is one.
func (q *quorum) agree(node func() *app.Registry) func(context.Context, app.Change) error {
	return func(_ context.Context, c app.Change) error {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.fail != nil {
			return q.fail
		}
		newest, known := q.newest[c.ID]
		if known && newest.Version >= c.Version {
			if err := node().Apply(newest); err != nil {
				return err
			}
			return app.ErrConflict
		}
		if q.newest == nil {
			q.newest = make(map[string]app.Change)
		}
		q.newest[c.ID] = c
		return nil
	}
}

func (q *quorum) all() []app.Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Values(q.newest))
}

// fails lets the quorum refuse everything from now on; nil: no more.
func (q *quorum) fails(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = err
}

// node is a registry that asks the quorum.
func (q *quorum) node(t *testing.T, o app.Options) *app.Registry {
	t.Helper()
	var r *app.Registry
	o.Agree = q.agree(func() *app.Registry { return r })
	r = open(t, dbPath(t), o)
	return r
}

// agreeing opens a registry that asks agree.
func agreeing(t *testing.T, agree func(context.Context, app.Change) error) *app.Registry {
	t.Helper()
	return open(t, dbPath(t), app.Options{Agree: agree})
}

func anything(context.Context, app.Change) error { return nil }

// newer is a change that a test makes by hand of an app that there is.
func newer(a *app.App, version uint64, change func(*app.App)) app.Change {
	b := *a
	b.ServerKeys, b.ClientKeys = slices.Clone(a.ServerKeys), slices.Clone(a.ClientKeys)
	change(&b)
	return app.Change{ID: a.ID, Version: version, App: &b}
}

func titled(title string) func(*app.App) { return func(a *app.App) { a.Title = title } }

func TestEachChangeOfAnAppIsAgreedOn(t *testing.T) {
	t.Parallel()
	var asked []app.Change
	r := agreeing(t, func(_ context.Context, c app.Change) error {
		asked = append(asked, c)
		return nil
	})
	a := create(t, r, "a")
	must[*app.App](t)(r.Rename(a.ID, "b"))
	must[*app.App](t)(r.Rename(a.ID, "b")) // no change
	must[*app.App](t)(r.ResetToken(a.ID))
	must[*app.App](t)(r.RotateServerKey(a.ID, hour))
	must[*app.App](t)(r.RotateClientKey(a.ID, hour))
	must[*app.App](t)(r.RevokeOld(a.ID, true, true))
	must[*app.App](t)(r.SetName(a.ID, names.Name{Kind: names.User, ID: "u", Name: "Ann"})) // not part of it
	now := must[[]*app.App](t)(r.RotateAll([]app.Rotation{{ID: a.ID, Server: true}}, 0))[0]
	noError(t, "remove", r.Remove(strings.ToUpper(a.ID)))
	importFile(t, r, oldFile(entryA, entryB))

	want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 1, 1}
	if len(asked) != len(want) {
		t.Fatalf("asked %d times, want %d", len(asked), len(want))
	}
	for i, c := range asked {
		if c.Version != want[i] || i < 8 && c.ID != a.ID || c.App != nil && c.App.ID != c.ID || (c.App == nil) != (i == 7) {
			t.Errorf("change %d: %s version %d, app %v", i, c.ID, c.Version, c.App)
		}
	}
	if asked[6].App != now {
		t.Error("what was agreed on is not what was answered")
	}
	if r.Version(a.ID) != 8 || r.Version(idA) != 1 || r.Version(idC) != 0 {
		t.Errorf("versions %d, %d, %d, want 8, 1, 0", r.Version(a.ID), r.Version(idA), r.Version(idC))
	}
}

func TestWhatIsNotAgreedOnIsNotChanged(t *testing.T) {
	t.Parallel()
	q := new(quorum)
	r := q.node(t, app.Options{})
	a := create(t, r, "a")
	before := r.List()
	q.fails(errNobodyAnswers)
	for what, err := range changesOf(r, a.ID) {
		if what != "backup" {
			want(t, what, err, errNobodyAnswers)
			want(t, what, err, app.ErrNotAgreed)
		}
	}
	want(t, "rotate all", second(r.RotateAll([]app.Rotation{{ID: a.ID, Server: true}}, 0)), errNobodyAnswers)
	if !slices.Equal(r.List(), before) {
		t.Errorf("there is %v, want %v", r.List(), before)
	}
	must[*app.App](t)(r.SetName(a.ID, names.Name{Kind: names.User, ID: "u", Name: "Ann"}))
}

// Two nodes change the same app at once: nothing that one of them did is lost.
func TestAChangeIsMadeAnewFromTheNewerApp(t *testing.T) {
	t.Parallel()
	q := new(quorum)
	one, two := q.node(t, app.Options{}), q.node(t, app.Options{})
	a := create(t, one, "a")
	rotated := newer(a, 1, func(*app.App) {})
	noError(t, "apply", two.Apply(rotated))
	after := must[*app.App](t)(two.RotateServerKey(a.ID, hour))
	renamed := must[*app.App](t)(one.Rename(a.ID, "renamed"))
	if renamed.Title != "renamed" || renamed.ServerKeys[0].Key != after.ServerKeys[0].Key || one.Version(a.ID) != 3 {
		t.Errorf("title %q, key of the other node: %v, version %d", renamed.Title,
			renamed.ServerKeys[0].Key == after.ServerKeys[0].Key, one.Version(a.ID))
	}
}

func TestManyNodesChangeOneApp(t *testing.T) {
	t.Parallel()
	q := new(quorum)
	var nodes []*app.Registry
	for range 5 {
		nodes = append(nodes, q.node(t, app.Options{}))
	}
	a := create(t, nodes[0], "a")
	for _, r := range nodes[1:] {
		noError(t, "apply", r.Apply(q.all()...))
	}
	var done []<-chan error
	for _, r := range nodes {
		done = append(done, doing(func() error { return second(r.RotateServerKey(a.ID, hour)) }))
	}
	for _, d := range done {
		noError(t, "rotate", <-d) // nobody is outrun more often than there are others
	}
	for _, r := range nodes {
		noError(t, "apply", r.Apply(q.all()...))
		now := get(t, r, a.ID)
		if len(now.ServerKeys) != len(nodes)+1 || !app.Same(now, get(t, nodes[0], a.ID), time.Now()) {
			t.Errorf("%d keys after %d changes, or not the same as elsewhere", len(now.ServerKeys), len(nodes))
		}
	}
}

func TestAChangeIsGivenUpAfterTenConflicts(t *testing.T) {
	t.Parallel()
	asked := 0
	r := agreeing(t, func(context.Context, app.Change) error { asked++; return app.ErrConflict })
	want(t, "create", second(r.Create("a")), app.ErrConflict)
	if asked != 10 || len(r.List()) != 0 {
		t.Errorf("asked %d times, want 10; there is %v", asked, r.List())
	}
}

// Its record was taken for another's: nobody else can have made an app with its id.
func TestAnAppIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	var r *app.Registry
	r = agreeing(t, func(_ context.Context, c app.Change) error {
		noError(t, "apply", r.Apply(c, newer(c.App, 2, titled("b"))))
		return app.ErrConflict
	})
	a := create(t, r, "a")
	if got := get(t, r, a.ID); got != a || a.Title != "b" || r.Version(a.ID) != 2 {
		t.Errorf("made %v, there is %v of version %d", a, got, r.Version(a.ID))
	}
}

// Neither that it was changed nor that it was not can be said.
func TestWhoAgreesMayNotKnow(t *testing.T) {
	t.Parallel()
	asked := 0
	r := agreeing(t, func(context.Context, app.Change) error {
		asked++
		return fmt.Errorf("%w: %w", app.ErrOutcomeUnknown, errNobodyAnswers)
	})
	err := second(r.Create("a"))
	want(t, "create", err, app.ErrOutcomeUnknown)
	want(t, "its reason", err, errNobodyAnswers)
	if asked != 1 || errors.Is(err, app.ErrNotAgreed) {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestApplyNeverGoesBackwards(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	var told []string
	r := open(t, path, app.Options{Changed: func(_ string, a *app.App) {
		if a == nil {
			told = append(told, "removed")
			return
		}
		told = append(told, a.Title)
	}})
	other, _ := newRegistry(t)
	a := create(t, other, "one")
	for _, step := range []struct {
		version uint64
		title   string // empty: removed
		want    string // what is there then
	}{
		{1, "one", "one"},
		{4, "four", "four"}, // versions may be skipped
		{4, "other four", "four"},
		{3, "three", "four"},
		{5, "four", "four"}, // nothing to tell
		{6, "", ""},
		{5, "five", ""},
		{6, "six", ""},
		{7, "seven", "seven"},
		{8, "", ""},
	} {
		c := newer(a, step.version, titled(step.title))
		if step.title == "" {
			c.App = nil
		}
		noError(t, "apply", r.Apply(c))
		noError(t, "apply again", r.Apply(c))
		got := ""
		if now, ok := r.Get(a.ID); ok {
			got = now.Title
		}
		if got != step.want {
			t.Errorf("after version %d: %q, want %q", step.version, got, step.want)
		}
	}
	if want := []string{"one", "four", "removed", "seven", "removed"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	closeRegistry(t, r)
	r = open(t, path, app.Options{})
	noError(t, "apply", r.Apply(newer(a, 8, titled("eight"))))
	if len(r.List()) != 0 || r.Version(a.ID) != 8 {
		t.Errorf("after opening again: %v, version %d", r.List(), r.Version(a.ID))
	}
	// The next life of the app is newer than all that was.
	agreed := app.Change{}
	closeRegistry(t, r)
	r = open(t, path, app.Options{Agree: func(_ context.Context, c app.Change) error { agreed = c; return nil }})
	file := oldEntry("again", a.ID, a.ServerKeys[0].Key, a.ClientKeys[0].Key)
	if report := importFile(t, r, file); len(report.Imported) != 1 || agreed.Version != 9 {
		t.Errorf("imported %d, version %d, want 1, 9", len(report.Imported), agreed.Version)
	}
}

func TestApplyKeepsNamesAndDropsEndedKeys(t *testing.T) {
	t.Parallel()
	r, clock := newRegistry(t)
	a := create(t, r, "a")
	named := must[*app.App](t)(r.SetName(a.ID, names.Name{Kind: names.User, ID: "u", Name: "Ann"}))
	other := newer(must[*app.App](t)(r.RotateClientKey(a.ID, time.Second)), 1, titled("b"))
	clock.advance(hour)
	noError(t, "apply", r.Apply(other))
	now := get(t, r, a.ID)
	if now.Title != "b" || now.Names() != named.Names() || len(now.ClientKeys) != 1 {
		t.Errorf("title %q, names kept: %v, %d client keys", now.Title, now.Names() == named.Names(), len(now.ClientKeys))
	}
}

// A server key belongs to one app: a database with two of them could not be opened.
func TestApplyLeavesOutAnAppWithAKeyOfAnother(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	importFile(t, r, oldFile(entryA))
	other, _ := newRegistry(t)
	importFile(t, other, oldEntry("taken", idB, keyA, clientB)+"\n"+entryC)
	thief, _ := other.Get(idB)
	fine, _ := other.Get(idC)
	changes := []app.Change{{ID: idB, Version: 1, App: thief}, {ID: idC, Version: 1, App: fine}}
	want(t, "apply", r.Apply(changes...), app.ErrKeyTaken)
	all := append(changes, app.Change{ID: idA, Version: 1, App: get(t, r, idA)})
	want(t, "join", r.Join(uuid.New(), all), app.ErrKeyTaken)
	if got := titles(r.List()); len(got) != 2 || r.Version(idB) != 0 || r.Version(idC) != 1 {
		t.Errorf("there is %q, versions %d and %d", got, r.Version(idB), r.Version(idC))
	}
	// Once the first app is gone the other one may have its key; in one go, too.
	noError(t, "apply", r.Apply(app.Change{ID: idA, Version: 1}, changes[0]))
	closeRegistry(t, r)
	if got := open(t, path, app.Options{}).List(); len(got) != 2 {
		t.Errorf("after opening again: %v", got)
	}
}

func TestThePauseWaitsForWhatIsBeingAgreedOn(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan error)
	r := agreeing(t, func(context.Context, app.Change) error {
		asked <- struct{}{}
		return <-answer
	})
	creating := creating(r, "a")
	<-asked
	want(t, "pause", r.Pause(over()), context.Canceled)
	want(t, "a later change", second(r.Create("b")), app.ErrHandingOver)
	paused := doing(func() error { return r.Pause(context.Background()) })
	answer <- nil
	noError(t, "the change", <-creating)
	noError(t, "pause", <-paused)
	if len(r.List()) != 1 {
		t.Errorf("there is %v", r.List())
	}
	want(t, "apply", r.Apply(app.Change{ID: idA, Version: 1}), app.ErrHandingOver)
	r.Resume()
	noError(t, "apply", r.Apply(app.Change{ID: idA, Version: 1}))
}

// A change of many apps at once stops after the one that is being agreed on.
func TestThePauseDoesNotWaitForThousands(t *testing.T) {
	t.Parallel()
	var r *app.Registry
	pausing := false
	r = agreeing(t, func(context.Context, app.Change) error {
		if pausing {
			want(t, "pause", r.Pause(over()), context.Canceled)
		}
		return nil
	})
	a, b := create(t, r, "a"), create(t, r, "b")
	pausing = true
	report, err := r.Import(strings.NewReader(oldFile(entryA, entryB, entryC)))
	want(t, "import", err, app.ErrHandingOver)
	if len(report.Imported) != 1 || len(r.List()) != 3 {
		t.Errorf("imported %v, there is %v", report.Imported, r.List())
	}
	r.Resume()
	made, err := r.RotateAll([]app.Rotation{{ID: a.ID, Server: true}, {ID: b.ID, Server: true}}, 0)
	want(t, "rotate all", err, app.ErrHandingOver)
	if len(made) != 1 || get(t, r, b.ID) != b {
		t.Errorf("made %v", made)
	}
}

func TestWhoIsAbandonedOrClosedDoesNotKnowWhatWasAgreedOn(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan error)
	r := agreeing(t, func(context.Context, app.Change) error {
		asked <- struct{}{}
		return <-answer
	})
	left := creating(r, "a")
	<-asked
	r.Abandon()
	want(t, "the abandoned one", <-left, app.ErrOutcomeUnknown)
	answer <- nil
	noError(t, "pause", r.Pause(context.Background()))
	if len(r.List()) != 1 {
		t.Errorf("there is %v", r.List())
	}

	r = agreeing(t, func(ctx context.Context, _ app.Change) error {
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	left = creating(r, "a")
	<-asked
	closeRegistry(t, r)
	want(t, "the one while it was closed", <-left, app.ErrOutcomeUnknown)
	want(t, "a later one", second(r.Create("b")), app.ErrClosed)
}

// The others have it: it must not be said that nothing was changed.
func TestWhatIsAgreedOnAndNotStored(t *testing.T) {
	t.Parallel()
	q := new(quorum)
	r := q.node(t, app.Options{})
	app.BeforeDisk(r, neverWrites)
	err := second(r.Create("a"))
	want(t, "create", err, app.ErrOutcomeUnknown)
	want(t, "its reason", err, errDisk)
	if len(r.List()) != 0 || len(q.all()) != 1 {
		t.Fatalf("there is %v, agreed on %d", r.List(), len(q.all()))
	}
	want(t, "apply", r.Apply(q.all()...), app.ErrNotStored)
	app.BeforeDisk(r, works)
	noError(t, "apply", r.Apply(q.all()...))
	if len(r.List()) != 1 {
		t.Errorf("there is %v", r.List())
	}
}

func TestAVersionThatMayBeStoredHoldsAsItIsInTheFile(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	other, _ := newRegistry(t)
	a := create(t, other, "a")
	app.BeforeDisk(r, failsInTheEnd)
	want(t, "apply", r.Apply(app.Change{ID: a.ID, Version: 3, App: a}), app.ErrOutcomeUnknown)
	want(t, "ensure node", second(r.EnsureNode()), app.ErrOutcomeUnknown)
	if r.Version(a.ID) != 3 || r.Membership().Node == uuid.Nil || len(r.List()) != 1 {
		t.Errorf("version %d, node %v, there is %v", r.Version(a.ID), r.Membership().Node, r.List())
	}
}

func TestRotateAllInAClusterChangesOneAppAfterTheOther(t *testing.T) {
	t.Parallel()
	left := 4 // changes that are agreed on
	r := agreeing(t, func(context.Context, app.Change) error {
		if left--; left < 0 {
			return errNobodyAnswers
		}
		return nil
	})
	a, b, c := create(t, r, "a"), create(t, r, "b"), create(t, r, "c")
	all := []app.Rotation{{ID: a.ID, Server: true}, {ID: b.ID, Client: true}, {ID: c.ID, Server: true}}
	want(t, "a missing app", second(r.RotateAll(append(all, app.Rotation{ID: idA}), 0)), app.ErrNotFound)
	want(t, "an app twice", second(r.RotateAll(append(all, all[0]), 0)), app.ErrNotFound)
	want(t, "a bad grace", second(r.RotateAll(all, -1)), app.ErrBadGrace)
	made, err := r.RotateAll(all, 0)
	want(t, "rotate", err, errNobodyAnswers)
	if !strings.HasSuffix(err.Error(), "it was done for "+a.ID) {
		t.Errorf("the error is %v", err)
	}
	if len(made) != 1 || made[0] != get(t, r, a.ID) || get(t, r, b.ID) != b || get(t, r, c.ID) != c {
		t.Errorf("made %v", made)
	}
}

func TestAnImportInAClusterSaysWhatItMade(t *testing.T) {
	t.Parallel()
	left := 2
	r := agreeing(t, func(context.Context, app.Change) error {
		if left--; left < 0 {
			return errNobodyAnswers
		}
		return nil
	})
	report, err := r.Import(strings.NewReader(oldFile(entryA, entryB, entryC)))
	want(t, "import", err, errNobodyAnswers)
	if got := len(report.Imported); got != 2 || len(r.List()) != 2 {
		t.Errorf("the report has %d, there are %d, want 2", got, len(r.List()))
	}
	left = 1
	if report = importFile(t, r, oldFile(entryA, entryB, entryC)); len(report.Imported) != 1 || len(report.Present) != 2 {
		t.Errorf("imported %d, present %d, want 1 and 2", len(report.Imported), len(report.Present))
	}
}

// Both nodes import the same file: whoever comes second finds the apps there.
func TestTwoNodesImportTheSameFile(t *testing.T) {
	t.Parallel()
	q := new(quorum)
	one, two := q.node(t, app.Options{}), q.node(t, app.Options{})
	importFile(t, one, oldFile(entryA, entryB))
	report := importFile(t, two, oldFile(entryA, oldEntry("other", idB, keyC, clientB), entryC))
	if len(report.Imported) != 1 || report.Imported[0].ID != idC {
		t.Errorf("imported %v, want the last entry", report.Imported)
	}
	if len(report.Present) != 1 || len(report.Problems) != 1 || report.Problems[0].Code != app.ProblemIDTaken {
		t.Errorf("present %v, problems %v", report.Present, report.Problems)
	}
}

func TestKeysEndWithoutAgreement(t *testing.T) {
	t.Parallel()
	path, clock, asked := dbPath(t), newClock(), 0
	count := func(context.Context, app.Change) error { asked++; return nil }
	r := open(t, path, app.Options{Now: clock.now, Agree: count})
	noError(t, "join", r.Join(uuid.New(), nil))
	a := create(t, r, "a")
	must[*app.App](t)(r.RotateServerKey(a.ID, time.Second))
	clock.advance(hour)
	must[time.Time](t)(r.Expire())
	if len(get(t, r, a.ID).ServerKeys) != 1 || asked != 2 || r.Version(a.ID) != 2 {
		t.Errorf("%d keys, asked %d times, version %d", len(get(t, r, a.ID).ServerKeys), asked, r.Version(a.ID))
	}
	closeRegistry(t, r)
	if alone := open(t, path, app.Options{}).Alone(); alone != nil {
		t.Errorf("the end of a key was taken for a change: %v", alone)
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	node := must[uuid.UUID](t)(r.EnsureNode())
	kept, gone := create(t, r, "kept"), create(t, r, "gone")
	kept = must[*app.App](t)(r.SetName(kept.ID, names.Name{Kind: names.User, ID: "u", Name: "Ann"}))
	other, _ := newRegistry(t)
	fresh := create(t, other, "fresh")
	cluster := uuid.New()
	noError(t, "join", r.Join(cluster, []app.Change{
		newer(kept, 7, func(*app.App) {}), {ID: fresh.ID, Version: 2, App: fresh}, {ID: idA, Version: 3},
	}))
	if now := get(t, r, kept.ID); now != kept {
		t.Error("an app that is the same was replaced")
	}
	for range 2 {
		if got, want := r.Membership(), (app.Membership{Cluster: cluster, Node: node}); got != want {
			t.Errorf("membership %v, want %v", got, want)
		}
		known := make(map[string]uint64)
		for _, c := range r.Known() {
			known[c.ID] = c.Version
		}
		if want := map[string]uint64{kept.ID: 7, fresh.ID: 2, idA: 3}; !maps.Equal(known, want) {
			t.Errorf("known %v, want %v", known, want)
		}
		if _, ok := r.Get(gone.ID); ok || r.Alone() != nil {
			t.Errorf("there is still the app that the cluster has not: %v; changed alone: %v", ok, r.Alone())
		}
		closeRegistry(t, r)
		r = open(t, path, app.Options{})
	}
	// Another cluster: nothing of the first one is left.
	noError(t, "join", r.Join(uuid.New(), nil))
	if len(r.Known()) != 0 || len(r.List()) != 0 || must[uuid.UUID](t)(r.EnsureNode()) != node {
		t.Errorf("known %v", r.Known())
	}
}

// A node that was back to a single one, or ran a program that knows of no cluster, has
// changes that nobody else has.
func TestWhatWasChangedAloneIsKnown(t *testing.T) {
	t.Parallel()
	path, clock := dbPath(t), newClock()
	r := open(t, path, app.Options{Now: clock.now})
	renamed, removed, named, expired := create(t, r, "a"), create(t, r, "b"), create(t, r, "c"), create(t, r, "d")
	if r.Alone() != nil {
		t.Error("without a cluster there is nobody to be alone without")
	}
	expired = must[*app.App](t)(r.RotateClientKey(expired.ID, time.Second))
	var all []app.Change
	for _, a := range []*app.App{renamed, removed, named, expired} {
		all = append(all, app.Change{ID: a.ID, Version: 5, App: a})
	}
	all = append(all, app.Change{ID: idA, Version: 2})
	noError(t, "join", r.Join(uuid.New(), all))
	if alone := r.Alone(); alone != nil {
		t.Errorf("changed alone: %v", alone)
	}

	must[*app.App](t)(r.Rename(renamed.ID, "renamed"))
	noError(t, "remove", r.Remove(removed.ID))
	must[*app.App](t)(r.SetName(named.ID, names.Name{Kind: names.User, ID: "u", Name: "Ann"}))
	must[*app.App](t)(r.SetName(renamed.ID, names.Name{Kind: names.User, ID: "u", Name: "Ann"}))
	clock.advance(hour)
	must[time.Time](t)(r.Expire())
	made := create(t, r, "made")
	importFile(t, r, entryA)
	want := []string{renamed.ID, removed.ID, made.ID, idA}
	slices.Sort(want)
	for range 2 {
		if got := r.Alone(); !slices.Equal(got, want) {
			t.Errorf("changed alone: %v, want %v", got, want)
		}
		closeRegistry(t, r)
		r = open(t, path, app.Options{Now: clock.now, Agree: anything})
	}
	// Once it is agreed on, it is no longer alone.
	must[*app.App](t)(r.Rename(renamed.ID, "once more"))
	if got := r.Alone(); slices.Contains(got, renamed.ID) || r.Version(renamed.ID) != 6 {
		t.Errorf("changed alone: %v; version %d, want 6", got, r.Version(renamed.ID))
	}
}

// A program of before knows nothing of the bucket and goes by the schema version alone;
// and this one opens what a later one has added likewise.
func TestADatabaseOfAClusterIsStillOfSchema1(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{Agree: anything})
	noError(t, "join", r.Join(uuid.New(), nil))
	a := create(t, r, "a")
	member := r.Membership()
	closeRegistry(t, r)
	db := must[*bbolt.DB](t)(bbolt.Open(path, 0, nil))
	noError(t, "update", db.Update(func(tx *bbolt.Tx) error {
		if got := string(tx.Bucket([]byte("meta")).Get([]byte("schema_version"))); got != "1" {
			t.Errorf("the schema version is %q, want 1", got)
		}
		later := must[*bbolt.Bucket](t)(tx.CreateBucket([]byte("later")))
		return errors.Join(later.Put([]byte("key"), []byte("value")),
			tx.Bucket([]byte("cluster")).Put([]byte("later"), []byte("value")))
	}))
	noError(t, "close", db.Close())

	must[app.Seen](t)(app.Look(path))
	r = open(t, path, app.Options{})
	backup := must[[]byte](t)(r.Backup())
	apps := must[[]*app.App](t)(app.DecodeApps(must[[]byte](t)(app.EncodeApps(r.List()))))
	identity := r.Identity()
	closeRegistry(t, r)

	successor := app.FromMemory(apps, identity, app.Options{Agree: anything})
	t.Cleanup(func() { successor.Close() })
	if successor.Membership() != (app.Membership{}) || successor.Version(a.ID) != 0 {
		t.Error("without the file, something is known of the cluster")
	}
	want(t, "apply without the file", successor.Apply(app.Change{ID: a.ID, Version: 5}), app.ErrUnavailable)
	want(t, "create without the file", second(successor.Create("b")), app.ErrUnavailable)
	noError(t, "reopen", successor.Reopen(path))
	restored := dbPath(t)
	writeFile(t, restored, backup)
	for _, r := range []*app.Registry{successor, open(t, restored, app.Options{Agree: anything})} {
		if r.Membership() != member || r.Version(a.ID) != 1 || len(r.List()) != 1 || r.Alone() != nil {
			t.Errorf("membership %v, version %d, there is %v, changed alone: %v", r.Membership(), r.Version(a.ID),
				r.List(), r.Alone())
		}
		must[*app.App](t)(r.Rename(a.ID, "b"))
	}
}

func TestADamagedRecordOfTheClusterIsDamage(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"cluster": "main", "node": "", "app." + idA: "", "app." + idB: "0 removed", "app." + idC: "1", "app.x": "1 removed",
	} {
		path := dbPath(t)
		r := open(t, path, app.Options{})
		noError(t, "join", r.Join(uuid.New(), nil))
		closeRegistry(t, r)
		db := must[*bbolt.DB](t)(bbolt.Open(path, 0, nil))
		noError(t, "update", db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("cluster")).Put([]byte(key), []byte(value))
		}))
		noError(t, "close", db.Close())
		want(t, key, second(app.Open(path, app.Options{})), app.ErrDamaged)
	}
}

func TestARecordForOtherNodes(t *testing.T) {
	t.Parallel()
	r, clock := newRegistry(t)
	a := create(t, r, "Склад")
	must[*app.App](t)(r.RotateServerKey(a.ID, hour))
	a = must[*app.App](t)(r.RotateClientKey(a.ID, hour))
	text, err := a.MarshalRecord()
	noError(t, "marshal", err)
	back, err := app.ParseRecord(text)
	noError(t, "parse", err)
	if !app.Same(a, back, clock.now()) || !app.SameKeys(a, back) {
		t.Error("what was read is not what was written")
	}
	clock.advance(2 * hour)
	must[time.Time](t)(r.Expire())
	if !app.Same(get(t, r, a.ID), back, clock.now()) {
		t.Error("a key whose time is over makes a difference")
	}
	if app.Same(get(t, r, a.ID), back, clock.now().Add(-2*hour)) {
		t.Error("a key that works makes no difference")
	}
	for _, damaged := range []string{
		"", "{}", "null", string(text[:len(text)-1]), strings.Replace(string(text), a.ID, "x", 1),
	} {
		if _, err := app.ParseRecord([]byte(damaged)); err == nil || strings.Contains(err.Error(), a.ServerKeys[0].Key) {
			t.Errorf("a damaged record: %v", err)
		}
	}
}

// A node that is not upgraded yet changes an app: what the later version has noted of it stays,
// on its own disk as well.
func TestWhatALaterVersionHasNotedStays(t *testing.T) {
	t.Parallel()
	q := new(quorum)
	var r *app.Registry
	path := dbPath(t)
	r = open(t, path, app.Options{Agree: q.agree(func() *app.Registry { return r })})
	a := must[*app.App](t)(r.RotateServerKey(create(t, r, "a").ID, hour))
	text := string(must[json.RawMessage](t)(a.MarshalRecord()))
	text = strings.Replace(text, `"title"`, `"quota":{"a_day":5},"title"`, 1)
	text = strings.ReplaceAll(text, `"key"`, `"note":"x","key"`)
	noted := must[*app.App](t)(app.ParseRecord([]byte(text)))
	if app.Same(a, noted, time.Now()) {
		t.Error("what was noted makes no difference")
	}
	noError(t, "apply", r.Apply(app.Change{ID: a.ID, Version: 3, App: noted}))
	for range 2 {
		if now := get(t, r, a.ID); !app.Same(now, noted, time.Now()) {
			t.Error("the app is not the same as it was taken over")
		}
		closeRegistry(t, r)
		r = open(t, path, app.Options{Agree: q.agree(func() *app.Registry { return r })})
	}
	must[*app.App](t)(r.Rename(a.ID, "b"))
	must[*app.App](t)(r.RotateClientKey(a.ID, 0))
	for _, c := range append(q.all(), app.Change{App: get(t, r, a.ID)}) {
		text := string(must[json.RawMessage](t)(c.App.MarshalRecord()))
		if strings.Count(text, `"quota":{"a_day":5}`) != 1 || strings.Count(text, `"note":"x"`) != 2 {
			t.Errorf("there is no quota, or not the notes of the two keys that it had: %d notes",
				strings.Count(text, `"note":"x"`))
		}
	}
}

// TestChangesAreAgreedOnFromSomeTimeOn: what was imported into a new database before that is
// the node's own.
func TestChangesAreAgreedOnFromSomeTimeOn(t *testing.T) {
	t.Parallel()
	r, err := app.Open(filepath.Join(t.TempDir(), "x.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before, err := r.Create("before")
	if err != nil {
		t.Fatal(err)
	}
	var agreed []string
	r.AgreeBy(func(_ context.Context, c app.Change) error {
		agreed = append(agreed, c.App.Title)
		return nil
	})
	after, err := r.Create("after")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(agreed) != "[after]" || r.Version(before.ID) != 0 || r.Version(after.ID) != 1 {
		t.Errorf("agreed on %v; versions %d and %d", agreed, r.Version(before.ID), r.Version(after.ID))
	}
}
