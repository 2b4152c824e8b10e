package bucket_test

import (
	"math"
	"slices"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// What cannot be read, or says something impossible, changes nothing.
func TestWhatAPeerSaysMayBeAnything(t *testing.T) {
	m := newMesh(t, startNATS(t, nil))
	one := m.start("web1", options{live: func() []string { return []string{"ghost"} }})
	one.untilState(bucket.Live)
	a := one.create("a")
	key := "app." + a.ID
	revision := one.bucket.Revision()
	whole := bucket.Confirmation(key, revision, 3)
	for _, body := range [][]byte{
		nil, whole[:15], whole[:16], whole[:len(whole)-1],
		slices.Concat(whole[:16], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		bucket.Confirmation(key, revision, math.MaxInt64),
		bucket.Confirmation(key, revision-1, 7), // of another change
		bucket.Confirmation("app.6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f", revision, 7),
	} {
		one.bucket.Told("ghost", seal.KindApplied, body)
		one.bucket.Told("ghost", seal.KindMessage, whole)
	}
	one.bucket.Told("ghost", seal.KindApplied, append(whole, "of a later version"...))
	if got := one.bucket.Settle(t.Context(), a.ID); len(got.Pending) != 0 || got.Closed != 3 {
		t.Errorf("settled: %+v, want 3 closed and nobody pending", got)
	}
}

func FuzzTold(f *testing.F) {
	const key = "app.6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f"
	f.Add([]byte(nil))
	f.Add(bucket.Notice(key, 1))
	f.Add(bucket.Confirmation(key, math.MaxUint64, 0))
	f.Fuzz(func(t *testing.T, body []byte) {
		key, revision, rest, ok := bucket.ReadAbout(body)
		if !ok {
			return
		}
		again, told, more, ok := bucket.ReadAbout(append(bucket.Notice(key, revision), rest...))
		if !ok || again != key || told != revision || string(more) != string(rest) {
			t.Errorf("%q, %d, %q became %q, %d, %q", key, revision, rest, again, told, more)
		}
	})
}
