package app

import (
	"context"
	"fmt"
	"time"
)

// Pause shuts the gate for changes, as the first step of a hand-over: from now on
// they fail with ErrHandingOver, and so do those that wait for their turn. It then
// waits until the change under way has ended, or ctx has; the error is that of ctx.
// The gate stays shut either way, until [Registry.Resume].
func (r *Registry) Pause(ctx context.Context) error {
	r.gate.close(ErrHandingOver)
	err := r.gate.discharged(ctx)
	if err == nil {
		err = r.gate.take(ctx)
	}
	if err != nil {
		return fmt.Errorf("waiting for the change under way: %w", err)
	}
	r.gate.leave()
	return nil
}

// Resume lets in changes again.
func (r *Registry) Resume() { r.gate.open() }

// Abandon answers the caller of the change under way, at once, with
// ErrOutcomeUnknown: the change itself may go on, and if the disk takes it in the
// end, it becomes visible and Changed is called as ever. The gate is shut, as by
// [Registry.Pause].
func (r *Registry) Abandon() { r.gate.abandon(ErrHandingOver) }

// CommitAge is for how long the disk has had the change under way; 0 if it has none.
// It does not wait for the disk.
func (r *Registry) CommitAge() time.Duration {
	began := r.inDisk.Load()
	if began == nil {
		return 0
	}
	return max(time.Since(*began), 1)
}

// Release waits for the change under way and then closes the file, for another
// process to open it. The registry goes on serving from memory, with
// [Registry.Unavailable], until [Registry.Reopen]. If ctx ends first the error is
// that of ctx, and Release may be called again: the file is open still, unless it was
// the closing itself that did not come to an end. Without a file it does nothing.
func (r *Registry) Release(ctx context.Context) error {
	if err := r.closeFile(ctx, ErrUnavailable); err != nil {
		return fmt.Errorf("letting go of the database: %w", err)
	}
	return nil
}

// closeFile closes the file, if there is one, and notes why there is none from now on.
func (r *Registry) closeFile(ctx context.Context, why error) error {
	if err := r.gate.take(ctx); err != nil {
		return err
	}
	if r.store == nil {
		r.gate.leave()
		return nil
	}
	closed := begin(r.gate, func() (struct{}, error) {
		err := r.store.close()
		if err == nil {
			r.store = nil
			r.setAway(why)
		}
		return struct{}{}, err
	})
	select {
	case o := <-closed:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
