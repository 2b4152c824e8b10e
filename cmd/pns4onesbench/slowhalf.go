//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const (
	// fillBytes is the frame that fills the buffers of the sessions that do not
	// read, which are made as small as the system allows.
	fillBytes      = 32 << 10
	slowBuffer     = 4 << 10
	mostFilling    = 200
	slowQueueLimit = 1 << 20 // session_queue_size as it is by default
)

// slowHalf measures what the others feel of it that every second session stops
// reading, and what it costs the server.
func slowHalf(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("slowhalf", b.sessions)
	for run := range b.runs {
		b.progress(s, subjectNames[ofDaemon], run)
		if err := b.slowHalfOnce(ctx, s); err != nil {
			return nil, fmt.Errorf("slowhalf: %w", err)
		}
	}
	return []*Scenario{s}, nil
}

func (b *bench) slowHalfOnce(ctx context.Context, s *Scenario) error {
	// The default drops a session that takes nothing for 30 s; here it shall be
	// the full queue that does it.
	d, err := b.startDaemon(ctx, `write_timeout = "10m"`, `peer_timeout = "1h"`)
	if err != nil {
		return err
	}
	defer d.stop()
	s.FrameBytes = d.messageBytes()
	l := d.sessions
	slow := func(number int) bool { return number%2 == 1 }
	l.receiveBuffer = func(number int) int {
		if slow(number) {
			return slowBuffer
		}
		return 0
	}
	n := b.sessions
	if err := d.open(ctx, n); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	// In the first part every session reads, but only those that go on are waited
	// for, in both parts.
	before, err := b.timeOfTheOthers(ctx, d, slow)
	if err != nil {
		return err
	}
	rssBefore, err := d.rss()
	if err != nil {
		return err
	}
	for i := range l.sessions {
		if slow(i) {
			if err := l.ignore(i); err != nil {
				return err
			}
		}
	}
	fill, err := d.filler()
	if err != nil {
		return err
	}
	defer fill.close()
	queued := func() (bool, error) { return d.allQueued(ctx, n/2) }
	if err := d.fillUntil(ctx, fill, "every slow session to have a queue", queued); err != nil {
		return err
	}
	with, err := b.timeOfTheOthers(ctx, d, slow)
	if err != nil {
		return err
	}
	status, err := d.control.Status(ctx)
	if err != nil {
		return err
	}
	if status.Sessions != n {
		return fmt.Errorf("%d sessions are left of %d before any queue was full", status.Sessions, n)
	}
	rssWith := int64(0)
	if err := d.fillUntil(ctx, fill, "every slow session to be dropped", func() (bool, error) {
		rss, err := d.rss()
		if err != nil {
			return false, err
		}
		rssWith = max(rssWith, rss)
		status, err := d.control.Status(ctx)
		return status.DroppedAsSlow >= uint64(n/2), err
	}); err != nil {
		return err
	}
	status, err = d.control.Status(ctx)
	if err != nil {
		return err
	}
	if status.Sessions != n-n/2 || l.closed > 0 {
		return fmt.Errorf("%d sessions are left, %d were to be", status.Sessions, n-n/2)
	}
	s.note(ofDaemon, "time_all_read", Seconds, before.Seconds())
	s.note(ofDaemon, "time_half_slow", Seconds, with.Seconds())
	s.note(ofDaemon, "time_of_the_others", Ratio, with.Seconds()/before.Seconds())
	s.note(ofDaemon, "rss_all_read", Bytes, float64(rssBefore))
	s.note(ofDaemon, "rss_queues_full", Bytes, float64(rssWith))
	s.note(ofDaemon, "queues_bound", Bytes, float64(n/2*slowQueueLimit))
	return nil
}

// timeOfTheOthers is how long a message to all takes to the last of those that are
// not slow.
func (b *bench) timeOfTheOthers(ctx context.Context, d *daemon, slow func(int) bool) (time.Duration, error) {
	l := d.sessions
	var times []float64
	for i := range b.pick(11, 3) {
		l.expect(0)
		l.want = int64(d.messageBytes())
		for number := range l.sessions {
			if !slow(number) {
				l.behind++
			}
		}
		// Slow sessions that still read are not counted: they seem to be done.
		for number := range l.sessions {
			if slow(number) {
				l.sessions[number].received = l.want
			}
		}
		began := time.Now()
		if _, err := d.send(); err != nil {
			return 0, err
		}
		if err := l.until(ctx, "a message to those that read", l.complete); err != nil {
			return 0, d.failed(err)
		}
		if i > 0 {
			times = append(times, time.Since(began).Seconds())
		}
		if err := l.rest(ctx, 3*pause); err != nil {
			return 0, err
		}
	}
	return time.Duration(median(times) * float64(time.Second)), nil
}

// filler sends large messages to all.
func (d *daemon) filler() (*poster, error) {
	m, err := messageOf(fillBytes)
	if err != nil {
		return nil, err
	}
	return d.poster(wire.Recipient{Type: wire.ToAll, IbID: infobaseID}, m, 1, false)
}

// fillUntil sends large messages, each after those that read have the one before,
// until done.
func (d *daemon) fillUntil(ctx context.Context, fill *poster, what string, done func() (bool, error)) error {
	m, err := messageOf(fillBytes)
	if err != nil {
		return err
	}
	for range mostFilling {
		if over, err := done(); err != nil || over {
			return err
		}
		d.sessions.expect(int64(frameBytesOf(m)))
		if _, err := fill.post(); err != nil {
			return err
		}
		if err := d.sessions.until(ctx, what, func() bool { return d.sessions.complete() && fill.idle() }); err != nil {
			return d.failed(err)
		}
		if err := d.sessions.exact(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d messages of %d bytes were not enough for %s", mostFilling, fillBytes, what)
}

// allQueued reports that n sessions have something in their queues.
func (d *daemon) allQueued(ctx context.Context, n int) (bool, error) {
	page, err := d.control.Sessions(ctx, control.SessionQuery{Sort: "-queued", Limit: 1, Offset: n - 1})
	if err != nil || len(page.Sessions) == 0 {
		return false, err
	}
	return page.Sessions[0].Queued > 0, nil
}
