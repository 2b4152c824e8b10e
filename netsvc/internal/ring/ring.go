// Package ring keeps the last records of something, for those who look later
// and for those who follow.
//
// Followers read from the ring itself, each with a place of its own. So there
// is one buffer however many follow, appending never waits for any of them,
// and one that is too slow learns how many records it has missed. The log and
// the events of the control channel are such rings.
package ring

import (
	"context"
	"sync"
)

// Ring holds the last records appended. Its methods may be called concurrently.
type Ring[T any] struct {
	mu      sync.Mutex
	parts   [][]T  // slot n%size, over all of them, holds record n
	size    int    // records when it is full
	next    uint64 // the number of the next record; the first one is 0
	changed chan struct{}
}

// partSize is for how many records memory is taken at once. A slice that grows is copied again
// and again, and while the collector has not come to it takes three times what is in it.
const partSize = 64

// New returns an empty ring for size records. Memory is taken as they come.
func New[T any](size int) *Ring[T] { return &Ring[T]{size: size} }

// Append adds a record in place of the oldest.
func (r *Ring[T]) Append(record T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := len(r.parts) * partSize; r.next == uint64(have) && have < r.size {
		r.parts = append(r.parts, make([]T, min(partSize, r.size-have)))
	}
	*r.at(r.next) = record
	r.next++
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// at is where record n is, or is to be. The caller holds mu.
func (r *Ring[T]) at(n uint64) *T {
	slot := n % uint64(r.size)
	return &r.parts[slot/partSize][slot%partSize]
}

// oldest is the number of the oldest record there is. The caller holds mu.
func (r *Ring[T]) oldest() uint64 { return r.next - min(r.next, uint64(r.size)) }

// Last returns the newest records, up to max, that keep lets through, in their
// order, and the place behind them for a Cursor. keep is called without the
// ring's lock.
func (r *Ring[T]) Last(max int, keep func(*T) bool) (last []T, behind Cursor[T]) {
	r.mu.Lock()
	all := make([]T, 0, r.next-r.oldest())
	for n := r.oldest(); n < r.next; n++ {
		all = append(all, *r.at(n))
	}
	behind = Cursor[T]{ring: r, next: r.next}
	r.mu.Unlock()

	first := len(all)
	for i := len(all) - 1; i >= 0 && len(all)-first < max; i-- {
		if keep(&all[i]) {
			first--
			all[first] = all[i]
		}
	}
	return all[first:], behind
}

// Cursor is a follower's place in a ring. It must not be used concurrently.
type Cursor[T any] struct {
	ring *Ring[T]
	next uint64
}

// Next waits for records and appends up to max of them to dst. lost is the
// number of records that were overwritten before they could be read; they
// would stand before those returned. The error is ctx's.
func (c *Cursor[T]) Next(ctx context.Context, dst []T, max int) (records []T, lost uint64, err error) {
	for {
		records, lost, changed := c.read(dst, max)
		if changed == nil {
			return records, lost, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return records, lost, context.Cause(ctx)
		}
	}
}

// read appends what is there, or returns a channel that is closed by the next
// record.
func (c *Cursor[T]) read(dst []T, max int) (records []T, lost uint64, changed <-chan struct{}) {
	r := c.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.next == r.next {
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		return dst, 0, r.changed
	}
	if oldest := r.oldest(); c.next < oldest {
		lost, c.next = oldest-c.next, oldest
	}
	for ; max > 0 && c.next < r.next; max-- {
		dst = append(dst, *r.at(c.next))
		c.next++
	}
	return dst, lost, nil
}
