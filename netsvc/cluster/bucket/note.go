package bucket

import (
	"errors"
	"log/slog"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// reading is what an entry says, without the entry: strangers can put as much into the bucket as
// NATS lets them.
type reading struct {
	key      string
	revision uint64
	head     *seal.Head   // of what a node has sealed; nil: no node has
	change   agreedChange // under the key of an app; with an error of version 0
	meta     *metaRecord  // under keyMeta; nil with an error
	err      error        // why it is not taken in
}

// read opens an entry.
func (b *Bucket) read(e entry, keys *seal.Keys) reading {
	r := reading{key: e.key, revision: e.revision}
	id, isApp := idOf(e.key)
	if !isApp && e.key != keyMeta {
		r.err = errors.New("its key is not one of an app")
		return r
	}
	if e.marker {
		r.err = errDeleted
		return r
	}
	body, err := keys.OpenRecord(b.o.Cluster, e.key, e.value)
	if err != nil {
		r.err = err
		return r
	}
	head, err := seal.ReadHead(e.value)
	if err != nil {
		r.err = err
		return r
	}
	r.head = &head
	if !isApp {
		r.meta, r.err = decodeMeta(body)
		return r
	}
	if r.change, r.err = decodeChange(id, body); r.err != nil {
		r.change = agreedChange{}
	}
	return r
}

var errDeleted = errors.New("it was deleted, which no node does")

// concerns reports whether something is to be remembered: what a node has put, and what stands
// in the place of that.
func (b *Bucket) concerns(r reading) bool {
	id, isApp := idOf(r.key)
	return r.key == keyMeta || isApp && (r.err == nil || errors.Is(r.err, errLater) || b.o.Apps.Version(id) > 0)
}

// note takes in what is under a key, unless something newer is known. The caller holds mu.
func (b *Bucket) note(e entry) {
	b.highest = max(b.highest, e.revision)
	if b.isNews(e.key, e.revision) {
		keys := b.o.Keys()
		b.noteRead(b.read(e, keys), keys.ID())
	}
}

// isNews reports whether a revision under a key is newer than what is known. The caller holds mu.
func (b *Bucket) isNews(key string, revision uint64) bool {
	if key == keyMeta {
		return revision > b.metaAt
	}
	known := b.records[key]
	return known == nil || revision > known.revision
}

// noteRead takes in what was read. It notes with which key of the cluster that is sealed, if not
// with this one, and if it is what this node has put: by its epoch, for another node may have
// sealed it again since. The caller holds mu.
func (b *Bucket) noteRead(r reading, sealing seal.KeyID) {
	delete(b.stale, r.key)
	if r.head != nil {
		if r.head.Key != sealing {
			b.stale[r.key] = r.head.Key
		}
		if a := b.attempts[r.head.Epoch]; a != nil && a.key == r.key {
			a.revision = r.revision
		}
	}
	if r.key == keyMeta {
		b.noteMeta(r)
		return
	}
	b.noteApp(r)
}

// noteApp takes in what is under the key of an app. The caller holds mu.
func (b *Bucket) noteApp(r reading) {
	id, _ := idOf(r.key)
	one := &record{agreedChange: r.change, revision: r.revision}
	known := b.records[r.key] != nil
	delete(b.later, id)
	switch {
	case errors.Is(r.err, errLater):
		b.records[r.key], b.later[id] = one, true
		delete(b.unapplied, r.key)
		b.o.Logger.Error("a later version of the program has changed an app in a way that this one does not know",
			slog.String("app", id))
		return
	case r.err != nil:
		b.ignore(r)
		if known || b.concerns(r) {
			b.records[r.key] = one
			delete(b.unapplied, r.key)
		}
		return
	}
	if n, noticed := b.notices[r.key]; noticed && n.revision <= r.revision {
		delete(b.notices, r.key)
		one.owe(n)
	}
	b.records[r.key] = one
	b.unapplied[r.key] = true
}

// noteMeta takes in what is under keyMeta. The caller holds mu.
func (b *Bucket) noteMeta(r reading) {
	b.metaAt = r.revision
	if b.metaWhy = r.err; r.err != nil {
		b.ignore(r)
		return
	}
	b.meta = r.meta
}

// ignore counts something that is not taken in, and logs it once. Strangers can make as many keys as
// they like: of those only a few are logged. The caller holds mu.
func (b *Bucket) ignore(r reading) {
	if b.logged[r.key] == r.revision {
		return
	}
	if b.concerns(r) {
		b.logged[r.key] = r.revision
	} else {
		if r.revision <= b.strangeUpTo { // it was counted, of an earlier watch
			return
		}
		b.strangeUpTo = r.revision
		b.strange++
	}
	b.ignored++
	if b.strange <= maxStrange || b.concerns(r) {
		b.o.Logger.Warn("what is in the cluster's bucket is not from a node, and is ignored",
			slog.String("subject", shorten(r.key)), slog.Uint64("revision", r.revision), slog.Any("error", r.err))
	}
}

// shorten keeps what strangers can choose short.
func shorten(key string) string {
	const most = 64
	if len(key) > most {
		return key[:most] + "…"
	}
	return key
}
