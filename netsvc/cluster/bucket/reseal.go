package bucket

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// What is in the bucket stays sealed with the key that sealed it. When the cluster gets another
// key, each live node puts what it finds again as it was, sealed with the new key, until no
// record needs the old one. It begins when all live nodes seal with the new key. The record
// meta comes first, and names the old key among those that the cluster has left: a node that
// was away meanwhile, and seals with that one still, does not seal back.

// Sealing says with which keys the bucket is sealed.
type Sealing struct {
	Key    seal.KeyID // the one that this node seals with
	Known  bool       // all records were read since it does
	Others int        // of these are sealed with other ones
	// Waiting is the peers that are live and seal with another key, by name: before all seal
	// with the same one no record is sealed again.
	Waiting []string
	// Left: the cluster has left Key for another one, and this node still seals with it.
	Left bool
}

// Done reports whether only Key is needed, by this node and by those that are live.
func (s Sealing) Done() bool { return s.Known && s.Others == 0 && len(s.Waiting) == 0 && !s.Left }

// phase is how far sealing again is.
type phase int

const (
	allSealed phase = iota // with the key that seals here
	sealingAgain
	keysDiffer // of nodes that are live
	keyLeft    // the cluster has left the key that seals here
)

const (
	maxResealed = 50          // records that are sealed again before a pause
	keysPause   = time.Second // before it is looked again whether all nodes seal with the same key
)

// othersSeal is with which key each live peer seals.
func (b *Bucket) othersSeal() map[string]seal.KeyID {
	if b.o.PeerKeys == nil {
		return nil
	}
	return b.o.PeerKeys()
}

// sealing is what Status tells, by the keys of the live peers. The caller holds mu.
func (b *Bucket) sealing(others map[string]seal.KeyID) Sealing {
	keys := b.o.Keys()
	s := Sealing{Key: keys.ID(), Known: b.readWith == keys, Others: len(b.stale)}
	s.Left = b.meta != nil && slices.Contains(b.meta.Retired, s.Key.String())
	for _, peer := range slices.Sorted(maps.Keys(others)) {
		if others[peer] != s.Key {
			s.Waiting = append(s.Waiting, peer)
		}
	}
	return s
}

// notePhase finds out how far sealing again is, and logs it if that is new. The caller holds
// mu.
func (b *Bucket) notePhase(others map[string]seal.KeyID) phase {
	s, before := b.sealing(others), b.phase
	if !s.Known || b.state != Live || b.meta == nil || b.meta.State != metaReady {
		return allSealed // it cannot be said, and nothing can be done
	}
	switch {
	case s.Left:
		b.phase = keyLeft
	case len(s.Waiting) > 0:
		b.phase = keysDiffer
	case s.Others > 0:
		b.phase = sealingAgain
	default:
		b.phase = allSealed
	}
	if b.phase == before {
		return b.phase
	}
	b.announce()
	key := slog.String("key", s.Key.String())
	switch b.phase {
	case keyLeft:
		b.o.Logger.Warn("the cluster has changed its key, and this node still seals with the old one", key)
	case keysDiffer:
		b.o.Logger.Info("the nodes seal with different keys, and the apps in NATS stay sealed as they are", key,
			slog.String("nodes", strings.Join(s.Waiting, ", ")))
	case sealingAgain:
		b.o.Logger.Info("the apps in NATS are sealed again, with the cluster's new key", key, slog.Int("records", s.Others))
	case allSealed:
		b.o.Logger.Info("the apps in NATS are sealed with the cluster's new key, the old one is not needed any more", key)
	}
	return b.phase
}

// reseal seals some of what is sealed with another key again.
func (b *Bucket) reseal(ctx context.Context) error {
	b.mu.Lock()
	old, isMeta := b.stale[keyMeta]
	rest := slices.Collect(maps.Keys(b.stale)) // in no order, so that nodes do not vie for the same one
	var meta metaRecord
	if isMeta {
		meta = *b.meta
	}
	after := b.metaAt
	b.mu.Unlock()
	if isMeta {
		meta.retire(old)
		return b.putOnce(ctx, keyMeta, b.o.Keys().SealRecord(b.o.Cluster, keyMeta, meta.encode()), after)
	}
	for _, key := range rest[:min(len(rest), maxResealed)] {
		if err := b.resealOne(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// resealOne seals the newest record under a key again, if that is still needed.
func (b *Bucket) resealOne(ctx context.Context, key string) error {
	if _, stale := b.staleKey(key); !stale {
		return nil // another node did it
	}
	e, err := b.fetch(ctx, key)
	if err != nil {
		return err
	}
	if e.revision == 0 { // it was taken out by hand
		b.mu.Lock()
		delete(b.stale, key)
		b.mu.Unlock()
	}
	if _, stale := b.staleKey(key); !stale {
		return nil
	}
	value, err := b.o.Keys().ResealRecord(b.o.Cluster, key, e.value)
	if err != nil {
		return err
	}
	return b.putOnce(ctx, key, value, e.revision)
}

// staleKey is the key that what is under a key of the bucket is sealed with, if it is another
// one than seals now.
func (b *Bucket) staleKey(key string) (old seal.KeyID, stale bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, stale = b.stale[key]
	return old, stale
}

// putOnce puts a value over the revision after, unless somebody else was faster: the watch
// tells.
func (b *Bucket) putOnce(ctx context.Context, key string, value []byte, after uint64) error {
	within, cancel := b.ask(ctx)
	defer cancel()
	ack, err := b.js.PublishMsg(within, &nats.Msg{Subject: b.subject(key), Data: value},
		jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0))
	switch {
	case isConflict(err):
		return nil
	case err != nil:
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(entry{key: key, revision: ack.Sequence, value: value})
	b.announce()
	return nil
}

// resealer seals again, aside, while there is a watch.
type resealer struct {
	due   <-chan time.Time // nil: it waits for nothing
	pause time.Duration    // before it goes on
	stop  context.CancelFunc
	ended chan error // nil: it does not run
}

// look sets the clock by how far it is.
func (r *resealer) look(b *Bucket, p phase) {
	if r.due != nil || r.ended != nil {
		return
	}
	switch p {
	case sealingAgain:
		r.due = b.o.Clock.After(r.pause)
	case keysDiffer:
		r.due = b.o.Clock.After(keysPause)
	}
}

// begin seals some records again, if that is still to be done.
func (r *resealer) begin(ctx context.Context, b *Bucket) {
	r.due = nil
	others := b.othersSeal()
	b.mu.Lock()
	p := b.notePhase(others)
	b.mu.Unlock()
	if p != sealingAgain {
		return
	}
	ctx, r.stop = context.WithCancel(ctx)
	ended := make(chan error, 1)
	r.ended = ended
	go func() { ended <- b.reseal(ctx) }()
}

// done notes how it ended.
func (r *resealer) done(b *Bucket, err error) {
	r.stop()
	r.ended = nil
	if err == nil {
		r.pause = firstPause
		return
	}
	b.o.Logger.Debug("the apps in NATS could not be sealed again", slog.Any("error", err))
	r.pause = min(2*r.pause, lastPause)
}

// end ends it and waits for it.
func (r *resealer) end() {
	if r.ended == nil {
		return
	}
	r.stop()
	<-r.ended
	r.ended = nil
}
