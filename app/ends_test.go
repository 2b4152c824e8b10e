package app_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

func TestKeysEndByTheClockWhateverTheDiskDoes(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	start := c.now()
	if next := r.NextEnd(start); !next.IsZero() {
		t.Errorf("without keys, the next end is %v", next)
	}
	a := create(t, r, "a")
	must[*app.App](t)(r.RotateClientKey(a.ID, 3*hour))
	must[*app.App](t)(r.RotateClientKey(a.ID, hour))
	a = must[*app.App](t)(r.RotateServerKey(a.ID, 2*hour))
	b := create(t, r, "b")

	disk := stall(t, r)
	c.advance(hour + time.Second)
	expired := doing(func() error { return second(r.Expire()) })
	<-disk.given

	end := func(after time.Duration) time.Time { return start.Truncate(time.Second).Add(after + time.Second) }
	for _, at := range []struct {
		now         time.Time
		generations []int
		next        time.Time
	}{
		{start, []int{3, 2, 1}, end(hour)},
		{end(hour).Add(-1), []int{3, 2, 1}, end(hour)},
		{end(hour), []int{3, 1}, end(2 * hour)},
		{end(2 * hour), []int{3, 1}, end(3 * hour)},
		{end(3 * hour), []int{3}, time.Time{}},
	} {
		var generations []int
		for _, k := range get(t, r, a.ID).ClientKeysAt(at.now) {
			generations = append(generations, k.Generation)
		}
		if !slices.Equal(generations, at.generations) {
			t.Errorf("at %v keys %v work, want %v", at.now, generations, at.generations)
		}
		if next := r.NextEnd(at.now); !next.Equal(at.next) {
			t.Errorf("after %v the next end is %v, want %v", at.now, next, at.next)
		}
	}
	if keys := b.ClientKeysAt(end(3 * hour)); len(keys) != 1 {
		t.Errorf("keys of an app that was never rotated: %v", keys)
	}
	keys := a.ClientKeysAt(start)
	keys[0] = app.ClientKey{}
	if a.ClientKeys[0].Generation != 3 {
		t.Error("the slice is not the caller's own")
	}
	if len(get(t, r, a.ID).ClientKeys) != 3 {
		t.Error("a key that is still in the file is gone")
	}
	disk.thaw()
	noError(t, "expire", <-expired)
	if len(get(t, r, a.ID).ClientKeys) != 2 {
		t.Error("the ended key is still there")
	}
}

func TestExpireWithNothingToDoDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a := create(t, r, "a")
	a = must[*app.App](t)(r.RotateClientKey(a.ID, hour))
	disk := stall(t, r)
	underWay := creating(r, "b")
	<-disk.given
	if next := must[time.Time](t)(r.Expire()); !next.Equal(a.ClientKeys[1].Until) {
		t.Errorf("next end %v", next)
	}
	disk.thaw()
	noError(t, "create", <-underWay)
}
