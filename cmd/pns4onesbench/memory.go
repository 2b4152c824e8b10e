//go:build linux

package main

import (
	"context"
	"time"
)

// memory measures the server's resident memory with few and with many idle
// sessions: the slope is what one more costs.
func memory(ctx context.Context, b *bench) ([]*Scenario, error) {
	few, many := b.pick(2000, 10), b.most()
	s := b.result("memory", many)
	err := b.alternate(ctx, s, b.subjects(""), func(of string, t target) error {
		at := func(n int) (int64, error) {
			if err := t.open(ctx, n); err != nil {
				return 0, err
			}
			if err := t.settle(ctx); err != nil {
				return 0, err
			}
			// What a server gives back it gives back a little later.
			if err := t.clients().rest(ctx, time.Duration(b.pick(5000, 10))*time.Millisecond); err != nil {
				return 0, err
			}
			return t.server().rss()
		}
		withFew, err := at(few)
		if err != nil {
			return err
		}
		withMany, err := at(many)
		if err != nil {
			return err
		}
		s.noteWith(of, "rss", Bytes, "sessions", few, float64(withFew))
		s.noteWith(of, "rss", Bytes, "sessions", many, float64(withMany))
		s.note(of, "rss_per_session", Bytes, float64(withMany-withFew)/float64(many-few))
		return nil
	})
	return []*Scenario{s}, err
}
