package bucket

import (
	"errors"
	"log/slog"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// note takes in what is under a key, unless something newer is known. The caller holds mu.
func (b *Bucket) note(e entry) {
	b.highest = max(b.highest, e.revision)
	if e.key == keyMeta {
		b.noteMeta(e)
		return
	}
	id, isApp := idOf(e.key)
	known := b.records[e.key]
	if known != nil && known.revision >= e.revision {
		return
	}
	if !isApp {
		b.ignore(e, errors.New("its key is not one of an app"))
		return
	}
	c, err := b.open(id, e)
	r := &record{agreedChange: c, revision: e.revision}
	delete(b.later, id)
	if errors.Is(err, errLater) {
		b.records[e.key], b.later[id] = r, true
		delete(b.unapplied, e.key)
		b.o.Logger.Error("a later version of the program has changed an app in a way that this one does not know",
			slog.String("app", id))
		return
	}
	if err != nil {
		b.ignore(e, err)
		// Strangers can make as many keys as they like.
		if known != nil || b.o.Apps.Version(id) > 0 {
			b.records[e.key] = r
			delete(b.unapplied, e.key)
		}
		return
	}
	if n, noticed := b.notices[e.key]; noticed && n.revision <= e.revision {
		delete(b.notices, e.key)
		r.owe(n)
	}
	b.records[e.key] = r
	b.unapplied[e.key] = true
}

// open opens the record of an app. With an error it has version 0.
func (b *Bucket) open(id string, e entry) (agreedChange, error) {
	body, err := b.opened(e)
	if err != nil {
		return agreedChange{}, err
	}
	c, err := decodeChange(id, body)
	if err != nil {
		return agreedChange{}, err
	}
	return c, nil
}

// opened opens what is under a key. It notes with which key of the cluster that is sealed, and
// if it is what this node has put: by its epoch, for another node may have sealed it again
// since. The caller holds mu.
func (b *Bucket) opened(e entry) ([]byte, error) {
	delete(b.stale, e.key)
	if e.marker {
		return nil, errDeleted
	}
	keys := b.o.Keys()
	body, err := keys.OpenRecord(b.o.Cluster, e.key, e.value)
	if err != nil {
		return nil, err
	}
	head, err := seal.ReadHead(e.value)
	if err != nil {
		return nil, err
	}
	if head.Key != keys.ID() {
		b.stale[e.key] = head.Key
	}
	if a := b.attempts[head.Epoch]; a != nil && a.key == e.key {
		a.revision = e.revision
	}
	return body, nil
}

var errDeleted = errors.New("it was deleted, which no node does")

// noteMeta takes in what is under keyMeta. The caller holds mu.
func (b *Bucket) noteMeta(e entry) {
	if e.revision <= b.metaAt {
		return
	}
	b.metaAt = e.revision
	body, err := b.opened(e)
	var m *metaRecord
	if err == nil {
		m, err = decodeMeta(body)
	}
	if b.metaWhy = err; err != nil {
		b.ignore(e, err)
		return
	}
	b.meta = m
}

// ignore counts something that is not taken in, and logs it once. The caller holds mu.
func (b *Bucket) ignore(e entry, why error) {
	if b.logged[e.key] == e.revision {
		return
	}
	b.ignored++
	if _, known := b.logged[e.key]; known || len(b.logged) < maxIgnored {
		b.logged[e.key] = e.revision
		b.o.Logger.Warn("what is in the cluster's bucket is not from a node, and is ignored", slog.String("subject", shorten(e.key)),
			slog.Uint64("revision", e.revision), slog.Any("error", why))
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
