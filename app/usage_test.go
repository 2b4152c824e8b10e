package app_test

import (
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

func TestTokensAreCountedByTheKeyTheyWereGotWith(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	authorize := func(key string, times int) {
		for range times {
			must[app.Token](t)(r.Authorize(key, time.Minute))
		}
	}
	old := a.ServerKeys[0].Key
	authorize(old, 3)
	a = must[*app.App](t)(r.RotateServerKey(a.ID, 3*hour))
	c.advance(30 * time.Minute)
	authorize(old, 2)
	lastOfOld := c.now()
	c.advance(20 * time.Minute)
	authorize(a.ServerKeys[0].Key, 1)
	wantUse := func(current, before int) {
		t.Helper()
		use := r.TokenUse(a)
		if use[0].Recent != current || use[1].Recent != before {
			t.Errorf("counted %d and %d, want %d and %d", use[0].Recent, use[1].Recent, current, before)
		}
		if !use[1].Last.Equal(lastOfOld) {
			t.Errorf("the old key was last used at %v, want %v", use[1].Last, lastOfOld)
		}
	}
	wantUse(1, 5)
	c.advance(20 * time.Minute) // the first three are older than an hour
	wantUse(1, 2)
	c.advance(-10 * time.Minute) // as when somebody sets the clock
	authorize(a.ServerKeys[0].Key, 1)
	wantUse(2, 2)
	c.advance(2 * hour)
	wantUse(0, 0)
	a = must[*app.App](t)(r.RevokeOld(a.ID, true, false))
	if use := r.TokenUse(a); len(use) != 1 || use[0].Last.IsZero() {
		t.Errorf("after the old key was revoked: %+v", use)
	}
}

func TestAKeyThatWasNeverUsedHasNoLastUse(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	if use := r.TokenUse(create(t, r, "a")); len(use) != 1 || use[0] != (app.TokenUse{}) {
		t.Errorf("got %+v", use)
	}
}

// BenchmarkAuthorizeInParallel: forty background jobs of one 1C server come at once.
func BenchmarkAuthorizeInParallel(b *testing.B) {
	b.ReportAllocs()
	r, _ := newRegistry(b)
	key := create(b, r, "a").ServerKeys[0].Key
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Authorize(key, time.Hour); err != nil {
				b.Error(err)
			}
		}
	})
}
