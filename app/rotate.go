package app

import (
	"fmt"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/app/clientkey"
)

// MaxGrace is the longest time an old key may go on working: ten years.
const MaxGrace = 10 * 365 * 24 * time.Hour

// maxOldKeys bounds how many old keys of each kind an app may have at once: each
// costs the check of a token, or a delivery, a little.
const maxOldKeys = 8

// RotateServerKey gives the app a new server key. With grace 0 all earlier keys die
// at once, and their tokens with them. Otherwise the key that was current works for
// grace more (rounded up to the whole second), and those before it keep the end
// they had. The error is ErrNotFound, ErrBadGrace, ErrTooManyKeys, or why it could
// not be stored.
func (r *Registry) RotateServerKey(id string, grace time.Duration) (*App, error) {
	return r.edit("making a new server key", id, func(a *App) error {
		fresh := ServerKey{Key: newServerKey(), tokenSecret: newTokenSecret()}
		keys, err := rotate(a.ServerKeys, fresh, (*ServerKey).until, r.now(), grace)
		a.ServerKeys = keys
		return err
	})
}

// RotateClientKey gives the app a new client key, with the next generation. Grace
// and errors are as in [Registry.RotateServerKey]; what becomes of sessions under
// the old key is the hub's business.
func (r *Registry) RotateClientKey(id string, grace time.Duration) (*App, error) {
	return r.edit("making a new client key", id, func(a *App) error {
		fresh := ClientKey{Key: clientkey.New(), Generation: a.ClientKeys[0].Generation + 1}
		keys, err := rotate(a.ClientKeys, fresh, (*ClientKey).until, r.now(), grace)
		a.ClientKeys = keys
		return err
	})
}

func (k *ServerKey) until() *time.Time { return &k.Until }
func (k *ClientKey) until() *time.Time { return &k.Until }

// rotate puts fresh in front of keys. It may write into keys.
func rotate[K any](keys []K, fresh K, until func(*K) *time.Time, now time.Time, grace time.Duration) ([]K, error) {
	switch {
	case grace < 0:
		return nil, fmt.Errorf("%w: it is negative", ErrBadGrace)
	case grace > MaxGrace:
		return nil, fmt.Errorf("%w: it is longer than ten years", ErrBadGrace)
	case grace == 0:
		return []K{fresh}, nil
	}
	keys = withoutEnded(keys, until, now)
	if len(keys) > maxOldKeys {
		return nil, fmt.Errorf("%w: %d, and no more are kept", ErrTooManyKeys, len(keys)-1)
	}
	*until(&keys[0]) = wholeSecond(now.Add(grace))
	return append([]K{fresh}, keys...), nil
}

func withoutEnded[K any](keys []K, until func(*K) *time.Time, now time.Time) []K {
	return slices.DeleteFunc(keys, func(k K) bool { return !works(*until(&k), now) })
}

// wholeSecond rounds up, so that a grace is never shorter than asked for.
func wholeSecond(t time.Time) time.Time {
	whole := time.Unix(t.Unix(), 0).UTC()
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}
