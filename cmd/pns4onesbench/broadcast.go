//go:build linux

package main

import (
	"context"
	"time"
)

// broadcast measures one message to all sessions: until the last one has it, and
// the server's CPU time for each delivery.
func broadcast(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("broadcast", b.sessions)
	err := b.alternate(ctx, s, b.subjects(ofRaw), func(of string, t target) error {
		last, cpu, err := b.broadcasts(ctx, t, b.sessions)
		if err != nil {
			return err
		}
		s.note(of, "time_to_last", Seconds, last.Seconds())
		s.note(of, "cpu_per_delivery", Seconds, cpu.Seconds())
		return nil
	})
	return []*Scenario{s}, err
}

// broadcasts sends some messages to n sessions, one after the other, and returns
// the median time until the last one has it, and the CPU time for each delivery.
func (b *bench) broadcasts(ctx context.Context, t target, n int) (last, cpu time.Duration, err error) {
	if err := t.open(ctx, n); err != nil {
		return 0, 0, err
	}
	if err := t.settle(ctx); err != nil {
		return 0, 0, err
	}
	return b.deliveries(ctx, t, n)
}

// deliveries is broadcasts for sessions that are open. The first message is not
// counted: with it buffers grow to what they stay.
func (b *bench) deliveries(ctx context.Context, t target, n int) (last, cpu time.Duration, err error) {
	if _, err := deliver(ctx, t); err != nil {
		return 0, 0, err
	}
	m, err := newMeter(t.server())
	if err != nil {
		return 0, 0, err
	}
	count := b.pick(10, 2)
	var times []float64
	for range count {
		took, err := deliver(ctx, t)
		if err != nil {
			return 0, 0, err
		}
		times = append(times, took.Seconds())
	}
	_, serverCPU, _, err := m.read()
	return time.Duration(median(times) * float64(time.Second)), serverCPU / time.Duration(count*n), err
}
