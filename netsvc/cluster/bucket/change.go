package bucket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Agree puts a change of an app into the bucket, over the record that it was made from, and
// tells the peers. It is [app.Options.Agree]: app.ErrConflict says that a newer record was
// there, and that it was applied; app.ErrOutcomeUnknown that nobody has said what became of
// the change. Any other error is ErrUnavailable, or that of ctx.
func (b *Bucket) Agree(ctx context.Context, c app.Change) error {
	until := b.o.Clock.After(changeTime)
	key := keyOf(c.ID)
	if err := b.waitLive(ctx, until); err != nil {
		return err
	}
	cluster := b.o.Apps.Membership().Cluster
	body, err := agreedChange{c, cluster, b.o.Node}.encode()
	if err != nil {
		return err
	}
	a := b.attempt(key, body)
	defer b.give(a)
	collecting := b.collect(c.ID)
	for {
		after, version, err := b.newest(key, cluster)
		if err != nil {
			b.drop(collecting)
			return a.orInDoubt(err)
		}
		revision := b.found(a)
		if revision == 0 && version >= c.Version {
			b.drop(collecting)
			if err := b.waitApplied(ctx, until, c.ID, version); err != nil {
				return a.orInDoubt(err)
			}
			if version > c.Version { // perhaps made from this very change, of which nothing was heard
				return a.orInDoubt(app.ErrConflict)
			}
			return app.ErrConflict
		}
		if revision == 0 {
			revision, err = b.put(ctx, until, a, after)
		}
		if errors.Is(err, errOverwritten) {
			err = nil
			continue
		}
		if err != nil {
			b.drop(collecting)
			return a.orInDoubt(err)
		}
		b.agreed(collecting, revision)
		b.o.Notify(key, revision)
		return nil
	}
}

// attempt is a value that is put, once or several times.
type attempt struct {
	key     string
	value   []byte
	sealed  *seal.Keys // what value is sealed with; used by who puts it
	epoch   seal.Epoch // that value is sealed in, by which it is known again
	inDoubt bool       // nobody has said what became of it; used by who puts it
	puzzles int        // conflicts with a record that is not there; used by who puts it

	revision uint64 // where it was found; 0: it was not. Under Bucket.mu
}

// maxPuzzles is how many conflicts with a record that is not there are taken for delays.
const maxPuzzles = 3

// attempt seals what is to be put under a key. It is looked out for until it is given up.
func (b *Bucket) attempt(key string, body []byte) *attempt {
	keys := b.o.Keys()
	a := &attempt{key: key, value: keys.SealRecord(b.o.Cluster, key, body), sealed: keys}
	if head, err := seal.ReadHead(a.value); err == nil { // it is one of our own
		a.epoch = head.Epoch
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts[a.epoch] = a
	return a
}

// give gives an attempt up.
func (b *Bucket) give(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.attempts, a.epoch)
}

// found is the revision at which a value was found; 0 if it was not.
func (b *Bucket) found(a *attempt) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.revision
}

// orInDoubt is the error of an attempt.
func (a *attempt) orInDoubt(err error) error {
	if a.inDoubt {
		return fmt.Errorf("%w: %w", app.ErrOutcomeUnknown, err)
	}
	return err
}

// newest is the revision under a key, 0 if there is nothing, and the version if a node of that
// cluster has put it. The error says that it must not be put over.
func (b *Bucket) newest(key string, cluster uuid.UUID) (revision, version uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[key]
	id, _ := idOf(key)
	switch {
	case r == nil:
		return 0, 0, nil
	case b.later[id]:
		return 0, 0, &ProblemError{Code: Later, Apps: []string{id}}
	case r.cluster != cluster:
		return r.revision, 0, nil
	}
	return r.revision, r.Version, nil
}

// waitLive waits until the node is live. After a while, or if somebody has to decide
// something first, the error is the problem.
func (b *Bucket) waitLive(ctx context.Context, until <-chan time.Time) error {
	return b.wait(ctx, until, func() (bool, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.state == Out || !b.connected && b.o.Clock.Now().Sub(b.since) >= changeTime {
			return true, orNoAnswer(b.standing())
		}
		return b.state == Live, nil
	})
}

// wait asks after each movement of the bucket whether it may go on, and with what error. If
// until comes first, the error is the problem that stands then.
func (b *Bucket) wait(ctx context.Context, until <-chan time.Time, done func() (bool, error)) error {
	for {
		b.mu.Lock()
		problem, moved := b.standing(), b.moved
		b.mu.Unlock()
		if over, err := done(); over {
			return err
		}
		select {
		case <-moved:
		case <-until:
			return orNoAnswer(problem)
		case <-b.ended:
			return &ProblemError{Code: Ended}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func orNoAnswer(problem *ProblemError) *ProblemError {
	if problem == nil {
		return &ProblemError{Code: NoAnswer}
	}
	return problem
}

// waitApplied waits until the registry has a version of an app.
func (b *Bucket) waitApplied(ctx context.Context, until <-chan time.Time, id string, version uint64) error {
	return b.wait(ctx, until, func() (bool, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.state == Out { // it may be of another cluster
			return true, orNoAnswer(b.standing())
		}
		return b.o.Apps.Version(id) >= version, nil
	})
}

// errOverwritten: somebody else has put a record meanwhile. It was noted.
var errOverwritten = errors.New("another node was faster")

// put puts a value over the revision after, and tries again in trouble. What was put although
// nobody said so counts.
func (b *Bucket) put(ctx context.Context, until <-chan time.Time, a *attempt, after uint64) (revision uint64, err error) {
	for pause := firstPause; ; pause = min(2*pause, requestTime) {
		if err := b.sealAnew(a); err != nil {
			return 0, err
		}
		within, cancel := b.ask(ctx)
		message := &nats.Msg{Subject: b.subject(a.key), Data: a.value}
		ack, err := b.js.PublishMsg(within, message, jetstream.WithExpectLastSequencePerSubject(after),
			jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			b.mu.Lock()
			b.note(entry{key: a.key, revision: ack.Sequence, value: a.value})
			b.announce()
			b.mu.Unlock()
			return ack.Sequence, nil
		}
		a.inDoubt = a.inDoubt || !isRefused(err)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		conflict := isConflict(err)
		var refusal *jetstream.APIError
		if errors.As(err, &refusal) && !conflict && refusal.Code < 500 {
			return 0, b.why(err)
		}
		there, fetchErr := b.fetch(ctx, a.key)
		if revision := b.found(a); revision > 0 {
			return revision, nil
		}
		if there.revision > after {
			return 0, errOverwritten
		}
		if conflict && fetchErr == nil {
			// What is known to be the newest record is not there. A replica that lags behind
			// may say so for a moment.
			if a.puzzles++; a.puzzles%maxPuzzles == 0 {
				b.doubt()
			}
		}
		select {
		case <-b.o.Clock.After(pause):
			if conflict {
				return 0, errOverwritten // as the watch will tell
			}
		case <-until:
			return 0, b.unanswered(errors.Join(err, fetchErr))
		case <-b.ended:
			return 0, &ProblemError{Code: Ended}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// sealAnew has an attempt be sealed with the key that seals by now: the one before may be about
// to go.
func (b *Bucket) sealAnew(a *attempt) error {
	keys := b.o.Keys()
	if a.sealed == keys {
		return nil
	}
	value, err := keys.ResealRecord(b.o.Cluster, a.key, a.value)
	if err != nil {
		return fmt.Errorf("sealing a change with the cluster's new key: %w", err)
	}
	a.value, a.sealed = value, keys
	return nil
}

// doubt has the watch made anew.
func (b *Bucket) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubted = true
	b.announce()
}

// unanswered is why a change could not be made. If JetStream did not answer, that stands until a
// new watch of the bucket has begun: the one there is goes on in silence, whatever JetStream does.
func (b *Bucket) unanswered(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	why := b.explain(err)
	if why.Code != NoAnswer {
		return why
	}
	b.doubted = true
	if b.problem == nil {
		b.setState(b.state, why)
	}
	b.announce()
	return why
}

// isRefused reports whether a message was surely not stored.
func isRefused(err error) bool {
	var refusal *jetstream.APIError
	return errors.As(err, &refusal) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || // nobody was there to take it
		errors.Is(err, nats.ErrReconnectBufExceeded) // it was not sent
}

// isConflict reports whether a message was refused because another one is the last of its
// subject.
func isConflict(err error) bool {
	const replicated = 10164 // in place of 10071, from 2.12 on
	var refusal *jetstream.APIError
	return errors.As(err, &refusal) &&
		(refusal.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refusal.ErrorCode == replicated)
}

// collection is what peers answer to a change.
type collection struct {
	id       string
	put      time.Time
	revision uint64 // 0: not put yet
	peers    []string
	answers  map[string][]answer // of each peer, in the order in which they came
}

// keepAnswers is how long the answers to a change are kept for who wants to know them.
const keepAnswers = time.Minute

// maxAnswers bounds what is kept of a peer while a change is not put yet: answers to changes of
// the same app before it.
const maxAnswers = 16

type answer struct {
	revision uint64
	closed   int
}

// collect begins to collect answers, before there are any: peers can be faster than the
// answer of JetStream.
func (b *Bucket) collect(id string) *collection {
	c := &collection{id: id, answers: make(map[string][]answer)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes[id] = append(b.changes[id], c)
	return c
}

// drop forgets a change that was not made.
func (b *Bucket) drop(c *collection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(c)
}

// forget is drop for a caller that holds mu.
func (b *Bucket) forget(c *collection) {
	rest := slices.DeleteFunc(b.changes[c.id], func(one *collection) bool { return one == c })
	if b.changes[c.id] = rest; len(rest) == 0 {
		delete(b.changes, c.id)
	}
}

// agreed notes that a change was made. Earlier ones of the app that nobody has settled are
// forgotten, and those of all apps after a while.
func (b *Bucket) agreed(c *collection, revision uint64) {
	live := b.o.Live()
	b.mu.Lock()
	defer b.mu.Unlock()
	c.revision, c.peers, c.put = revision, live, b.o.Clock.Now()
	b.unsettled = append(b.unsettled, c)
	for c.put.Sub(b.unsettled[0].put) > keepAnswers {
		b.forget(b.unsettled[0])
		b.unsettled = b.unsettled[1:]
	}
	for _, one := range slices.Clone(b.changes[c.id]) {
		if one.revision != 0 && one.revision < revision {
			b.forget(one)
		}
	}
	b.announce()
}

// confirmed takes in that a revision holds at a peer.
func (b *Bucket) confirmed(peer, key string, revision uint64, closed int) {
	id, ok := idOf(key)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.changes[id] {
		if len(c.answers[peer]) < maxAnswers {
			c.answers[peer] = append(c.answers[peer], answer{revision, closed})
		}
	}
	b.announce()
}

// Settled is what became of a change on the peers.
type Settled struct {
	Pending []string // peers that have not said that they have it
	Closed  int      // sessions that it closed on the others
}

// Settle waits until all peers that were live when this node changed the app with that id
// last have taken it over, for 2 s at most.
func (b *Bucket) Settle(ctx context.Context, id string) Settled {
	var over <-chan time.Time
	for {
		b.mu.Lock()
		c := b.lastChange(id)
		if c == nil {
			b.mu.Unlock()
			return Settled{}
		}
		s, moved := c.settled(), b.moved
		b.mu.Unlock()
		if len(s.Pending) > 0 {
			if over == nil {
				over = b.o.Clock.After(settleTime)
			}
			select {
			case <-moved:
				continue
			case <-over:
			case <-ctx.Done():
			}
		}
		b.drop(c)
		return s
	}
}

// lastChange is the last one of an app that was put; nil if there is none. The caller holds mu.
func (b *Bucket) lastChange(id string) (last *collection) {
	for _, c := range b.changes[id] {
		if c.revision > 0 && (last == nil || c.revision > last.revision) {
			last = c
		}
	}
	return last
}

// settled is what is known so far.
func (c *collection) settled() (s Settled) {
	isOurs := func(a answer) bool { return a.revision >= c.revision }
	for _, peer := range c.peers {
		if !slices.ContainsFunc(c.answers[peer], isOurs) {
			s.Pending = append(s.Pending, peer)
		}
	}
	for _, answers := range c.answers {
		if i := slices.IndexFunc(answers, isOurs); i >= 0 {
			s.Closed += answers[i].closed
		}
	}
	return s
}
