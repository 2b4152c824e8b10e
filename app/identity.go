package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// Identity distinguishes one database from another, wherever its file lies and however often
// it is copied. It is made at random together with the database and never changes.
type Identity [16]byte

// newIdentity is one that no other database has.
func newIdentity() (id Identity) {
	for id.IsZero() {
		rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	}
	return id
}

// IsZero reports whether the identity is not known.
func (id Identity) IsZero() bool { return id == Identity{} }

// String is the identity in 32 hex digits. It is no secret.
func (id Identity) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String.
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *Identity) UnmarshalText(text []byte) error {
	var read Identity
	if len(text) != hex.EncodedLen(len(read)) {
		return errors.New("an identity has 32 hex digits")
	}
	if _, err := hex.Decode(read[:], text); err != nil {
		return errors.New("an identity has 32 hex digits")
	}
	*id = read
	return nil
}

// Identity is that of the database; zero if it is not known: the file is of a
// version that gave none, and [Registry.EnsureIdentity] was not called.
func (r *Registry) Identity() Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.identity
}

// setIdentity notes the identity of the file, unless the file has none.
func (r *Registry) setIdentity(id Identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !id.IsZero() {
		r.identity = id
	}
}

// EnsureIdentity gives the database an identity if its file has none, because an
// older version made it: the one it is expected to have ([Options.Expect],
// [FromMemory]), else a new one. It does nothing without a file. Changed is not
// called. The error is why it could not be stored.
func (r *Registry) EnsureIdentity() error {
	if r.Unavailable() != nil {
		return nil
	}
	_, err := withFile(r, ErrOutcomeUnknown, func() (struct{}, error) {
		if !r.store.identity.IsZero() {
			return struct{}{}, nil
		}
		id := r.Identity()
		if id.IsZero() {
			id = newIdentity()
		}
		return struct{}{}, r.commit(change{identity: id})
	})
	if err != nil {
		return fmt.Errorf("giving the database an identity: %w", err)
	}
	return nil
}
