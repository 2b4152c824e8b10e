package bucket

// Moved is closed when something changes that Status shows, or has been applied.
func (b *Bucket) Moved() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.moved
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

// HasAll reports whether the watch has brought all that is known to be there.
func (b *Bucket) HasAll() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watched >= b.highest
}

// Noticed is how many notices wait.
func (b *Bucket) Noticed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.notices)
}

// Collections is of how many apps answers are kept.
func (b *Bucket) Collections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.changes)
}

// Why is what an error of JetStream is taken for.
func (b *Bucket) Why(err error) Code {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.explain(err).Code
}

// ReadAbout reads what Notice and Confirmation made.
var ReadAbout = readAbout
