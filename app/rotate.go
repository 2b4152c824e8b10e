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
	return r.change("making a new server key", id, func(a *App) error {
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
	return r.change("making a new client key", id, func(a *App) error {
		fresh := ClientKey{Key: clientkey.New(), Generation: a.ClientKeys[0].Generation + 1}
		keys, err := rotate(a.ClientKeys, fresh, (*ClientKey).until, r.now(), grace)
		a.ClientKeys = keys
		return err
	})
}

// Expire removes the keys whose time is over; they are refused before that
// already, so nothing depends on when it is called, except what listens to
// Changed. It returns when the next key ends (zero: none will). After an error
// nothing was removed, and next is zero.
func (r *Registry) Expire() (next time.Time, err error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	now := r.now()
	var put []*App
	for _, a := range r.current.Load().list {
		if end := firstEnd(a); end.IsZero() || now.Before(end) {
			continue
		}
		b := a.clone()
		b.ServerKeys = withoutEnded(b.ServerKeys, (*ServerKey).until, now)
		b.ClientKeys = withoutEnded(b.ClientKeys, (*ClientKey).until, now)
		put = append(put, b)
	}
	if put != nil {
		if err := r.commit(put, nil); err != nil {
			return time.Time{}, fmt.Errorf("removing expired keys: %w", err)
		}
	}
	for _, a := range r.current.Load().list {
		next = earlier(next, firstEnd(a))
	}
	return next, nil
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

// firstEnd is when the first of the app's keys ends; zero if none does.
func firstEnd(a *App) (end time.Time) {
	for i := range a.ServerKeys {
		end = earlier(end, a.ServerKeys[i].Until)
	}
	for i := range a.ClientKeys {
		end = earlier(end, a.ClientKeys[i].Until)
	}
	return end
}

// earlier takes zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
