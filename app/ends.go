package app

import (
	"fmt"
	"slices"
	"time"
)

// ClientKeysAt is the client keys that work at now, the current one first. It is by
// the clock alone, whether or not the ended ones were taken out of the file. The
// slice is the caller's own.
func (a *App) ClientKeysAt(now time.Time) []ClientKey {
	return withoutEnded(slices.Clone(a.ClientKeys), (*ClientKey).until, now)
}

// HasEnded reports whether the app has a key, server or client, whose time is over.
func (a *App) HasEnded(now time.Time) bool {
	for end := range a.ends {
		if !works(end, now) {
			return true
		}
	}
	return false
}

// NextEnd is when the next key of those that work at now ends; zero if none does. It
// never touches the disk.
func (r *Registry) NextEnd(now time.Time) (next time.Time) {
	for _, a := range r.current.Load().list {
		for end := range a.ends {
			if works(end, now) {
				next = earlier(next, end)
			}
		}
	}
	return next
}

// Expire takes the keys whose time is over out of the file. They are refused before
// that already, so nothing depends on when it is called, except what listens to
// Changed. It returns what [Registry.NextEnd] then is. If no key has ended it does not
// wait for the disk. After an error next is zero.
func (r *Registry) Expire() (next time.Time, err error) {
	if now := r.now(); len(r.ended(now)) == 0 {
		return r.NextEnd(now), nil
	}
	next, err = withFile(r, ErrOutcomeUnknown, func() (time.Time, error) {
		now := r.now()
		var put []*App
		for _, a := range r.ended(now) {
			b := a.clone()
			b.ServerKeys = withoutEnded(b.ServerKeys, (*ServerKey).until, now)
			b.ClientKeys = withoutEnded(b.ClientKeys, (*ClientKey).until, now)
			put = append(put, b)
		}
		if put != nil {
			if err := r.commit(change{put: put, agreed: r.current.Load().stillAgreed(put)}); err != nil {
				return time.Time{}, err
			}
		}
		return r.NextEnd(now), nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("removing expired keys: %w", err)
	}
	return next, nil
}

// ended is the apps that have keys whose time is over.
func (r *Registry) ended(now time.Time) (apps []*App) {
	for _, a := range r.current.Load().list {
		if a.HasEnded(now) {
			apps = append(apps, a)
		}
	}
	return apps
}

// ends passes on when each key of the app ends; zero for those that do not.
func (a *App) ends(yield func(time.Time) bool) {
	for i := range a.ServerKeys {
		if !yield(a.ServerKeys[i].Until) {
			return
		}
	}
	for i := range a.ClientKeys {
		if !yield(a.ClientKeys[i].Until) {
			return
		}
	}
}

// earlier takes zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
