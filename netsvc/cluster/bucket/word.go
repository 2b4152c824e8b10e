package bucket

import (
	"encoding/binary"
	"math"

	"github.com/google/uuid"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// What nodes say to each other about an app travels in envelopes of the kinds
// seal.KindChanged and seal.KindApplied: the 16 bytes of its id, the revision, and of the
// latter the number of sessions closed, as uvarints. What stands behind that is passed over:
// a later version may say more.

// Notice is the body of an envelope of seal.KindChanged, for [Options.Notify] to send.
func Notice(key string, revision uint64) []byte { return appendAbout(key, revision) }

// Confirmation is the body of an envelope of seal.KindApplied, for [Options.Applied] to send.
func Confirmation(key string, revision uint64, closed int) []byte {
	return binary.AppendUvarint(appendAbout(key, revision), uint64(max(closed, 0)))
}

func appendAbout(key string, revision uint64) []byte {
	id, _ := idOf(key)
	app := uuid.MustParse(id) // it is one of our own keys
	return binary.AppendUvarint(append(make([]byte, 0, len(app)+2*binary.MaxVarintLen64), app[:]...), revision)
}

// Told is to be called with what a peer says: bodies that [Notice] and [Confirmation] made.
// Other kinds, and bodies that cannot be read, are passed over.
func (b *Bucket) Told(peer string, kind seal.Kind, body []byte) {
	key, revision, rest, ok := readAbout(body)
	if !ok {
		return
	}
	switch kind {
	case seal.KindChanged:
		b.noticed(peer, key, revision)
	case seal.KindApplied:
		if closed, n := binary.Uvarint(rest); n > 0 && closed <= math.MaxInt32 {
			b.confirmed(peer, key, revision, int(closed))
		}
	}
}

func readAbout(body []byte) (key string, revision uint64, rest []byte, ok bool) {
	var app uuid.UUID
	if len(body) < len(app) {
		return "", 0, nil, false
	}
	copy(app[:], body)
	rest = body[len(app):]
	revision, n := binary.Uvarint(rest)
	if n <= 0 {
		return "", 0, nil, false
	}
	return keyOf(app.String()), revision, rest[n:], true
}
