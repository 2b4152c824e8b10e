package bucket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

var noCluster uuid.UUID

// command is what an administrator wants.
type command struct {
	do   deed
	done chan error // has room for the answer
}

type deed int

const (
	merge deed = iota
	take
	restore
)

// Merge adds the apps of this node to those of the cluster, and joins it. Where both have an
// app with the same keys the cluster's holds. It is for a node that is not of that cluster
// yet: what another one has here may be what the cluster has removed. If the node that puts
// its apps into the bucket is gone for good, this one goes on in its place. The error is
// ErrNotNeeded, a *MergeError, ErrUnavailable, or that of ctx.
func (b *Bucket) Merge(ctx context.Context) error { return b.command(ctx, merge) }

// Take replaces the apps of this node by those of the cluster, and joins it. The error is
// ErrNotNeeded, ErrUnavailable, that of ctx, of the backup or of the database.
func (b *Bucket) Take(ctx context.Context) error { return b.command(ctx, take) }

// Restore puts the apps of this node into the bucket, and makes the bucket if it is gone. An
// app of which the bucket has a newer version stays as it is there, unless it was changed
// here while the node was alone. A bucket of another cluster loses its apps. The error is
// ErrNeverMember, ErrUnavailable, that of ctx or of the database; it may be done again.
func (b *Bucket) Restore(ctx context.Context) error { return b.command(ctx, restore) }

func (b *Bucket) command(ctx context.Context, do deed) error {
	c := &command{do, make(chan error, 1)}
	select {
	case b.commands <- c:
	case <-b.ended:
		return &ProblemError{Code: Ended}
	case <-ctx.Done():
		return b.commandEnded(ctx)
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return b.commandEnded(ctx)
	}
}

// commandEnded says why a command was not worked off in time.
func (b *Bucket) commandEnded(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if problem := b.standing(); problem != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), problem)
	}
	return ctx.Err()
}

// answer ends the command that waits.
func (b *Bucket) answer(err error) {
	if b.pending != nil {
		b.pending.done <- err
		b.pending = nil
	}
}

// decide finds out how this node stands to the bucket, all of whose records are known, and
// applies them if it is one of the cluster. The error says why the watch has to begin anew.
func (b *Bucket) decide(ctx context.Context) error {
	if b.pending != nil {
		err := b.obey(ctx)
		if err != nil && ctx.Err() != nil {
			err = &ProblemError{Code: Ended}
		}
		b.answer(err)
		if errors.Is(err, ErrUnavailable) {
			return err
		}
	}
	member := b.o.Apps.Membership()
	b.mu.Lock()
	meta, why := b.meta, b.metaWhy
	b.mu.Unlock()
	switch {
	case meta == nil && why != nil:
		b.refuse(unreadable(why))
	case meta == nil && member.Cluster != noCluster:
		b.refuse(&ProblemError{Code: BucketGone})
	case meta == nil:
		return b.seed(ctx, uuid.Nil)
	case member.Cluster != noCluster && member.Cluster != meta.Cluster:
		b.refuse(&ProblemError{Code: OtherCluster})
	case meta.State == metaSeeding && meta.By == b.o.Node && member.Cluster == noCluster:
		return b.seed(ctx, meta.Cluster)
	case meta.State == metaSeeding && meta.By == b.o.Node && member.Cluster == meta.Cluster:
		if err := b.restore(ctx); err != nil {
			return err
		}
		b.live(ctx)
	case meta.State == metaSeeding:
		b.set(Joining, &ProblemError{Code: Seeding, Node: meta.By})
	case member.Cluster == noCluster:
		return b.joinSame(ctx, meta.Cluster)
	default:
		if alone := b.o.Apps.Alone(); len(alone) > 0 && !b.isLive() {
			b.refuse(&ProblemError{Code: ChangedAlone, Apps: alone})
			return nil
		}
		b.live(ctx)
	}
	return nil
}

// unreadable is what it means that a bucket does not say what it is.
func unreadable(why error) *ProblemError {
	key, other := errors.AsType[seal.UnknownKeyError](why)
	switch {
	case errors.Is(why, errDeleted):
		return &ProblemError{Code: BucketGone}
	case other:
		return &ProblemError{Code: OtherKey, Key: seal.KeyID(key).String()}
	}
	return &ProblemError{Code: Unreadable, Err: why}
}

func (b *Bucket) refuse(p *ProblemError) { b.set(Out, p) }

func (b *Bucket) set(s State, p *ProblemError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setState(s, p)
}

// live applies what the bucket has, and is live from then on.
func (b *Bucket) live(ctx context.Context) {
	was := b.isLive()
	b.apply(ctx)
	known := b.o.Apps.Known()
	b.mu.Lock()
	defer b.mu.Unlock()
	problem := b.problem
	if problem != nil && problem.Code != NotStored {
		problem = nil
	}
	b.setState(Live, problem)
	if back := b.rolledBack(known); !was && back != nil {
		b.o.Logger.Error("NATS has lost changes of apps, this node has them still", slog.Int("apps", len(back)),
			slog.String("detail", list(back)))
	}
}

// all is the newest change of each app in the bucket, as far as the cluster has put it there
// that the bucket is of. The caller holds mu.
func (b *Bucket) all() (all []app.Change) {
	for _, r := range b.records {
		if r.Version > 0 && b.meta != nil && r.cluster == b.meta.Cluster {
			all = append(all, r.Change)
		}
	}
	return all
}

// joinSame joins a cluster that has all apps of this node, which never was in one.
func (b *Bucket) joinSame(ctx context.Context, cluster uuid.UUID) error {
	b.mu.Lock()
	all := b.all()
	b.mu.Unlock()
	there := byID(all)
	var own []string
	for _, a := range b.o.Apps.List() {
		if other := there[a.ID].App; other == nil || !app.Same(a, other, b.o.Clock.Now()) {
			own = append(own, a.ID)
		}
	}
	if own != nil {
		b.refuse(&ProblemError{Code: OwnApps, Apps: own})
		return nil
	}
	return b.join(ctx, cluster, all)
}

// join makes this node one of the cluster, whose apps are all.
func (b *Bucket) join(ctx context.Context, cluster uuid.UUID, all []app.Change) error {
	_, err := stored(ctx, b, func() (any, error) { return nil, b.o.Apps.Join(cluster, all) })
	if err != nil {
		b.notStored(err)
		return err
	}
	b.live(ctx)
	return nil
}

func byID(all []app.Change) map[string]app.Change {
	found := make(map[string]app.Change, len(all))
	for _, c := range all {
		found[c.ID] = c
	}
	return found
}

// seed fills an empty bucket with the apps of this node, which never was in a cluster.
// cluster is the id of the cluster, if that was begun before.
func (b *Bucket) seed(ctx context.Context, cluster uuid.UUID) error {
	meta := metaRecord{Cluster: cluster, State: metaSeeding, By: b.o.Node}
	if cluster == noCluster {
		var err error
		if meta.Cluster, err = uuid.NewRandom(); err != nil {
			return err
		}
		if err := b.putMeta(ctx, meta); err != nil {
			return err // somebody else was faster: the next watch sees his
		}
	}
	all, err := b.putApps(ctx, meta.Cluster, b.o.Apps.Known(), nil)
	if err != nil {
		return err
	}
	meta.State = metaReady
	if err := b.putMeta(ctx, meta); err != nil {
		return err
	}
	return b.join(ctx, meta.Cluster, all)
}

// putMeta replaces what is under keyMeta, if that is still what is known.
func (b *Bucket) putMeta(ctx context.Context, meta metaRecord) error {
	b.mu.Lock()
	after := b.metaAt
	b.mu.Unlock()
	a := b.attempt(keyMeta, meta.encode())
	defer b.give(a)
	_, err := b.put(ctx, b.o.Clock.After(changeTime), a, after)
	return err
}

// putApps puts changes into the bucket, each with a version above what is there and what
// is known here, and returns them so. An app of which the bucket has a version that stays,
// as stays says (nil: none does), is left out.
func (b *Bucket) putApps(ctx context.Context, cluster uuid.UUID, changes []app.Change,
	stays func(known app.Change, version uint64) bool) (put []app.Change, err error) {
	for _, c := range changes {
		known := c
		until := b.o.Clock.After(changeTime)
		for {
			after, version, err := b.newest(keyOf(c.ID), cluster)
			if err != nil {
				return put, err
			}
			if stays != nil && stays(known, version) {
				break
			}
			c.Version = max(known.Version, version) + 1
			err = b.putApp(ctx, until, agreedChange{c, cluster, b.o.Node}, after)
			if errors.Is(err, errOverwritten) {
				continue
			}
			if err != nil {
				return put, err
			}
			put = append(put, c)
			break
		}
	}
	return put, nil
}

// putApp puts a change over the revision after, and tells the peers.
func (b *Bucket) putApp(ctx context.Context, until <-chan time.Time, c agreedChange, after uint64) error {
	key := keyOf(c.ID)
	body, err := c.encode()
	if err != nil {
		return err
	}
	a := b.attempt(key, body)
	defer b.give(a)
	revision, err := b.put(ctx, until, a, after)
	if err == nil {
		b.o.Notify(key, revision)
	}
	return err
}

// obey does what an administrator wants.
func (b *Bucket) obey(ctx context.Context) error {
	if b.pending.do == restore {
		return b.restore(ctx)
	}
	b.mu.Lock()
	meta, state, problem, all := b.meta, b.state, b.problem, b.all()
	b.mu.Unlock()
	switch {
	case state == Live:
		return ErrNotNeeded
	case meta == nil:
		return orNoAnswer(problem)
	case b.pending.do == merge && b.o.Apps.Membership().Cluster != meta.Cluster:
		return b.merge(ctx, *meta)
	case b.pending.do == merge || meta.State != metaReady:
		return orNoAnswer(problem)
	}
	if _, err := stored(ctx, b, func() (any, error) { return nil, b.o.Backup() }); err != nil {
		return fmt.Errorf("keeping a copy of the database: %w", err)
	}
	return b.join(ctx, meta.Cluster, all)
}

// merge puts the apps of this node that the bucket has not into it, and joins the cluster.
func (b *Bucket) merge(ctx context.Context, meta metaRecord) error {
	seeding := meta.State == metaSeeding
	if seeding { // from here on in place of who began it, should he be back
		meta.By = b.o.Node
		if err := b.putMeta(ctx, meta); err != nil {
			return err
		}
	}
	for {
		b.mu.Lock()
		all := b.all()
		b.mu.Unlock()
		missing, err := b.missing(all)
		if err != nil {
			return err
		}
		// Somebody else may put the same app meanwhile: then it is looked at again.
		newer := func(looked app.Change, version uint64) bool { return version > looked.Version }
		added, err := b.putApps(ctx, meta.Cluster, missing, newer)
		if err != nil {
			return err
		}
		if len(added) < len(missing) {
			continue
		}
		if seeding {
			meta.State = metaReady
			if err := b.putMeta(ctx, meta); err != nil {
				return err
			}
		}
		return b.join(ctx, meta.Cluster, append(all, added...))
	}
}

// missing is the apps of this node that are not among all of the bucket, each with the version
// that it has there. The error is a *MergeError.
func (b *Bucket) missing(all []app.Change) (missing []app.Change, err error) {
	there := byID(all)
	holders := make(map[string]string) // server key → id
	for _, c := range all {
		if c.App != nil {
			for _, k := range c.App.ServerKeys {
				holders[k.Key] = c.ID
			}
		}
	}
	var others []string
	for _, a := range b.o.Apps.List() {
		if other := there[a.ID].App; other != nil {
			if !app.SameKeys(a, other) {
				others = append(others, a.ID)
			}
			continue
		}
		if slices.ContainsFunc(a.ServerKeys, func(k app.ServerKey) bool { return holders[k.Key] != "" }) {
			others = append(others, a.ID)
			continue
		}
		missing = append(missing, app.Change{ID: a.ID, Version: there[a.ID].Version, App: a})
	}
	if others != nil {
		return nil, &MergeError{others}
	}
	return missing, nil
}

// restore gives the bucket the apps of this node.
func (b *Bucket) restore(ctx context.Context) error {
	member := b.o.Apps.Membership()
	if member.Cluster == noCluster {
		return ErrNeverMember
	}
	b.mu.Lock()
	foreign := b.meta != nil && b.meta.Cluster != member.Cluster
	there := b.all()
	b.mu.Unlock()
	meta := metaRecord{Cluster: member.Cluster, State: metaSeeding, By: b.o.Node}
	if err := b.putMeta(ctx, meta); err != nil {
		return err
	}
	known := slices.DeleteFunc(b.o.Apps.Known(), func(c app.Change) bool { return b.isLater(c.ID) })
	if foreign {
		if err := b.deleteOthers(ctx, there, byID(known)); err != nil {
			return err
		}
	}
	alone := make(map[string]bool)
	for _, id := range b.o.Apps.Alone() {
		alone[id] = true
	}
	newer := func(known app.Change, version uint64) bool {
		return version > known.Version && !alone[known.ID]
	}
	put, err := b.putApps(ctx, meta.Cluster, known, newer)
	if err != nil {
		return err
	}
	meta.State = metaReady
	if err := b.putMeta(ctx, meta); err != nil {
		return err
	}
	_, err = stored(ctx, b, func() (any, error) { return nil, b.o.Apps.Apply(put...) })
	return err
}

// isLater reports whether only a later version of the program can read what the bucket has of
// an app: that stays.
func (b *Bucket) isLater(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.later[id]
}

// deleteOthers deletes the apps of another cluster from the bucket.
func (b *Bucket) deleteOthers(ctx context.Context, there []app.Change, known map[string]app.Change) error {
	for _, c := range there {
		if _, ours := known[c.ID]; ours {
			continue
		}
		key := keyOf(c.ID)
		after, _, err := b.newest(key, noCluster)
		if err != nil {
			return err
		}
		within, cancel := b.ask(ctx)
		marker := &nats.Msg{Subject: b.subject(key), Header: nats.Header{"KV-Operation": {"DEL"}}}
		ack, err := b.js.PublishMsg(within, marker, jetstream.WithExpectLastSequencePerSubject(after))
		cancel()
		if err != nil {
			return b.why(err)
		}
		b.mu.Lock()
		b.records[key] = &record{revision: ack.Sequence}
		delete(b.unapplied, key)
		delete(b.stale, key)
		b.logged[key] = ack.Sequence // it is no riddle
		b.mu.Unlock()
	}
	return nil
}
