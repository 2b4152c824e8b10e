package ring_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/netsvc/internal/ring"
)

func all(*int) bool { return true }

func fill(r *ring.Ring[int], from, to int) {
	for n := from; n < to; n++ {
		r.Append(n)
	}
}

func TestKeepsTheNewestRecords(t *testing.T) {
	t.Parallel()
	even := func(n *int) bool { return *n%2 == 0 }
	for _, tt := range []struct {
		name     string
		appended int
		max      int
		keep     func(*int) bool
		want     []int
	}{
		{"an empty ring", 0, 10, all, []int{}},
		{"a ring half full", 3, 10, all, []int{0, 1, 2}},
		{"a full ring", 12, 10, all, []int{7, 8, 9, 10, 11}},
		{"the last two", 12, 2, all, []int{10, 11}},
		{"those that match", 12, 10, even, []int{8, 10}},
		{"the last that matches", 12, 1, even, []int{10}},
		{"none", 12, 0, all, []int{}},
	} {
		r := ring.New[int](5)
		fill(r, 0, tt.appended)
		if got, _ := r.Last(tt.max, tt.keep); !cmp.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestALargeRingKeepsTheNewestRecords: its memory is in parts.
func TestALargeRingKeepsTheNewestRecords(t *testing.T) {
	for _, size := range []int{63, 64, 65, 128, 1000} {
		r := ring.New[int](size)
		for n := range 3 * size {
			fill(r, n, n+1)
			last, _ := r.Last(size+1, all)
			first := max(n+1-size, 0)
			if len(last) != n+1-first || last[0] != first || last[len(last)-1] != n {
				t.Fatalf("of %d records in %d places %d are there, %d to %d", n+1, size, len(last), last[0], last[len(last)-1])
			}
		}
	}
}

func TestAFollowerContinuesBehindTheLastRecords(t *testing.T) {
	t.Parallel()
	r := ring.New[int](5)
	fill(r, 0, 3)
	_, c := r.Last(1, all)
	fill(r, 3, 6)
	got, lost, err := c.Next(t.Context(), nil, 2)
	if err != nil || lost != 0 || !cmp.Equal(got, []int{3, 4}) {
		t.Fatalf("got %v, %d lost, %v; want 3 and 4", got, lost, err)
	}
	got, lost, err = c.Next(t.Context(), got[:0], 2)
	if err != nil || lost != 0 || !cmp.Equal(got, []int{5}) {
		t.Fatalf("got %v, %d lost, %v; want 5", got, lost, err)
	}
}

func TestASlowFollowerIsToldWhatItHasMissed(t *testing.T) {
	t.Parallel()
	r := ring.New[int](5)
	_, c := r.Last(0, all)
	fill(r, 0, 812)
	got, lost, err := c.Next(t.Context(), nil, 100)
	if err != nil || lost != 807 || !cmp.Equal(got, []int{807, 808, 809, 810, 811}) {
		t.Fatalf("got %v, %d lost, %v; want the last 5, and 807 lost", got, lost, err)
	}
}

func TestAFollowerWaitsForTheNextRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ring.New[int](5)
		_, c := r.Last(0, all)
		var got []int
		var followers sync.WaitGroup
		followers.Go(func() { got, _, _ = c.Next(t.Context(), nil, 100) })
		synctest.Wait()
		r.Append(42)
		followers.Wait()
		if !cmp.Equal(got, []int{42}) {
			t.Fatalf("got %v, want 42", got)
		}
	})
}

func TestAFollowerLeaves(t *testing.T) {
	t.Parallel()
	_, c := ring.New[int](5).Last(0, all)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Next(ctx, nil, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// Whatever a follower does, what it gets is in order, and what it gets and what
// it lost add up.
func TestFollowersGetEveryRecordOrItsCount(t *testing.T) {
	t.Parallel()
	const records = 20_000
	r := ring.New[int](64)
	var followers sync.WaitGroup
	for batch := range 5 {
		_, c := r.Last(0, all)
		followers.Go(func() {
			var got []int
			for next := 0; next < records; {
				var lost uint64
				var err error
				if got, lost, err = c.Next(t.Context(), got[:0], batch+1); err != nil {
					t.Errorf("following: %v", err)
					return
				}
				next += int(lost)
				for _, n := range got {
					if n != next {
						t.Errorf("got %d, want %d", n, next)
						return
					}
					next++
				}
			}
		})
	}
	fill(r, 0, records)
	followers.Wait()
}

func BenchmarkAppend(b *testing.B) {
	r := ring.New[int](10_000)
	b.ReportAllocs()
	for b.Loop() {
		r.Append(1)
	}
}
