package app

import (
	"context"

	"go.etcd.io/bbolt"
)

// BeforeDisk lets do stand between the registry and bbolt, from the next commit on.
// It is called for each with what to do in the transaction.
func BeforeDisk(r *Registry, do func(db *bbolt.DB, body func(*bbolt.Tx) error) error) {
	if err := r.gate.take(context.Background()); err != nil {
		panic(err)
	}
	defer r.gate.leave()
	db := r.store.db
	r.store.update = func(body func(*bbolt.Tx) error) error { return do(db, body) }
}
