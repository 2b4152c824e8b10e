package app_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

func TestTokenOfAKeyIsGoodForItsLifetime(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, hour))
	if len(token.Value) != 64 ||
		strings.Trim(token.Value, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		t.Errorf("a token of %d characters, or not URL-safe", len(token.Value))
	}
	if token.App != a {
		t.Errorf("token of %v", token.App)
	}
	if want := c.now().Truncate(time.Second).Add(hour); !token.Expires.Equal(want) {
		t.Errorf("until %v, want %v", token.Expires, want)
	}
	c.advance(token.Expires.Sub(c.now()) - 1)
	if got, err := r.CheckToken(token.Value); got != a || err != nil {
		t.Errorf("just before its end: %v, %v", got, err)
	}
	c.advance(1)
	if got, err := r.CheckToken(token.Value); got != nil || !errors.Is(err, app.ErrTokenExpired) {
		t.Errorf("at its end: %v, %v", got, err)
	}
}

func TestNewTokenLeavesTheEarlierOnesGood(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	var tokens []string
	for range 10 {
		tokens = append(tokens, must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, hour)).Value)
		c.advance(time.Second)
	}
	for i, token := range tokens {
		if _, err := r.CheckToken(token); err != nil {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

func TestUnknownServerKeys(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a, removed := create(t, r, "a"), create(t, r, "b")
	if err := r.Remove(removed.ID); err != nil {
		t.Fatal(err)
	}
	key := a.ServerKeys[0].Key
	for name, key := range map[string]string{
		"empty": "", "short": key[:63], "long": key + "0", "other letter case": swapCase(key),
		"of a removed app": removed.ServerKeys[0].Key, "client key": a.ClientKeys[0].Key, "id": a.ID,
	} {
		if token, err := r.Authorize(key, hour); !errors.Is(err, app.ErrUnknownKey) || token != (app.Token{}) {
			t.Errorf("%s: %v, %v", name, token, err)
		}
	}
}

func TestResetTokenKillsAllTokensAndLeavesTheKeys(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a, other := create(t, r, "a"), create(t, r, "b")
	a = must[*app.App](t)(r.RotateServerKey(a.ID, hour))
	foreign := must[app.Token](t)(r.Authorize(other.ServerKeys[0].Key, hour))
	var dead []string
	for _, k := range a.ServerKeys {
		dead = append(dead, must[app.Token](t)(r.Authorize(k.Key, hour)).Value)
	}
	a = must[*app.App](t)(r.ResetToken(a.ID))
	for i, token := range dead {
		if _, err := r.CheckToken(token); !errors.Is(err, app.ErrTokenInvalid) {
			t.Errorf("token of key %d: %v", i, err)
		}
	}
	for i, k := range a.ServerKeys {
		token := must[app.Token](t)(r.Authorize(k.Key, hour))
		if got, err := r.CheckToken(token.Value); got != a || err != nil {
			t.Errorf("new token of key %d: %v, %v", i, got, err)
		}
	}
	if _, err := r.CheckToken(foreign.Value); err != nil {
		t.Errorf("token of another app: %v", err)
	}
}

func TestTokenOfARemovedAppIsInvalid(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, hour))
	if err := r.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.CheckToken(token.Value); !errors.Is(err, app.ErrTokenInvalid) {
			t.Errorf("got %v", err)
		}
		c.advance(2 * hour) // expired, too
	}
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a, b := create(t, r, "a"), create(t, r, "b")
	good := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, hour)).Value
	raw := must[[]byte](t)(base64.RawURLEncoding.DecodeString(good))
	change := func(f func([]byte)) string {
		forged := append([]byte(nil), raw...)
		f(forged)
		return base64.RawURLEncoding.EncodeToString(forged)
	}
	foreign := must[[]byte](t)(base64.RawURLEncoding.DecodeString(must[app.Token](t)(r.Authorize(b.ServerKeys[0].Key,
		hour)).Value))
	forged := map[string]string{
		"empty":               "",
		"short":               good[:63],
		"long":                good + "A",
		"padded":              good[:62] + "==",
		"line break in it":    good[:30] + "\r\n" + good[32:],
		"blank":               strings.Repeat(" ", 64),
		"wrong alphabet":      "+/" + good[2:],
		"not ASCII":           strings.Repeat("ы", 32),
		"zeros":               strings.Repeat("A", 64),
		"longer life":         change(func(b []byte) { binary.BigEndian.PutUint64(b[16:], 1<<40) }),
		"negative life":       change(func(b []byte) { b[16] |= 0x80 }),
		"another app":         change(func(b []byte) { copy(b, foreign[:16]) }),
		"MAC of another app":  change(func(b []byte) { copy(b[24:], foreign[24:]) }),
		"no MAC":              change(func(b []byte) { clear(b[24:]) }),
		"own expired version": change(func(b []byte) { binary.BigEndian.PutUint64(b[16:], 1) }),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		forged["bit flipped "+
			string(rune('a'+len(forged)))] = change(func(b []byte) { b[random.IntN(48)] ^= 1 << random.IntN(8) })
	}
	for range 2 {
		for name, token := range forged {
			if got, err := r.CheckToken(token); got != nil || !errors.Is(err, app.ErrTokenInvalid) {
				t.Errorf("%s: %v, %v; want ErrTokenInvalid", name, got, err)
			}
		}
		c.advance(2 * hour) // what is forged does not become expired
	}
}

func TestCheckTokenAllocatesNothing(t *testing.T) {
	r, _ := newRegistry(t)
	a := create(t, r, "a")
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, hour)).Value
	if n := testing.AllocsPerRun(100, func() { r.CheckToken(token) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	a := create(t, r, "a")
	old := a.ServerKeys[0].Key
	token := must[app.Token](t)(r.Authorize(old, hour)).Value
	a = must[*app.App](t)(r.RotateServerKey(a.ID, 3*hour))
	good := func(when string) {
		t.Helper()
		if _, err := r.CheckToken(token); err != nil {
			t.Errorf("%s: the token: %v", when, err)
		}
		for _, key := range []string{old, a.ServerKeys[0].Key} {
			fresh, err := r.Authorize(key, hour)
			if err == nil {
				_, err = r.CheckToken(fresh.Value)
			}
			if err != nil {
				t.Errorf("%s: a new token: %v", when, err)
			}
		}
		if next, err := r.Expire(); err != nil || next.IsZero() {
			t.Errorf("%s: the next end is %v, %v", when, next, err)
		}
	}
	good("at first")
	c.advance(-hour)
	good("an hour back")
	c.advance(2 * hour) // an hour ahead of the truth
	if _, err := r.CheckToken(token); !errors.Is(err, app.ErrTokenExpired) {
		t.Errorf("an hour ahead: the token: %v", err)
	}
	token = must[app.Token](t)(r.Authorize(old, hour)).Value // senders ask anew
	good("an hour ahead")
	c.advance(-hour)
	good("right again")
}
