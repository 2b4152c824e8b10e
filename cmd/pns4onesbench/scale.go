//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// scale measures how cost grows: with sessions reached it may, with anything else
// it must not.
func scale(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("scale", b.most())
	counts := []int{1000, 5000, 10_000, b.most()}
	apps := []int{1, 100, 5000}
	infobases := []int{1, 1000}
	if b.quick {
		counts, apps, infobases = []int{10, 40}, []int{1, 10}, []int{1, 10}
	}
	for run := range b.runs {
		b.progress(s, subjectNames[ofDaemon], run)
		if err := b.scaleSessions(ctx, s, counts); err != nil {
			return nil, fmt.Errorf("scale: sessions: %w", err)
		}
		for _, n := range apps {
			if err := b.scaleApps(ctx, s, n); err != nil {
				return nil, fmt.Errorf("scale: %d apps: %w", n, err)
			}
		}
		for _, n := range infobases {
			if err := b.scaleInfobases(ctx, s, n); err != nil {
				return nil, fmt.Errorf("scale: %d infobases: %w", n, err)
			}
		}
	}
	return []*Scenario{s}, nil
}

// scaleSessions sends to all and to one, with more and more sessions.
func (b *bench) scaleSessions(ctx context.Context, s *Scenario, counts []int) error {
	d, err := b.startDaemon(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	s.FrameBytes = d.messageBytes()
	for _, n := range counts {
		last, cpu, err := b.broadcasts(ctx, d, n)
		if err != nil {
			return err
		}
		s.noteWith(ofDaemon, "time_to_last", Seconds, "sessions", n, last.Seconds())
		s.noteWith(ofDaemon, "cpu_per_delivery", Seconds, "sessions", n, cpu.Seconds())
		if err := b.scalePost(ctx, s, d, "sessions", n); err != nil {
			return err
		}
	}
	return nil
}

// scalePost notes what a post to one session costs.
func (b *bench) scalePost(ctx context.Context, s *Scenario, d *daemon, withName string, with int) error {
	to := toUser(0)
	to.IbID = d.infobase(0)
	p, err := d.poster(to, d.message, postConns, false)
	if err != nil {
		return err
	}
	defer p.close()
	f, err := flood(ctx, p, b.duration(), d.process)
	if err != nil {
		return d.failed(err)
	}
	s.noteWith(ofDaemon, "cpu_per_post_kept", Seconds, withName, with, f.cpus[0].Seconds()/f.answered)
	return nil
}

// scaleApps sends to one session of one app beside many others.
func (b *bench) scaleApps(ctx context.Context, s *Scenario, n int) error {
	d, err := b.startDaemon(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	if n > 1 {
		report, err := d.control.Import(ctx, strings.NewReader(oldKeys(n-1, d.app.ClientKey)))
		if err != nil {
			return err
		}
		if len(report.Imported) != n-1 {
			return fmt.Errorf("%d of %d apps were imported", len(report.Imported), n-1)
		}
	}
	if err := d.open(ctx, 1); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	return b.scalePost(ctx, s, d, "apps", n)
}

// oldKeys is a keys file of the old product with n apps: the quickest way to have
// many.
func oldKeys(n int, clientKey string) string {
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "#app %d\n%s\n%064d\n%s\n", i, uuid.New(), i, clientKey)
	}
	return file.String()
}

// scaleInfobases spreads the sessions over infobases, and sends to all of one of
// them and to one session.
func (b *bench) scaleInfobases(ctx context.Context, s *Scenario, n int) error {
	d, err := b.startDaemon(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	d.infobases = n
	if err := d.open(ctx, min(b.sessions, b.most())); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := b.scalePost(ctx, s, d, "infobases", n); err != nil {
		return err
	}
	return b.scaleOneInfobase(ctx, s, d, n)
}

// scaleOneInfobase sends to all of one infobase and notes the CPU time for each
// session it reaches.
func (b *bench) scaleOneInfobase(ctx context.Context, s *Scenario, d *daemon, n int) error {
	reached := 0
	for i := range d.sessions.sessions {
		if d.infobase(i) == d.infobase(0) {
			reached++
		}
	}
	p, err := d.poster(wire.Recipient{Type: wire.ToAll, IbID: d.infobase(0)}, d.message, 1, false)
	if err != nil {
		return err
	}
	defer p.close()
	m, err := newMeter(d.process)
	if err != nil {
		return err
	}
	count := b.pick(20, 2) * max(1, n/10)
	size := int64(d.messageBytes())
	d.sessions.expect(0)
	for i := range count {
		if _, err := p.post(); err != nil {
			return err
		}
		if err := d.sessions.until(ctx, "a message to an infobase", func() bool {
			return p.idle() && d.sessions.bytes >= size*int64(reached)*int64(i+1)
		}); err != nil {
			return d.failed(err)
		}
	}
	_, serverCPU, _, err := m.read()
	if err != nil {
		return err
	}
	s.noteWith(ofDaemon, "cpu_per_message", Seconds, "infobases", n, serverCPU.Seconds()/float64(count))
	s.noteWith(ofDaemon, "cpu_per_delivery", Seconds, "infobases", n, serverCPU.Seconds()/float64(count*reached))
	return nil
}
