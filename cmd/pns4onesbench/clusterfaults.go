//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// whenThingsHappen measures what senders and sessions feel of it when a part of a cluster
// goes away, comes back, or is replaced.
func (b *bench) whenThingsHappen(ctx context.Context, s *Scenario) error {
	c, err := b.startCluster(ctx)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.peerKilled(ctx, s); err != nil {
		return fmt.Errorf("a peer killed: %w", err)
	}
	if err := c.open(ctx, 1); err != nil {
		return err
	}
	if b.servers > 1 {
		if err := c.natsKilled(ctx, s); err != nil {
			return fmt.Errorf("a NATS server killed: %w", err)
		}
	}
	if err := c.natsBack(ctx, s); err != nil {
		return fmt.Errorf("a NATS server stopped and started: %w", err)
	}
	if err := c.handOver(ctx, s); err != nil {
		return fmt.Errorf("a hand-over: %w", err)
	}
	return nil
}

// again is how often each thing happens in a run; the worst counts.
func (b *bench) again() int { return b.pick(3, 1) }

// peerKilled kills the last node, which has no session, again and again.
func (c *cluster) peerKilled(ctx context.Context, s *Scenario) error {
	var longest time.Duration
	last := c.nodes[len(c.nodes)-1]
	for range c.bench.again() {
		during, err := c.postWhile(ctx, func(context.Context) error { return last.kill() })
		if err != nil {
			return err
		}
		longest = max(longest, during.longest)
		last.process.stop()
		if err := last.launch(ctx); err != nil {
			return err
		}
		if err := c.await(ctx, "all nodes, one started again", c.whole); err != nil {
			return err
		}
	}
	s.note(ofDaemon, "longest_peer_killed", Seconds, longest.Seconds())
	return nil
}

// natsKilled kills the NATS server of the node that is posted to, or of the one with the
// session, and starts it again.
func (c *cluster) natsKilled(ctx context.Context, s *Scenario) error {
	var sum posting
	for i := range c.bench.again() {
		n, err := c.natsOf(ctx, c.nodes[i%2])
		if err != nil {
			return err
		}
		during, err := c.postWhile(ctx, func(context.Context) error { return n.kill() })
		if err != nil {
			return err
		}
		sum.longest = max(sum.longest, during.longest)
		sum.lost += during.lost
		sum.unconfirmed += during.unconfirmed
		n.stop()
		if err := c.restart(ctx, n); err != nil {
			return err
		}
		if err := c.await(ctx, "all nodes, a NATS server started again", c.whole); err != nil {
			return err
		}
	}
	s.note(ofDaemon, "longest_nats_killed", Seconds, sum.longest.Seconds())
	s.note(ofDaemon, "lost_nats_killed", Count, float64(sum.lost))
	s.note(ofDaemon, "unconfirmed_nats_killed", Count, float64(sum.unconfirmed))
	return nil
}

// natsBack stops a NATS server and starts it again, and makes a change of an app as soon as the
// nodes have it.
func (c *cluster) natsBack(ctx context.Context, s *Scenario) error {
	var longest time.Duration
	for i := range c.bench.again() {
		n := c.nats[i%len(c.nats)]
		n.stop()
		if err := c.restart(ctx, n); err != nil {
			return err
		}
		if err := c.await(ctx, "all nodes, connected again", c.connected); err != nil {
			return err
		}
		took, err := change(ctx, c.nodes, fmt.Sprintf("NATS is back %d", i))
		if err != nil {
			return err
		}
		longest = max(longest, took)
		if err := c.await(ctx, "all nodes, connected again", c.whole); err != nil {
			return err
		}
	}
	s.note(ofDaemon, "change_after_nats", Seconds, longest.Seconds())
	return nil
}

// handOver upgrades the second node to the same program, with all sessions at it.
func (c *cluster) handOver(ctx context.Context, s *Scenario) error {
	d, n := c.nodes[1], c.bench.sessions
	if err := c.openAt(ctx, 1, n); err != nil {
		return err
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	var record *control.Handover
	during, err := c.postWhile(ctx, func(ctx context.Context) (err error) {
		record, err = d.upgrade(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if record.Lost > 0 || record.Sessions != n {
		return fmt.Errorf("of %d sessions %d were there before, and %d were lost", n, record.Sessions, record.Lost)
	}
	// All of them get what comes later, too.
	if _, err := deliver(ctx, c); err != nil {
		return err
	}
	s.note(ofDaemon, "handover", Seconds, record.Seconds)
	s.note(ofDaemon, "longest_during_handover", Seconds, during.longest.Seconds())
	s.note(ofDaemon, "missed_during_handover", Count, float64(during.lost))
	return nil
}

// upgrade has the program on disk take the daemon's place, and returns when it has.
func (d *daemon) upgrade(ctx context.Context) (*control.Handover, error) {
	id, err := d.control.Upgrade(ctx)
	if err != nil {
		return nil, d.failed(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		status, err := d.control.Status(ctx)
		if err != nil {
			return nil, d.failed(err)
		}
		if h := status.LastHandover; h != nil && h.ID == id {
			if !h.Done {
				return nil, d.failed(errors.New(h.Why))
			}
			return h, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	return nil, d.failed(fmt.Errorf("the upgrade did not end within %v", patience))
}

// posting is what became of messages that were posted one after the other.
type posting struct {
	longest     time.Duration // from a post to its answer
	unconfirmed int           // answered as not confirmed by all nodes
	lost        int           // that did not reach the one session they were for
}

// lateness is how long it is waited for the last messages.
const lateness = 2 * time.Second

// postWhile posts one message after the other to the first session, if there is one, while
// happen is at work and for a while afterwards. happen runs in another goroutine.
func (c *cluster) postWhile(ctx context.Context, happen func(ctx context.Context) error) (during posting, err error) {
	l := c.sessions
	l.expect(0)
	p, err := c.nodes[0].poster(toUser(0), c.nodes[0].message, 1, false)
	if err != nil {
		return during, err
	}
	defer p.close()
	post := func() error {
		began := time.Now()
		if _, err := p.post(); err != nil {
			return err
		}
		if err := l.until(ctx, "the answer", p.idle); err != nil {
			return c.nodes[0].failed(err)
		}
		during.longest = max(during.longest, time.Since(began))
		return l.rest(ctx, time.Millisecond)
	}
	for range c.bench.pick(100, 5) {
		if err := post(); err != nil {
			return during, err
		}
	}
	during.longest = 0

	ctx, cancel := context.WithCancel(ctx)
	var failed error
	over := make(chan struct{})
	go func() {
		defer close(over)
		failed = happen(ctx)
	}()
	defer func() {
		cancel()
		<-over
	}()
	afterwards := time.Duration(c.bench.pick(1000, 100)) * time.Millisecond
	happening, end := true, time.Time{}
	for happening || time.Now().Before(end) {
		select {
		case <-over:
			if happening {
				happening, end = false, time.Now().Add(afterwards)
			}
		default:
		}
		if err := post(); err != nil {
			return during, err
		}
	}
	if failed != nil {
		return during, failed
	}
	during.unconfirmed = p.unconfirmed
	if len(l.sessions) == 0 {
		return during, nil
	}
	size := int64(c.messageBytes())
	for end := time.Now().Add(lateness); l.bytes < int64(p.answered)*size && time.Now().Before(end); {
		if err := l.turn(pause); err != nil {
			return during, err
		}
	}
	during.lost = p.answered - int(l.bytes/size)
	if during.lost < 0 || l.bytes%size != 0 {
		return during, fmt.Errorf("%d messages were posted, and %d bytes of %d each arrived", p.answered, l.bytes, size)
	}
	return during, nil
}
