package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pns4ones/pns4ones/app/names"
)

// Several registries, each with a file of its own, can keep the same apps: those of the
// nodes of a cluster. Each change of an app then has a version, and is agreed on before
// it is stored; how that is done is not known here. Names of users and infobases are not
// part of it: each node has its own, and takes over newer ones, see [Registry.TakeNames].

// Change is one change of one app, as the nodes of a cluster agree on it.
type Change struct {
	ID      string // of the app, lower case
	Version uint64 // grows with each change of the app, also across its removal; from 1
	App     *App   // what the app is from now on; nil: it is removed
}

var (
	// ErrConflict: somebody else changed the app meanwhile, again and again.
	ErrConflict = errors.New("the app was changed by somebody else meanwhile")
	// ErrNotAgreed: the nodes of the cluster did not agree on the change, and nothing was
	// changed. It comes with the reason.
	ErrNotAgreed = errors.New("the nodes of the cluster could not agree on it")
	// ErrKeyTaken: an app has a server key that another app has.
	ErrKeyTaken = errors.New("another app has the same server key")
)

// agreeTimes is how often a change is made anew because somebody else was faster.
const agreeTimes = 10

// version is that of an app, or of one that was removed.
type version struct {
	number uint64
	// alone: the app was changed since without agreement, by a program that knows of no
	// cluster, or was not told of one.
	alone bool
}

// Membership says what cluster a database belongs to.
type Membership struct {
	Cluster uuid.UUID // zero: it never was in one
	Node    uuid.UUID // of this database; zero until [Registry.EnsureNode]
}

// Membership is that of the database, as far as it is known: zero without a file.
func (r *Registry) Membership() Membership {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.member
}

func (r *Registry) setMembership(m *Membership) {
	if m == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.member = *m
}

// EnsureNode returns the node id of the database, and makes one if it has none.
func (r *Registry) EnsureNode() (uuid.UUID, error) {
	id, err := withFile(r, ErrOutcomeUnknown, func() (uuid.UUID, error) {
		m := r.Membership()
		if m.Node != uuid.Nil {
			return m.Node, nil
		}
		var err error
		if m.Node, err = uuid.NewRandom(); err != nil {
			return uuid.Nil, err
		}
		return m.Node, r.commit(change{member: &m})
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("giving the node an id: %w", err)
	}
	return id, nil
}

// AgreeBy has changes agreed on from now on, as [Options.Agree] does for a registry from its
// beginning: what was imported into a new database is the node's own. It must not be called
// while the registry is used by anybody else.
func (r *Registry) AgreeBy(agree func(ctx context.Context, c Change) error) { r.agree = agree }

// Known returns the newest version that this registry has of each app, and of each
// removed one that has a version. An app whose changes were never agreed on has version 0.
func (r *Registry) Known() []Change {
	s := r.current.Load()
	known := make([]Change, 0, max(len(s.list), len(s.versions)))
	for _, a := range s.list {
		known = append(known, Change{ID: a.ID, Version: s.version(a.ID), App: a})
	}
	for id, v := range s.versions {
		if s.byID[id] == nil {
			known = append(known, Change{ID: id.String(), Version: v.number})
		}
	}
	return known
}

// Version is the one that this registry has of an app, or of a removed one; 0 if no change
// of it was ever agreed on.
func (r *Registry) Version(id string) uint64 { return r.current.Load().version(id) }

// Alone returns the ids of the apps that were made, changed or removed without
// agreement since the database is in its cluster, in order.
func (r *Registry) Alone() []string {
	s := r.current.Load()
	var ids []string
	if r.Membership().Cluster == uuid.Nil {
		return nil
	}
	for id, v := range s.versions {
		if v.alone {
			ids = append(ids, id.String())
		}
	}
	for id := range s.byID {
		if _, agreed := s.versions[id]; !agreed {
			ids = append(ids, id.String())
		}
	}
	slices.Sort(ids)
	return ids
}

// Apply takes over changes that others have agreed on. One that is not newer than what
// is known of its app is passed over, versions may be skipped. All are stored in one
// transaction; then readers see them, and Changed is called for each app that differs from
// before. One that would give an app a server key of another app is left out: the error
// is then ErrKeyTaken, and the others are stored.
func (r *Registry) Apply(changes ...Change) error {
	_, err := withFile(r, ErrOutcomeUnknown, func() (struct{}, error) { return struct{}{}, r.apply(changes) })
	if err != nil {
		return fmt.Errorf("taking over changes of apps: %w", err)
	}
	return nil
}

// apply is called in the writer's turn.
func (r *Registry) apply(changes []Change) error {
	next, now := r.current.Load().with(nil, nil), r.now()
	var c change
	var problems []error
	for _, one := range newestOf(changes) {
		id, err := parseID(one.ID)
		if err != nil {
			return err
		}
		if one.Version <= next.versions[id].number {
			continue
		}
		before := next.byID[id]
		a := one.App.takenOver(before, now)
		if holder := next.holderOfKeys(a); holder != nil {
			problems = append(problems, fmt.Errorf("app %s: %w: %s", one.ID, ErrKeyTaken, holder.ID))
			continue
		}
		next.drop(id)
		switch {
		case a != nil:
			next.add(a)
			if a != before {
				c.put = append(c.put, a)
			}
		case before != nil:
			c.remove = append(c.remove, before.ID)
		}
		c.agreed = append(c.agreed, Change{id.String(), one.Version, a})
	}
	if len(c.agreed) > 0 {
		problems = append(problems, r.commit(c))
	}
	return errors.Join(problems...)
}

// newestOf is the newest change of each app, in the order of changes.
func newestOf(changes []Change) []Change {
	newest := make(map[string]uint64, len(changes))
	for _, c := range changes {
		newest[c.ID] = max(newest[c.ID], c.Version)
	}
	var rest []Change
	for _, c := range changes {
		if c.Version == newest[c.ID] {
			rest = append(rest, c)
			newest[c.ID] = 0 // no version is, so each comes once
		}
	}
	return rest
}

// takenOver is what an app of another node becomes here, where it was before (or nil): it
// keeps its names, and the keys whose time is over are dropped. If nothing differs it is
// before itself.
func (a *App) takenOver(before *App, now time.Time) *App {
	if a == nil {
		return nil
	}
	var known *names.Table
	var at int64
	if before != nil {
		known, at = before.names, before.namesAt
	}
	if a.names != known || a.namesAt != at || a.HasEnded(now) {
		a = a.clone()
		a.ServerKeys = withoutEnded(a.ServerKeys, (*ServerKey).until, now)
		a.ClientKeys = withoutEnded(a.ClientKeys, (*ClientKey).until, now)
		a.names, a.namesAt = known, at
	}
	if before != nil && sameApp(a, before) {
		return before
	}
	return a
}

// Join makes the database one of that cluster, whose apps are those of all: it has
// exactly these from now on, and those that it had besides are removed. The error is
// ErrKeyTaken, or why it could not be stored; then nothing has changed.
func (r *Registry) Join(cluster uuid.UUID, all []Change) error {
	_, err := withFile(r, ErrOutcomeUnknown, func() (struct{}, error) {
		return struct{}{}, r.join(cluster, all)
	})
	if err != nil {
		return fmt.Errorf("joining a cluster: %w", err)
	}
	return nil
}

func (r *Registry) join(cluster uuid.UUID, all []Change) error {
	there, now := r.current.Load(), r.now()
	c := change{member: &Membership{Cluster: cluster, Node: r.Membership().Node}, joins: true}
	var apps appSet
	for _, one := range newestOf(all) {
		id, err := parseID(one.ID)
		if err != nil {
			return err
		}
		a := one.App.takenOver(there.byID[id], now)
		c.agreed = append(c.agreed, Change{id.String(), one.Version, a})
		if a == nil {
			continue
		}
		if err := apps.add(a); err != nil {
			return fmt.Errorf("app %s: %w: %w", a.ID, ErrKeyTaken, err)
		}
		if a != there.byID[id] {
			c.put = append(c.put, a)
		}
	}
	for _, a := range there.list {
		if !apps.ids[a.ID] {
			c.remove = append(c.remove, a.ID)
		}
	}
	return r.commit(c)
}

// stillAgreed is what was agreed on about apps whose records are written anew although
// nobody changed them.
func (s *snapshot) stillAgreed(apps []*App) (agreed []Change) {
	if s.versions == nil {
		return nil
	}
	for _, a := range apps {
		if v, known := s.versions[uuid.MustParse(a.ID)]; known && !v.alone {
			agreed = append(agreed, Change{a.ID, v.number, a})
		}
	}
	return agreed
}

// versionsAfter is the versions that hold after a change: what it changes without an
// agreement is changed alone.
func (s *snapshot) versionsAfter(c change) map[uuid.UUID]version {
	if s.versions == nil && len(c.agreed) == 0 {
		return nil
	}
	after := make(map[uuid.UUID]version)
	if !c.joins {
		maps.Copy(after, s.versions)
	}
	alone := func(id string) {
		if v, known := after[uuid.MustParse(id)]; known {
			after[uuid.MustParse(id)] = version{v.number, true}
		}
	}
	for _, a := range c.put {
		alone(a.ID)
	}
	for _, id := range c.remove {
		alone(id)
	}
	for _, one := range c.agreed {
		after[uuid.MustParse(one.ID)] = version{number: one.Version}
	}
	return after
}

// propose has what becomes of an app agreed on, but does not store it. become is called
// again for a newer old app when somebody else was faster. proposed is nil if there is
// nothing to change.
func (r *Registry) propose(ctx context.Context, id string, become func(old *App) (*App, error)) (
	a *App, proposed *Change, err error) {
	for range agreeTimes {
		there := r.current.Load()
		old, _ := there.get(id)
		a, err = become(old)
		if err != nil || a == old {
			return a, nil, err
		}
		if old != nil {
			id = old.ID
		}
		proposed = &Change{ID: id, Version: there.version(id) + 1, App: a}
		if err = r.agree(ctx, *proposed); err == nil {
			return a, proposed, nil
		}
		switch {
		case errors.Is(err, ErrOutcomeUnknown):
			return nil, nil, err
		case errors.Is(err, ErrConflict):
			continue
		case ctx.Err() != nil: // it may have been agreed on nevertheless
			return nil, nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
		return nil, nil, fmt.Errorf("%w: %w", ErrNotAgreed, err)
	}
	return nil, nil, err
}

// changeTogether is change in a cluster.
func (r *Registry) changeTogether(id string, become func(old *App) (*App, error)) (*App, error) {
	return together(r, func(ctx context.Context) (*App, error) {
		a, proposed, err := r.propose(ctx, id, become)
		if err != nil || proposed == nil {
			return a, err
		}
		return a, r.storeAgreed(*proposed)
	})
}

// storeAgreed stores changes that were agreed on. The error is ErrOutcomeUnknown: the
// other nodes have them.
func (r *Registry) storeAgreed(changes ...Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := r.gate.take(context.Background()); err != nil {
		return err
	}
	defer r.gate.leave()
	err := r.Unavailable()
	if err == nil {
		err = r.apply(changes)
	}
	if err != nil {
		return fmt.Errorf("%w: the other nodes have it, this one has not: %w", ErrOutcomeUnknown, err)
	}
	return nil
}

// besides says in an error of a change of several apps which of them were changed before.
func besides(err error, changed []*App) error {
	if err == nil || len(changed) == 0 {
		return err
	}
	ids := make([]string, len(changed))
	for i, a := range changed {
		ids[i] = a.ID
	}
	const most = 10
	more := ""
	if len(ids) > most {
		ids, more = ids[:most], fmt.Sprintf(" and %d more", len(ids)-most)
	}
	return fmt.Errorf("%w; before that it was done for %s%s", err, strings.Join(ids, ", "), more)
}

// together does work that asks for agreement in a goroutine of its own, without the
// writer's turn. Pausing waits for it as for any other change, and when it is abandoned
// meanwhile the caller gets ErrOutcomeUnknown.
func together[T any](r *Registry, work func(ctx context.Context) (T, error)) (T, error) {
	var none T
	if err := r.Unavailable(); err != nil {
		return none, err
	}
	abandoned, err := r.gate.enlist()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithCancel(r.closing)
	done := make(chan outcome[T], 1)
	go func() {
		defer cancel()
		value, err := work(ctx)
		r.gate.discharge()
		done <- outcome[T]{value, err}
	}()
	return await(done, abandoned, ErrOutcomeUnknown)
}

// MarshalRecord writes the app down as its record in the database has it, in JSON, with
// all keys and token secrets, without the names of users and infobases: for other nodes.
// What it returns is secret.
func (a *App) MarshalRecord() (json.RawMessage, error) { return encodeRecord(a) }

// ParseRecord reads and checks what [App.MarshalRecord] wrote. The error quotes nothing
// of it.
func ParseRecord(text []byte) (*App, error) { return decodeRecord(text) }

// SameKeys reports whether two apps have the same current keys.
func SameKeys(a, b *App) bool {
	return a.ServerKeys[0].Key == b.ServerKeys[0].Key && a.ClientKeys[0].Key == b.ClientKeys[0].Key
}

// Same reports whether two apps are the same but for their names of users and infobases,
// and for keys whose time is over at now.
func Same(a, b *App, now time.Time) bool {
	a, b = a.takenOver(nil, now), b.takenOver(nil, now)
	return sameApp(a, b)
}
