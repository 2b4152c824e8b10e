package bucket

import (
	"context"
	"errors"
	"slices"

	"github.com/pns4ones/pns4ones/app"
)

// apply applies the records that were noted, and tells the peers that have put them. It
// reports whether nothing is left to be applied.
func (b *Bucket) apply(ctx context.Context) bool {
	b.applying.Lock()
	defer b.applying.Unlock()
	records := b.newRecords()
	if len(records) == 0 {
		return true
	}
	changes := make([]app.Change, len(records))
	for i, r := range records {
		changes[i] = r.Change
	}
	closed, err := stored(ctx, b, func() ([]int, error) { return b.o.Apply(changes) })
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return false
	}
	if err != nil && !errors.Is(err, app.ErrHandingOver) && !errors.Is(err, app.ErrClosed) {
		b.notStored(err)
	}
	all := true
	var tell []func()
	b.mu.Lock()
	for i, r := range records {
		key := keyOf(r.ID)
		if b.o.Apps.Version(r.ID) < r.Version {
			all = false
			continue
		}
		r.applied = true
		sessions := 0
		if i < len(closed) {
			sessions = closed[i]
		}
		if b.records[key] == r {
			delete(b.unapplied, key)
		}
		if r.by != b.o.Node {
			tell = append(tell, func() { b.o.Applied(r.by, key, r.revision, sessions) })
		}
		for _, n := range r.owed {
			tell = append(tell, func() { b.o.Applied(n.peer, key, n.revision, 0) })
		}
		r.owed = nil
	}
	if all && b.problem != nil && b.problem.Code == NotStored {
		b.setState(b.state, nil)
	}
	b.announce()
	b.mu.Unlock()
	for _, one := range tell {
		one()
	}
	return all
}

// stored does work that needs the disk, and waits for it; for a disk that stalls no longer than
// a moment after ctx has ended, with its error. Then the work goes on, as any change of the
// registry does.
func stored[T any](ctx context.Context, b *Bucket, work func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := work()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-b.o.Clock.After(stallTime):
		var none T
		return none, ctx.Err()
	}
}

// newRecords is the records that were not applied yet, in the order of their revisions.
func (b *Bucket) newRecords() (records []*record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed, cluster := false, b.o.Apps.Membership().Cluster
	for key := range b.unapplied {
		r := b.records[key]
		switch version := b.o.Apps.Version(r.ID); {
		case r.cluster != cluster: // that the bucket is another one's now is about to be heard
		case r.Version > version:
			records = append(records, r)
			continue
		case r.Version == version:
			b.compare(r)
		}
		delete(b.unapplied, key)
		passed = true
	}
	if passed {
		b.announce() // somebody may wait for it, and the registry has it without us
	}
	slices.SortFunc(records, func(x, y *record) int {
		if x.revision < y.revision {
			return -1
		}
		return 1
	})
	return records
}

// compare looks whether a record is what this node has under the same version. The caller
// holds mu.
func (b *Bucket) compare(r *record) {
	r.applied = true
	id := r.ID
	here, there := b.o.Apps.Get(id)
	same := there == (r.App != nil)
	if same && there {
		same = app.Same(here, r.App, b.o.Clock.Now())
	}
	if same {
		delete(b.forked, id)
		return
	}
	b.forked[id] = true
	r.applied = false
}

// notStored says that the registry does not take something.
func (b *Bucket) notStored(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setState(b.state, &ProblemError{Code: NotStored, Err: err})
}
