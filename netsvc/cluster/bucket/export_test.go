package bucket

import (
	"context"
	"crypto/sha256"
)

// Moved is closed when something changes that Status shows, or has been applied.
func (b *Bucket) Moved() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.moved
}

// Put puts a sealed value as a change would.
func (b *Bucket) Put(ctx context.Context, key string, value []byte, after uint64) (revision uint64, err error) {
	sum := sha256.Sum256(value)
	b.mu.Lock()
	b.attempts[sum] = new(attempt)
	b.mu.Unlock()
	return b.put(ctx, b.o.Clock.After(changeTime), key, value, sum, after)
}

// Answered is how many peers have answered to the last change of an app.
func (b *Bucket) Answered(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.lastChange(id)
	if c == nil {
		return 0
	}
	return len(c.answers)
}

// ReadAbout reads what Notice and Confirmation made.
var ReadAbout = readAbout
