package bucket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Run keeps the apps the same until ctx ends. It is to be called once. Changes and commands
// that are under way then, and later ones, fail with ErrUnavailable.
func (b *Bucket) Run(ctx context.Context) {
	defer b.deleting.Wait()
	var fetching sync.WaitGroup
	defer fetching.Wait()
	fetching.Go(func() { b.fetchNoticed(ctx) })
	defer func() {
		close(b.ended)
		b.answer(&ProblemError{Code: Ended})
	}()
	pause := firstPause
	for ctx.Err() == nil {
		if !b.waitConnected(ctx) {
			return
		}
		began := b.o.Clock.Now()
		err := b.once(ctx, pause*patiencePauses)
		if ctx.Err() != nil {
			return
		}
		again := errors.Is(err, errReconnected)
		if again || b.o.Clock.Now().Sub(began) >= goodWatch {
			pause = firstPause
		}
		if again {
			continue
		}
		b.o.Logger.Debug("the watch of the cluster's apps is made anew", slog.Any("reason", err),
			slog.Duration("pause", pause))
		b.rest(ctx, pause)
		if pause = min(2*pause, lastPause); b.renewed() { // another server may answer at once
			pause = firstPause
		}
	}
}

// errReconnected and others are why a watch is made anew.
var (
	errReconnected = errors.New("the connection was made anew")
	errLack        = errors.New("the watch does not bring what is known to be there")
)

// waitConnected waits for a connection. It reports whether there is one.
func (b *Bucket) waitConnected(ctx context.Context) bool {
	for {
		b.mu.Lock()
		connected := b.connected
		if connected {
			b.renew = false
		}
		b.mu.Unlock()
		if connected {
			return true
		}
		select {
		case <-b.wake:
			b.applyLater(ctx)
		case <-ctx.Done():
			return false
		}
	}
}

// rest waits for a while, unless the connection was made anew or a command is there; and not much
// longer once a peer tells of something new: JetStream works, then.
func (b *Bucket) rest(ctx context.Context, pause time.Duration) {
	before := b.known()
	over := b.o.Clock.After(pause)
	var news <-chan time.Time // nil: there are none
	commands := b.commands
	if b.pending != nil {
		commands = nil // one after the other
	}
	for {
		select {
		case <-over:
			return
		case <-b.wake:
			b.applyLater(ctx)
			if b.renewed() {
				return
			}
			if news == nil && pause > lackTime && b.known() > before {
				news = b.o.Clock.After(lackTime)
			}
		case <-news:
			return
		case b.pending = <-commands:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (b *Bucket) renewed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.renew
}

// applyLater applies what was fetched while there is no watch.
func (b *Bucket) applyLater(ctx context.Context) {
	if b.isLive() && ctx.Err() == nil {
		b.apply(ctx)
	}
}

func (b *Bucket) isLive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == Live
}

// once watches the bucket until that has to begin anew; the error says why.
func (b *Bucket) once(ctx context.Context, patience time.Duration) error {
	asking, answered := b.asking(ctx)
	w, err := b.begin(asking, patience)
	over := context.Cause(asking)
	answered()
	if over != nil && w == nil {
		return over // the node leaves, or asks another server: that is no trouble to tell of
	}
	if err != nil {
		err = b.why(err)
		b.stand(err)
		b.answer(err)
		return err
	}
	defer w.end(ctx, b)
	if err = b.first(ctx, w); err == nil {
		err = b.follow(ctx, w)
	}
	b.stand(err)
	return err
}

// asking ends with ctx, or with errReconnected when the connection is made anew: what was asked
// before is not answered any more.
func (b *Bucket) asking(ctx context.Context) (_ context.Context, answered func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveUp = func() { cancel(errReconnected) }
	if b.renew {
		b.giveUp()
	}
	return ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.giveUp = nil
		cancel(nil)
	}
}

// begin finds the bucket, or makes it, and begins to watch it. What NATS servers are asked
// while they choose a leader they never answer: each is asked again when patience is over.
func (b *Bucket) begin(ctx context.Context, patience time.Duration) (*watch, error) {
	all, cancel := b.ask(ctx)
	defer cancel()
	for {
		within, cancel := context.WithTimeout(all, patience)
		w, err := b.beginWithin(ctx, within)
		cancel()
		if err == nil || all.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return w, err
		}
	}
}

// beginWithin is begin with one question each; within bounds the time for the answers.
func (b *Bucket) beginWithin(ctx, within context.Context) (*watch, error) {
	stream, err := b.js.Stream(within, b.stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		restoring := b.pending != nil && b.pending.do == restore
		if b.o.Apps.Membership().Cluster != noCluster && !restoring {
			b.mu.Lock()
			b.setState(Out, &ProblemError{Code: BucketGone})
			problem := b.problem
			b.mu.Unlock()
			return nil, problem
		}
		stream, err = b.make(ctx)
	}
	if err != nil {
		return nil, err
	}
	w, err := b.watch(within, stream)
	if err == nil {
		b.mu.Lock()
		b.handle = stream
		b.watches++
		b.announce()
		b.mu.Unlock()
	}
	return w, err
}

// make makes the bucket. If somebody else does at the same time it is his.
func (b *Bucket) make(ctx context.Context) (jetstream.Stream, error) {
	replicas := []int{b.o.Replicas}
	if b.o.Replicas == 0 {
		replicas = []int{3, 1}
	}
	var few error // why it is fewer than at first
	for _, count := range replicas {
		err := b.makeWith(ctx, count)
		if err == nil {
			b.made(count, few)
		}
		if err == nil || errors.Is(err, jetstream.ErrBucketExists) {
			within, cancel := b.ask(ctx)
			defer cancel()
			return b.js.Stream(within, b.stream())
		}
		if !tooFewServers(err) {
			return nil, fmt.Errorf("making the bucket: %w", err)
		}
		few = err
	}
	return nil, fmt.Errorf("making the bucket: %w", few)
}

// makeWith makes the bucket with a number of replicas.
func (b *Bucket) makeWith(ctx context.Context, replicas int) error {
	within, cancel := b.ask(ctx)
	defer cancel()
	_, err := b.js.CreateKeyValue(within, jetstream.KeyValueConfig{
		Bucket:      b.name(),
		Description: "apps of the pns4ones cluster " + b.o.Cluster + ", sealed",
		History:     1,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
	})
	return err
}

// made notes that this node has made the bucket, and why it is with so few replicas; nil: they
// are as many as they were to be.
func (b *Bucket) made(replicas int, few error) {
	b.mu.Lock()
	b.few = few
	b.mu.Unlock()
	count := slog.Int("replicas", replicas)
	if few != nil {
		b.o.Logger.Warn("a store for the cluster's apps was made on one NATS server, for three were not to be had", count,
			slog.Any("error", few))
		return
	}
	b.o.Logger.Info("a store for the cluster's apps was made in NATS", count)
}

// tooFewServers reports whether a bucket was refused for the number of its replicas.
func tooFewServers(err error) bool {
	const (
		insufficientResources = 10023
		noSuitablePeers       = 10005
		notClustered          = 10074
	)
	var refusal *jetstream.APIError
	return errors.As(err, &refusal) &&
		slices.Contains([]jetstream.ErrorCode{insufficientResources, noSuitablePeers, notClustered}, refusal.ErrorCode)
}

// first takes in what is there when a watch begins.
func (b *Bucket) first(ctx context.Context, w *watch) error {
	var all []reading
	keys, newest := b.o.Keys(), w.sequence
	b.mu.Lock()
	b.strangeUpTo = min(b.strangeUpTo, w.sequence) // the bucket may have been made anew
	b.mu.Unlock()
	for done := w.empty; !done; {
		select {
		case e, ok := <-w.entries:
			if !ok {
				return w.why
			}
			done, newest = e.last, max(newest, e.revision)
			if r := b.read(e, keys); b.concerns(r) {
				all = append(all, r)
			} else {
				b.mu.Lock()
				b.ignore(r)
				b.mu.Unlock()
			}
		case <-b.o.Clock.After(watchSilence): // somebody took out what was still to come
			return errLack
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	b.records = make(map[string]*record, len(all))
	clear(b.unapplied)
	clear(b.forked)
	clear(b.later)
	clear(b.stale)
	b.meta, b.metaAt, b.metaWhy, b.denied = nil, 0, nil, ""
	b.highest, b.watched, b.readWith = newest, newest, keys
	for _, r := range all {
		b.noteRead(r, keys.ID())
	}
	b.announce()
	b.mu.Unlock()
	return b.decide(ctx)
}

// follow takes in what comes until the watch cannot be trusted any more.
func (b *Bucket) follow(ctx context.Context, w *watch) error {
	f := &follower{b: b, pause: firstPause, reseals: resealer{pause: firstPause}}
	defer f.reseals.end()
	for {
		if err := f.look(ctx); err != nil {
			return err
		}
		select {
		case e, ok := <-w.entries:
			if !ok {
				return w.why
			}
			if err := b.take(ctx, w, e); err != nil {
				return err
			}
		case <-b.wake:
		case <-f.lackDue:
			f.lackDue = nil
			if b.lacks(f.lacking) {
				return errLack
			}
		case <-f.applyDue:
			f.applyDue = nil
			f.apply(ctx)
		case <-f.reseals.due:
			f.reseals.begin(ctx, b)
		case err := <-f.reseals.ended:
			f.reseals.done(b, err)
		case c := <-b.commands:
			f.reseals.end() // the command puts records, too
			b.pending = c
			if err := b.decide(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follower is what follow waits for besides the watch.
type follower struct {
	b        *Bucket
	lackDue  <-chan time.Time // nil: nothing is lacking
	lacking  uint64           // revision that was, when the clock was set
	applyDue <-chan time.Time // nil: there is nothing to be tried again
	pause    time.Duration    // before it is
	reseals  resealer
}

// look sets the clocks by what has changed.
func (f *follower) look(ctx context.Context) error {
	b := f.b
	if b.isLive() && f.applyDue == nil {
		f.apply(ctx)
	}
	known, others := b.known(), b.othersSeal()
	b.mu.Lock()
	defer b.mu.Unlock()
	f.reseals.look(b, b.notePhase(others))
	switch {
	case b.renew:
		return errReconnected
	case b.doubted:
		b.doubted = false
		return errLack
	}
	switch {
	case known <= b.watched:
		f.lackDue = nil
	case f.lackDue == nil:
		f.lackDue, f.lacking = b.o.Clock.After(lackTime), known
	}
	return nil
}

// known is the newest revision that this node or a peer that is live knows of.
func (b *Bucket) known() uint64 {
	live := b.o.Live()
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.highest
	for _, peer := range live {
		known = max(known, b.told[peer])
	}
	return known
}

// lacks reports whether the watch has not brought a revision yet. Under a load of changes
// there is always one that it is just about to bring.
func (b *Bucket) lacks(revision uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watched < revision
}

// apply applies what is there, and sets the clock if that has to be tried again.
func (f *follower) apply(ctx context.Context) {
	if f.b.apply(ctx) {
		f.pause = firstPause
		return
	}
	f.applyDue = f.b.o.Clock.After(f.pause)
	f.pause = min(2*f.pause, lastPause)
}

// take takes in an entry and those that wait behind it.
func (b *Bucket) take(ctx context.Context, w *watch, e entry) error {
	decide := false
	for n := 1; ; n++ {
		b.mu.Lock()
		before := b.metaAt
		b.note(e)
		decide = decide || b.state != Live || b.metaAt != before
		b.watched = max(b.watched, e.revision)
		b.announce()
		b.mu.Unlock()
		if n == maxBatch {
			break
		}
		select {
		case next, ok := <-w.entries:
			if !ok {
				return w.why
			}
			e = next
			continue
		default:
		}
		break
	}
	if decide {
		return b.decide(ctx)
	}
	return nil
}

// deniedSubject is the subject that an error of the connection says may not be used.
func deniedSubject(err error) (subject string, denied bool) {
	text := err.Error()
	if !strings.Contains(strings.ToLower(text), "permissions violation") {
		return "", false
	}
	_, quoted, found := strings.Cut(text, `"`)
	subject, _, closed := strings.Cut(quoted, `"`)
	return subject, found && closed
}
