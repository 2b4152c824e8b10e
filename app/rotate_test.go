package app_test

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

const hour = time.Hour

func TestServerKeyWithoutGraceKillsTheOldOnesAtOnce(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a := create(t, r, "a")
	a = must[*app.App](t)(r.RotateServerKey(a.ID, hour)) // an old key is there, too
	var tokens []app.Token
	for _, k := range a.ServerKeys {
		tokens = append(tokens, must[app.Token](t)(r.Authorize(k.Key, hour)))
	}
	b := must[*app.App](t)(r.RotateServerKey(a.ID, 0))
	if len(b.ServerKeys) != 1 || !b.ServerKeys[0].Until.IsZero() {
		t.Errorf("keys left: %v", b.ServerKeys)
	}
	for i, k := range a.ServerKeys {
		if _, err := r.Authorize(k.Key, hour); !errors.Is(err, app.ErrUnknownKey) {
			t.Errorf("old key %d: %v", i, err)
		}
		if _, err := r.CheckToken(tokens[i].Value); !errors.Is(err, app.ErrTokenInvalid) {
			t.Errorf("token of old key %d: %v", i, err)
		}
	}
	token := must[app.Token](t)(r.Authorize(b.ServerKeys[0].Key, hour))
	if got, err := r.CheckToken(token.Value); got != b || err != nil {
		t.Errorf("the new key: %v, %v", got, err)
	}
}

func TestServerKeyWithGraceKeepsTheOldOneForThatLong(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	start := c.now()
	a := create(t, r, "a")
	oldKey := a.ServerKeys[0].Key
	before := must[app.Token](t)(r.Authorize(oldKey, 10*hour))
	a = must[*app.App](t)(r.RotateServerKey(a.ID, 2*hour))

	end := start.Truncate(time.Second).Add(2*hour + time.Second) // rounded up
	if got := a.ServerKeys[1].Until; !got.Equal(end) || a.ServerKeys[1].Key != oldKey {
		t.Fatalf("the old key works until %v, want %v", got, end)
	}
	within := must[app.Token](t)(r.Authorize(oldKey, hour))
	if want := start.Truncate(time.Second).Add(hour); !within.Expires.Equal(want) {
		t.Errorf("token of the old key: until %v, want %v", within.Expires, want)
	}
	capped := must[app.Token](t)(r.Authorize(oldKey, 10*hour))
	if !capped.Expires.Equal(end) {
		t.Errorf("token of the old key: until %v, want the end of the key, %v", capped.Expires, end)
	}
	fresh := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, 10*hour))
	for what, token := range map[string]app.Token{"before": before, "within": within, "capped": capped,
		"fresh": fresh} {
		if got, err := r.CheckToken(token.Value); got != a || err != nil {
			t.Errorf("during the grace: token %s: %v, %v", what, got, err)
		}
	}

	c.advance(end.Sub(c.now()) - 1)
	must[app.Token](t)(r.Authorize(oldKey, hour))
	if _, err := r.CheckToken(before.Value); err != nil {
		t.Errorf("just before the end: %v", err)
	}
	c.advance(1)
	if _, err := r.Authorize(oldKey, hour); !errors.Is(err, app.ErrUnknownKey) {
		t.Errorf("the old key at its end: %v", err)
	}
	for what, token := range map[string]app.Token{"before": before, "within": within, "capped": capped} {
		if _, err := r.CheckToken(token.Value); !errors.Is(err, app.ErrTokenInvalid) {
			t.Errorf("token %s at the end of its key: %v", what, err)
		}
	}
	if _, err := r.CheckToken(fresh.Value); err != nil {
		t.Errorf("the token of the new key: %v", err)
	}
}

func TestEarlierKeysKeepTheirOwnEnd(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			r, c := newRegistry(t)
			a := create(t, r, "a")
			for _, grace := range []time.Duration{2 * hour, 5 * hour, hour, time.Millisecond} {
				a = must[*app.App](t)(kind.rotate(r, a.ID, grace))
			}
			start := c.now().Truncate(time.Second).Add(time.Second)
			want := []time.Time{{}, start, start.Add(hour), start.Add(5 * hour), start.Add(2 * hour)}
			if got := kind.ends(a); !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("got %v, want %v", got, want)
			}
			c.advance(3 * hour)
			a = must[*app.App](t)(kind.rotate(r, a.ID, hour)) // drops what has ended
			want = []time.Time{{}, start.Add(4 * hour), start.Add(5 * hour)}
			if got := kind.ends(a); !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestRotationRefusals(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			r, c := newRegistry(t)
			a := create(t, r, "a")
			for _, grace := range []time.Duration{-1, app.MaxGrace + 1} {
				if _, err := kind.rotate(r, a.ID, grace); !errors.Is(err, app.ErrBadGrace) {
					t.Errorf("grace %v: %v", grace, err)
				}
			}
			if get(t, r, a.ID) != a {
				t.Error("a refused rotation changed the app")
			}
			must[*app.App](t)(kind.rotate(r, a.ID, app.MaxGrace))
			for range 7 {
				must[*app.App](t)(kind.rotate(r, a.ID, hour))
			}
			if _, err := kind.rotate(r, a.ID, hour); !errors.Is(err, app.ErrTooManyKeys) {
				t.Errorf("ninth old key: %v", err)
			}
			c.advance(2 * hour)
			must[*app.App](t)(kind.rotate(r, a.ID, hour)) // seven have ended
			must[*app.App](t)(kind.rotate(r, a.ID, 0))    // always works
		})
	}
}

func TestClientKeyGenerationsGrow(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	keys := map[string]int{a.ClientKeys[0].Key: 1}
	for i, grace := range []time.Duration{hour, 0, time.Second, 0, hour} {
		c.advance(time.Minute)
		a = must[*app.App](t)(r.RotateClientKey(a.ID, grace))
		if got := a.ClientKeys[0].Generation; got != i+2 {
			t.Errorf("rotation %d: generation %d", i+1, got)
		}
		keys[a.ClientKeys[0].Key] = i + 2
	}
	if len(keys) != 6 {
		t.Errorf("%d keys of 6", len(keys))
	}
	for _, k := range a.ClientKeys {
		if keys[k.Key] != k.Generation {
			t.Errorf("a key changed its generation from %d to %d", keys[k.Key], k.Generation)
		}
	}
	if len(a.ServerKeys) != 1 {
		t.Error("server keys rotated, too")
	}
}

func TestExpireRemovesWhatEndedAndTellsTheNextEnd(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	expire := func(want time.Duration) {
		t.Helper()
		got := must[time.Time](t)(r.Expire())
		if want == 0 && !got.IsZero() {
			t.Errorf("next end %v, want none", got)
		}
		if d := got.Sub(c.now()); want != 0 && (d < want || d > want+time.Second) {
			t.Errorf("next end in %v, want %v", d, want)
		}
	}
	expire(0)
	a, b := create(t, r, "a"), create(t, r, "b")
	expire(0)
	must[*app.App](t)(r.RotateServerKey(a.ID, 3*hour))
	must[*app.App](t)(r.RotateServerKey(b.ID, 2*hour))
	a = must[*app.App](t)(r.RotateClientKey(a.ID, hour))
	expire(hour)
	if get(t, r, a.ID) != a {
		t.Error("an app whose keys have not ended changed")
	}
	c.advance(hour + time.Second)
	expire(hour - time.Second)
	if a := get(t, r, a.ID); len(a.ServerKeys) != 2 || len(a.ClientKeys) != 1 {
		t.Errorf("left of a: %v, %v", a.ServerKeys, a.ClientKeys)
	}
	if b := get(t, r, b.ID); len(b.ServerKeys) != 2 {
		t.Errorf("left of b: %v", b.ServerKeys)
	}
	c.advance(10 * hour)
	expire(0)
	for _, a := range r.List() {
		if len(a.ServerKeys) != 1 || len(a.ClientKeys) != 1 {
			t.Errorf("left of %v: %v, %v", a, a.ServerKeys, a.ClientKeys)
		}
	}
}

func TestKeysTellSinceWhenTheyAre(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	r := open(t, path, app.Options{Now: c.now})
	a := create(t, r, "a")
	made := c.now()
	c.advance(hour)
	a = must[*app.App](t)(r.RotateServerKey(a.ID, 9*hour))
	closeRegistry(t, r)
	r = open(t, path, app.Options{Now: c.now})
	a = get(t, r, a.ID)
	if now, before := a.ServerKeys[0].Since, a.ServerKeys[1].Since; !now.Equal(c.now()) || !before.Equal(made) {
		t.Errorf("server keys since %v and %v", now, before)
	}
	if since := a.ClientKeys[0].Since; !since.Equal(made) {
		t.Errorf("client key since %v, want %v", since, made)
	}
}

// TestKeysOfAnOlderVersionAreAsOldAsTheirApp: it did not note when it made them.
func TestKeysOfAnOlderVersionAreAsOldAsTheirApp(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	c.advance(hour)
	must[*app.App](t)(r.RotateClientKey(a.ID, hour))
	document := must[[]byte](t)(app.EncodeApps(r.List()))
	_, record, _ := bytes.Cut(document, []byte("\n"))
	older := regexp.MustCompile(`,"since":"[^"]*"`).ReplaceAllString(string(record[9:len(record)-1]), "")
	apps := must[[]*app.App](t)(app.DecodeApps(append([]byte("1\n"), append(sealed(older), '\n')...)))
	for _, k := range apps[0].ClientKeys {
		if !k.Since.Equal(a.CreatedAt) {
			t.Errorf("%v since %v, want %v", k, k.Since, a.CreatedAt)
		}
	}
}

func TestRotateAllRenewsAllOrNone(t *testing.T) {
	t.Parallel()
	var told []string
	c := newClock()
	r := open(t, dbPath(t), app.Options{Now: c.now, Changed: func(id string, _ *app.App) { told = append(told, id) }})
	a, b := create(t, r, "a"), create(t, r, "b")
	told = nil
	for name, bad := range map[string][]app.Rotation{
		"an app that is not there": {{ID: a.ID, Server: true},
			{ID: "00000000-0000-4000-8000-000000000000", Server: true}},
		"an app twice": {{ID: a.ID, Server: true}, {ID: a.ID, Client: true}},
	} {
		if _, err := r.RotateAll(bad, hour); !errors.Is(err, app.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.RotateAll([]app.Rotation{{ID: a.ID, Server: true}}, -1); !errors.Is(err, app.ErrBadGrace) {
		t.Errorf("a negative grace: %v", err)
	}
	if len(told) > 0 || get(t, r, a.ID) != a {
		t.Error("something has changed")
	}
	apps := must[[]*app.App](t)(r.RotateAll([]app.Rotation{{ID: b.ID, Server: true, Client: true},
		{ID: a.ID, Client: true}}, hour))
	if len(apps) != 2 || apps[0].ID != b.ID || get(t, r, b.ID) != apps[0] || !slices.Equal(told, []string{b.ID, a.ID}) {
		t.Errorf("got %v, told of %v", apps, told)
	}
	if len(apps[0].ServerKeys) != 2 || len(apps[0].ClientKeys) != 2 || len(apps[1].ServerKeys) != 1 ||
		len(apps[1].ClientKeys) != 2 {
		t.Errorf("other keys were renewed than were named: %v %v, %v %v", apps[0].ServerKeys, apps[0].ClientKeys,
			apps[1].ServerKeys, apps[1].ClientKeys)
	}
	if none := must[[]*app.App](t)(r.RotateAll(nil, hour)); len(none) != 0 {
		t.Errorf("nothing to do: %v", none)
	}
}

func TestOldKeysAreRevoked(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		server, client bool
		left           [2]int
	}{
		"server keys": {true, false, [2]int{1, 3}},
		"client keys": {false, true, [2]int{3, 1}},
		"both":        {true, true, [2]int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := newRegistry(t)
			a := create(t, r, "a")
			old := a.ServerKeys[0].Key
			token := must[app.Token](t)(r.Authorize(old, hour))
			for range 2 {
				must[*app.App](t)(r.RotateServerKey(a.ID, hour))
				must[*app.App](t)(r.RotateClientKey(a.ID, hour))
			}
			a = must[*app.App](t)(r.RevokeOld(a.ID, want.server, want.client))
			if got := [2]int{len(a.ServerKeys), len(a.ClientKeys)}; got != want.left || get(t, r, a.ID) != a {
				t.Errorf("keys left: %v, want %v", got, want.left)
			}
			_, keyErr := r.Authorize(old, hour)
			_, tokenErr := r.CheckToken(token.Value)
			if errors.Is(keyErr, app.ErrUnknownKey) != want.server ||
				errors.Is(tokenErr, app.ErrTokenInvalid) != want.server {
				t.Errorf("the old server key: %v; its token: %v", keyErr, tokenErr)
			}
			if again := must[*app.App](t)(r.RevokeOld(a.ID, want.server, want.client)); again != a {
				t.Error("with nothing to revoke, the app changes")
			}
		})
	}
	r, _ := newRegistry(t)
	if _, err := r.RevokeOld("00000000-0000-4000-8000-000000000000", true, true); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("an unknown app: %v", err)
	}
}

// kinds of keys that rotate by the same rules.
var kinds = map[string]struct {
	rotate func(*app.Registry, string, time.Duration) (*app.App, error)
	ends   func(*app.App) []time.Time
}{
	"server key": {(*app.Registry).RotateServerKey, func(a *app.App) (ends []time.Time) {
		for _, k := range a.ServerKeys {
			ends = append(ends, k.Until)
		}
		return ends
	}},
	"client key": {(*app.Registry).RotateClientKey, func(a *app.App) (ends []time.Time) {
		for _, k := range a.ClientKeys {
			ends = append(ends, k.Until)
		}
		return ends
	}},
}
