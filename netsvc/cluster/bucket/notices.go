package bucket

import (
	"context"
	"time"
)

// notice is what a peer has put and the watch has not brought yet.
type notice struct {
	peer     string
	revision uint64
	due      time.Time
	tried    int // how often it was looked for
}

// noticed takes in that a peer has put a revision.
func (b *Bucket) noticed(peer, key string, revision uint64) {
	id, ok := idOf(key)
	if !ok {
		return
	}
	b.mu.Lock()
	n := notice{peer: peer, revision: revision, due: b.o.Clock.Now().Add(noticeTime)}
	b.told[peer] = max(b.told[peer], revision)
	r := b.records[key]
	have := r != nil && r.revision >= revision
	switch {
	case have && !r.applied:
		r.owe(n)
	case have:
	case len(b.notices) < maxNotices || b.notices[key].revision > 0:
		if b.notices[key].revision < revision {
			b.notices[key] = n
		}
		b.announce()
	default:
		b.doubted = true // a new watch brings what does not fit
		b.announce()
	}
	// A later record was taken over: it has this one in it.
	later := have && r.applied && r.revision > revision
	b.mu.Unlock()
	if later && b.o.Apps.Version(id) >= r.Version {
		b.o.Applied(peer, key, revision, 0)
	}
}

// fetchNoticed fetches what peers have put and the watch does not bring in time, until ctx ends.
// It does so without a watch as well: JetStream takes changes, and answers what is there, seconds
// before it begins a watch.
func (b *Bucket) fetchNoticed(ctx context.Context) {
	var due <-chan time.Time // nil: no notice waits
	pause := noticeTime
	for {
		b.mu.Lock()
		wait, moved := b.connected && len(b.notices) > 0, b.moved
		b.mu.Unlock()
		if wait && due == nil {
			due = b.o.Clock.After(pause)
		}
		select {
		case <-moved:
		case <-due:
			due = nil
			if b.fetchDue(ctx, pause*patiencePauses) {
				pause = noticeTime
			} else {
				pause = min(2*pause, lackTime)
			}
		case <-ctx.Done():
			return
		}
	}
}

// fetchDue fetches the keys that the watch should have brought by now, and applies what is there.
// It reports whether each was answered within patience; the others remain due.
func (b *Bucket) fetchDue(ctx context.Context, patience time.Duration) bool {
	var keys []string
	now := b.o.Clock.Now()
	b.mu.Lock()
	for key, n := range b.notices {
		if !now.Before(n.due) {
			keys = append(keys, key)
		}
	}
	b.mu.Unlock()
	for _, key := range keys {
		within, cancel := context.WithTimeout(ctx, patience)
		_, err := b.fetch(within, key)
		cancel()
		if err != nil {
			return false
		}
		b.tried(key)
	}
	if len(keys) > 0 {
		b.applyLater(ctx)
	}
	return true
}

// tried gives up a notice of what is not there although it was looked for: NATS has lost it,
// or a replica lags far behind, and then the revision is lacking.
func (b *Bucket) tried(key string) {
	const times = 2
	b.mu.Lock()
	defer b.mu.Unlock()
	n, waits := b.notices[key]
	if !waits {
		return
	}
	if n.tried++; n.tried == times {
		delete(b.notices, key)
		return
	}
	n.due = b.o.Clock.Now().Add(lackTime) // and then the watch is made anew
	b.notices[key] = n
}
