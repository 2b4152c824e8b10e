package app

import (
	"context"
	"errors"
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
	return r.edit("making a new server key", id, func(a *App) error { return a.rotateServerKey(r.now(), grace) })
}

// RotateClientKey gives the app a new client key, with the next generation. Grace
// and errors are as in [Registry.RotateServerKey]; what becomes of sessions under
// the old key is the hub's business.
func (r *Registry) RotateClientKey(id string, grace time.Duration) (*App, error) {
	return r.edit("making a new client key", id, func(a *App) error { return a.rotateClientKey(r.now(), grace) })
}

// Rotation says which keys of an app are to be renewed.
type Rotation struct {
	ID             string // of the app
	Server, Client bool
}

// RotateAll renews keys of several apps, of all or of none, as
// [Registry.RotateServerKey] and [Registry.RotateClientKey] do, and returns the apps in
// that order. An app may be named once. Errors are as there, and name the app.
//
// With [Options.Agree] each app is a change of its own, in that order: after an error the
// apps that are returned have their new keys, the others have not.
func (r *Registry) RotateAll(rotations []Rotation, grace time.Duration) ([]*App, error) {
	if r.agree != nil {
		apps, err := r.rotateTogether(rotations, grace)
		if err != nil {
			err = fmt.Errorf("making new keys: %w", err)
		}
		return apps, err
	}
	apps, err := withFile(r, ErrOutcomeUnknown, func() ([]*App, error) {
		apps := make([]*App, 0, len(rotations))
		seen := make(map[string]bool)
		for _, rotation := range rotations {
			old, ok := r.Get(rotation.ID)
			if !ok || seen[old.ID] {
				return nil, fmt.Errorf("%s: %w", quoteShort(rotation.ID), ErrNotFound)
			}
			seen[old.ID] = true
			a := old.clone()
			if err := a.rotate(rotation, r.now(), grace); err != nil {
				return nil, fmt.Errorf("%s: %w", a.ID, err)
			}
			apps = append(apps, a)
		}
		if len(apps) == 0 {
			return apps, nil
		}
		return apps, r.commit(change{put: apps})
	})
	if err != nil {
		return nil, fmt.Errorf("making new keys: %w", err)
	}
	return apps, nil
}

// rotateTogether is RotateAll in a cluster.
func (r *Registry) rotateTogether(rotations []Rotation, grace time.Duration) ([]*App, error) {
	// All are tried first: what can be known to be refused changes no app at all.
	seen := make(map[string]bool)
	for _, rotation := range rotations {
		old, ok := r.Get(rotation.ID)
		if !ok || seen[old.ID] {
			return nil, fmt.Errorf("%s: %w", quoteShort(rotation.ID), ErrNotFound)
		}
		seen[old.ID] = true
		if err := old.clone().rotate(rotation, r.now(), grace); err != nil {
			return nil, fmt.Errorf("%s: %w", old.ID, err)
		}
	}
	return together(r, func(ctx context.Context) ([]*App, error) {
		apps := make([]*App, 0, len(rotations))
		var agreed []Change
		var failed error
		for _, rotation := range rotations {
			if failed = r.gate.reason(); failed != nil { // who pauses need not wait for thousands
				break
			}
			a, proposed, err := r.propose(ctx, rotation.ID, func(old *App) (*App, error) {
				if old == nil {
					return nil, ErrNotFound
				}
				a := old.clone()
				return a, a.rotate(rotation, r.now(), grace)
			})
			if err != nil {
				failed = fmt.Errorf("%s: %w", quoteShort(rotation.ID), err)
				break
			}
			apps, agreed = append(apps, a), append(agreed, *proposed)
		}
		return apps, besides(errors.Join(failed, r.storeAgreed(agreed...)), apps)
	})
}

// RevokeOld ends the old keys of an app, server keys, client keys or both, before their
// time, and the tokens with them. If there are none, nothing changes. The error is
// ErrNotFound, or why it could not be stored.
func (r *Registry) RevokeOld(id string, server, client bool) (*App, error) {
	return r.edit("revoking old keys", id, func(a *App) error {
		if server {
			a.ServerKeys = a.ServerKeys[:1]
		}
		if client {
			a.ClientKeys = a.ClientKeys[:1]
		}
		return nil
	})
}

// rotate renews keys of an app that is not published yet.
func (a *App) rotate(which Rotation, now time.Time, grace time.Duration) error {
	if which.Server {
		if err := a.rotateServerKey(now, grace); err != nil {
			return err
		}
	}
	if which.Client {
		return a.rotateClientKey(now, grace)
	}
	return nil
}

func (a *App) rotateServerKey(now time.Time, grace time.Duration) error {
	fresh := ServerKey{Key: newServerKey(), Since: now.UTC().Round(0), tokenSecret: newTokenSecret()}
	keys, err := rotate(a.ServerKeys, fresh, (*ServerKey).until, now, grace)
	a.ServerKeys = keys
	return err
}

func (a *App) rotateClientKey(now time.Time, grace time.Duration) error {
	fresh := ClientKey{Key: clientkey.New(), Generation: a.ClientKeys[0].Generation + 1, Since: now.UTC().Round(0)}
	keys, err := rotate(a.ClientKeys, fresh, (*ClientKey).until, now, grace)
	a.ClientKeys = keys
	return err
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
