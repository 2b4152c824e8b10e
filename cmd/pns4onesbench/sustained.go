//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// fewSessions is for how many sessions «sustained» is measured too: fewer of them
// have more messages each.
const fewSessions = 1000

// sustained measures messages to all as fast as they go.
func sustained(ctx context.Context, b *bench) ([]*Scenario, error) {
	many, err := b.sustainedWith(ctx, "sustained", b.sessions)
	if err != nil || b.sessions <= fewSessions {
		return []*Scenario{many}, err
	}
	few, err := b.sustainedWith(ctx, "sustained1000", fewSessions)
	return []*Scenario{many, few}, err
}

// underWay is how many messages to all may be sent and not received yet. It
// bounds the queues, so that no session is dropped as too slow.
const underWay = 32

func (b *bench) sustainedWith(ctx context.Context, name string, n int) (*Scenario, error) {
	s := b.result(name, n)
	err := b.alternate(ctx, s, b.subjects(ofRaw), func(of string, t target) error {
		if err := t.open(ctx, n); err != nil {
			return err
		}
		if err := t.settle(ctx); err != nil {
			return err
		}
		l := t.clients()
		l.expect(0)
		sent := int64(0)
		size := int64(t.messageBytes())
		// flood sends for a while, and on until least bytes have come.
		flood := func(d time.Duration, least int64) error {
			end := time.Now().Add(d)
			for time.Now().Before(end) || l.bytes < least {
				if time.Since(end) > patience {
					return t.server().failed(fmt.Errorf("only %d bytes came of %d", l.bytes, least))
				}
				for sent*int64(n)-l.bytes/size < underWay*int64(n) {
					ok, err := t.send()
					if err != nil {
						return err
					}
					if !ok {
						break
					}
					sent++
				}
				if err := l.turn(max(time.Until(end), time.Millisecond)); err != nil {
					return err
				}
				if err := context.Cause(ctx); err != nil {
					return err
				}
			}
			return nil
		}
		if err := flood(b.duration()/3, 0); err != nil {
			return err
		}
		m, err := newMeter(t.server())
		if err != nil {
			return err
		}
		before := l.bytes
		// What is under way may have been written before: with more than that the server
		// has worked while it was measured, however busy the machine is.
		if err := flood(b.duration(), before+(underWay*int64(n)+1)*size); err != nil {
			return err
		}
		took, serverCPU, ours, err := m.read()
		if err != nil {
			return err
		}
		delivered := float64(l.bytes-before) / float64(size)
		s.note(of, "deliveries", PerSecond, delivered/took.Seconds())
		s.note(of, "cpu_per_delivery", Seconds, serverCPU.Seconds()/delivered)
		s.note(of, "client_share", Share, ours.Seconds()/took.Seconds())
		if err := l.until(ctx, "the last messages", func() bool { return l.bytes >= sent*int64(n)*size }); err != nil {
			return t.server().failed(err)
		}
		if err := l.rest(ctx, pause); err != nil {
			return err
		}
		l.want = sent * size
		return l.exact()
	})
	return s, err
}
