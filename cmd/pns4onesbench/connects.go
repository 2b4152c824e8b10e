//go:build linux

package main

import (
	"context"
	"fmt"
)

// connects measures how fast sessions come: connecting and registering, until the
// server counts them.
func connects(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("connect", b.sessions)
	err := b.alternate(ctx, s, b.subjects(ofAccept), func(of string, t target) error {
		if err := t.prepare(b.sessions); err != nil {
			return err
		}
		m, err := newMeter(t.server())
		if err != nil {
			return err
		}
		if err := t.open(ctx, b.sessions); err != nil {
			return err
		}
		took, serverCPU, ours, err := m.read()
		if err != nil {
			return err
		}
		s.note(of, "connects", PerSecond, float64(b.sessions)/took.Seconds())
		s.note(of, "cpu_per_connect", Seconds, serverCPU.Seconds()/float64(b.sessions))
		s.note(of, "client_share", Share, ours.Seconds()/took.Seconds())
		if err := t.settle(ctx); err != nil {
			return err
		}
		if closed := t.clients().closed; closed > 0 {
			return fmt.Errorf("the server closed %d sessions", closed)
		}
		return nil
	})
	return []*Scenario{s}, err
}
