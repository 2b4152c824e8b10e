package app

import (
	"errors"
	"slices"
	"time"
)

// change is what one commit stores.
type change struct {
	put      []*App   // new ones, and those that replace an older state
	names    []*App   // of put, those whose names are other ones
	remove   []string // ids
	identity Identity // zero: it stays
	// agreed is what others have agreed on: versions with what the apps are now, of put,
	// of remove, and of apps that stay. What it does not name is changed alone.
	agreed []Change
	member *Membership // nil: it stays
	joins  bool        // agreed is all that was ever agreed on
}

// commit makes one change in three steps: on disk, visible, told. It is called in
// the writer's turn. After an error, what is in the file holds: that is what readers
// see and what was told.
func (r *Registry) commit(c change) error {
	before := r.current.Load()
	next := before.with(c.put, c.remove)
	next.versions = before.versionsAfter(c)
	began := time.Now()
	r.inDisk.Store(&began)
	there, err := r.store.commit(c, before.list)
	r.inDisk.Store(nil)
	switch {
	case err == nil:
		r.setIdentity(c.identity)
		r.setMembership(c.member)
		r.publish(next, c.put, c.remove)
	case errors.Is(err, ErrOutcomeUnknown) && there != nil:
		r.setIdentity(there.identity)
		r.replace(there)
	}
	return err
}

// replace makes what is in the file what readers see, and announces what differs from
// what they saw. An app that does not differ stays the same *App.
func (r *Registry) replace(there *contents) {
	r.setMembership(&there.member)
	apps := there.apps
	before := r.current.Load()
	var put []*App
	kept := make(map[string]bool, len(apps))
	for _, a := range apps {
		kept[a.ID] = true
		if old, ok := before.get(a.ID); !ok || !sameApp(old, a) {
			put = append(put, a)
		}
	}
	var remove []string
	for _, a := range before.list {
		if !kept[a.ID] {
			remove = append(remove, a.ID)
		}
	}
	next := before.with(put, remove)
	next.versions = there.versions
	r.publish(next, put, remove)
}

// publish shows readers the next state, and announces what is new in it.
func (r *Registry) publish(next *snapshot, put []*App, remove []string) {
	r.current.Store(next)
	r.forgetTokens()
	if r.changed == nil {
		return
	}
	for _, id := range remove {
		r.changed(id, nil)
	}
	for _, a := range put {
		r.changed(a.ID, a)
	}
}

// sameApps compares two lists in the order of the list, with all keys and secrets.
func sameApps(a, b []*App) bool { return slices.EqualFunc(a, b, sameApp) }

func sameApp(a, b *App) bool {
	return a.ID == b.ID && a.Title == b.Title && a.CreatedAt.Equal(b.CreatedAt) && a.names.Equal(b.names) &&
		slices.EqualFunc(a.ServerKeys, b.ServerKeys, func(a, b ServerKey) bool {
			return a.Key == b.Key && a.Since.Equal(b.Since) && a.Until.Equal(b.Until) && a.tokenSecret == b.tokenSecret
		}) &&
		slices.EqualFunc(a.ClientKeys, b.ClientKeys, func(a, b ClientKey) bool {
			return a.Key == b.Key && a.Generation == b.Generation && a.Since.Equal(b.Since) && a.Until.Equal(b.Until)
		}) &&
		sameLater(a, b)
}
