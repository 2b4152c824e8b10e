package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// FromMemory is a registry without a file, which serves what another process had:
// apps as [DecodeApps] returned them, with the identity of their database, zero if
// that is not known. Reads, keys and tokens work as ever; changes and backups fail
// with ErrUnavailable until [Registry.Reopen].
func FromMemory(apps []*App, identity Identity, o Options) *Registry {
	r := newRegistry(o)
	r.identity = identity
	r.away = ErrUnavailable
	r.current.Store(newSnapshot(apps, nil))
	return r
}

func newRegistry(o Options) *Registry {
	r := &Registry{now: o.Now, changed: o.Changed, agree: o.Agree, lockWait: o.lockWait(), gate: newGate()}
	r.closing, r.close = context.WithCancel(context.Background())
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// Unavailable is nil while the file is open. Else it says why it is not: ErrClosed
// after [Registry.Close], otherwise ErrUnavailable together with what the last
// [Registry.Reopen] or [Registry.SetUnavailable] had for a reason.
func (r *Registry) Unavailable() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// SetUnavailable sets the reason that [Registry.Unavailable] gives, for one that
// serves from memory because an Open before it has failed with cause.
func (r *Registry) SetUnavailable(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(r.away, ErrUnavailable) {
		r.away = fmt.Errorf("%w: %w", ErrUnavailable, cause)
	}
}

// setAway notes why there is no file, nil if there is one. Close is for good.
func (r *Registry) setAway(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != ErrClosed {
		r.away = why
	}
}

// Reopen opens the database at path for a registry without a file. From then on
// what is in the file holds: Changed is called for every app that differs from what
// was served, is new, or is gone. It never makes a file, and takes none with another
// identity than [Registry.Identity], if both are known. The error is as with [Open],
// or ErrAnother, ErrHandingOver, ErrClosed; then nothing has changed. If the file is
// open it does nothing.
func (r *Registry) Reopen(path string) error {
	_, err := inTurn(r.gate, ErrHandingOver, func() (struct{}, error) { return struct{}{}, r.reopen(path) })
	if err != nil && !errors.Is(err, ErrHandingOver) {
		r.SetUnavailable(err)
	}
	return err
}

func (r *Registry) reopen(path string) error {
	switch err := r.Unavailable(); {
	case err == nil:
		return nil
	case errors.Is(err, ErrClosed):
		return fmt.Errorf("opening the database: %s: %w", path, err)
	}
	known := r.Identity()
	f, err := openFile(path, Options{LockWait: r.lockWait, NeverCreate: true, Expect: known})
	if err != nil {
		return err
	}
	// A hand-over that began meanwhile must not find the file locked.
	if why := r.gate.reason(); why != nil {
		f.store.close()
		return fmt.Errorf("opening the database: %s: %w", path, why)
	}
	r.store = f.store
	r.setIdentity(f.identity)
	r.inDoubt.Store(f.inDoubt)
	r.setAway(nil)
	r.replace(&f.contents)
	return nil
}
