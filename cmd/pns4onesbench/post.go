//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// postConns is how many connections post at once.
const postConns = 16

// posts measures POST /sendmessage to one session: over kept connections, and with
// a new connection for each, as 1C does it.
func posts(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("post", 1)
	for run := range b.runs {
		for _, mode := range []string{"kept", "fresh"} {
			b.progress(s, figureNames["posts_"+mode], run)
			if err := b.postRun(ctx, s, mode); err != nil {
				return nil, fmt.Errorf("post: %w", err)
			}
		}
	}
	return []*Scenario{s}, nil
}

// postSlices is in how many parts a run posts to each server. They take turns, so
// that a noisy second falls on all of them.
const postSlices = 10

func (b *bench) postRun(ctx context.Context, s *Scenario, mode string) error {
	var posted []*posted
	subjects := []string{ofDaemon, ofParsing, ofForwarding}
	if b.otherPath != "" {
		subjects = slices.Insert(subjects, 1, ofOther)
	}
	for _, of := range subjects {
		p, err := b.startPosted(ctx, of, mode == "fresh")
		if err != nil {
			return fmt.Errorf("%s: %w", of, err)
		}
		defer p.stop()
		posted = append(posted, p)
	}
	s.FrameBytes = int(posted[0].frame)
	for range postSlices {
		for _, p := range posted {
			if err := p.slice(ctx, b.duration()/postSlices); err != nil {
				return fmt.Errorf("%s: %w", p.of, p.servers[0].failed(err))
			}
		}
	}
	for _, p := range posted {
		s.note(p.of, "posts_"+mode, PerSecond, p.answered/p.took.Seconds())
		s.note(p.of, "cpu_per_post_"+mode, Seconds, p.cpus[0].Seconds()/p.answered)
		s.note(p.of, "client_share_"+mode, Share, p.ours.Seconds()/p.took.Seconds())
	}
	return nil
}

// posted is a server that is posted to, and what it has done so far.
type posted struct {
	of      string
	servers []*process // the one that is posted to, and those behind it
	stop    func()
	frame   int64 // bytes that the session gets for a post; 0: there is none
	poster  *poster

	answered   float64
	took, ours time.Duration   // ours is the CPU time of the clients' side
	cpus       []time.Duration // of the servers
}

// startPosted starts a server and one session of it, if it has sessions.
func (b *bench) startPosted(ctx context.Context, of string, fresh bool) (p *posted, err error) {
	p = &posted{of: of}
	defer func() {
		if err != nil && p.stop != nil {
			p.stop()
		}
	}()
	if of == ofDaemon || of == ofOther {
		start := func(ctx context.Context) (*daemon, error) { return b.startDaemon(ctx) }
		if of == ofOther {
			start = b.startOther
		}
		d, err := start(ctx)
		if err != nil {
			return nil, err
		}
		p.servers, p.stop, p.frame = []*process{d.process}, d.stop, int64(d.messageBytes())
		if err := d.open(ctx, 1); err != nil {
			return p, err
		}
		p.poster, err = d.poster(toUser(0), d.message, postConns, fresh)
		return p, err
	}
	kind := map[string]string{ofParsing: limitParse, ofForwarding: limitForward}[of]
	l, err := b.startLimit(kind)
	if err != nil {
		return nil, err
	}
	p.servers, p.stop = []*process{l.process}, l.stop
	if kind == limitForward {
		p.frame = int64(l.messageBytes())
		if err := l.open(ctx, 1); err != nil {
			return p, err
		}
	}
	p.poster, err = l.poster(b.frameBytes, fresh)
	return p, err
}

// slice posts for a while, and counts. In the end no request is open, and every
// message is there.
func (p *posted) slice(ctx context.Context, d time.Duration) error {
	before := p.poster.answered
	f, err := flood(ctx, p.poster, d, p.servers...)
	if err != nil {
		return err
	}
	p.answered += f.answered
	p.took += f.took
	p.ours += f.ours
	if p.cpus == nil {
		p.cpus = make([]time.Duration, len(f.cpus))
	}
	for i, cpu := range f.cpus {
		p.cpus[i] += cpu
	}
	l := p.poster.loop
	l.want = int64(p.poster.answered-before) * p.frame
	if err := l.until(ctx, "the last messages", func() bool { return l.bytes >= l.want }); err != nil {
		return err
	}
	return l.exact()
}

// toUser names the session with that number.
func toUser(number int) wire.Recipient {
	return wire.Recipient{Type: wire.ToUser, IbID: infobaseID, UserID: userID(number)}
}

// flooded is what a flood did: requests answered, the time it took, and the CPU
// time of the clients' side and of the servers.
type flooded struct {
	answered   float64
	took, ours time.Duration
	cpus       []time.Duration
}

// flood posts over all connections as fast as answers come, for a while after a
// shorter one that is not counted. In the end no request is open.
func flood(ctx context.Context, p *poster, d time.Duration, servers ...*process) (f flooded, err error) {
	p.loop.expect(0)
	p.again = true
	for range p.conns {
		if _, err := p.post(); err != nil {
			return f, err
		}
	}
	if err := p.loop.rest(ctx, d/3); err != nil {
		return f, err
	}
	meters := make([]meter, len(servers))
	for i, server := range servers {
		if meters[i], err = newMeter(server); err != nil {
			return f, err
		}
	}
	before := p.answered
	if err := p.loop.rest(ctx, d); err != nil {
		return f, err
	}
	// As many answers as there are connections may be to requests of before: only
	// with more than that has the server worked while it was measured, however busy
	// the machine is.
	if err := p.loop.until(ctx, "answers", func() bool { return p.answered > before+len(p.conns) }); err != nil {
		return f, err
	}
	for i := range meters {
		var cpu time.Duration
		if f.took, cpu, f.ours, err = meters[i].read(); err != nil {
			return f, err
		}
		f.cpus = append(f.cpus, cpu)
	}
	f.answered = float64(p.answered - before)
	p.again = false
	return f, p.loop.until(ctx, "the last answers", p.idle)
}

// latency measures an unloaded service: from the start of a POST to its bytes at
// the session.
func latency(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("latency", 1)
	for run := range b.runs {
		b.progress(s, subjectNames[ofDaemon], run)
		if err := b.daemonLatency(ctx, s); err != nil {
			return nil, fmt.Errorf("latency: %w", err)
		}
		b.progress(s, subjectNames[ofRaw], run)
		if err := b.rawLatency(ctx, s); err != nil {
			return nil, fmt.Errorf("latency: %w", err)
		}
	}
	return []*Scenario{s}, nil
}

func (b *bench) daemonLatency(ctx context.Context, s *Scenario) error {
	d, err := b.startDaemon(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.open(ctx, 1); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	s.FrameBytes = d.messageBytes()
	for _, mode := range []string{"kept", "fresh"} {
		p, err := d.poster(toUser(0), d.message, 1, mode == "fresh")
		if err != nil {
			return err
		}
		err = b.latencies(ctx, s, ofDaemon, mode, d, p.idle, func() error {
			_, err := p.post()
			return err
		})
		p.close()
		if err != nil {
			return d.failed(err)
		}
	}
	return nil
}

// asideID is an infobase beside the one that messages to all are for.
const asideID = "pns4onesbench-aside"

// latencyBeside measures the same while a message to all sessions of another infobase
// is being delivered.
func latencyBeside(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("beside", b.sessions)
	subjects := b.subjects("")[:1]
	if b.otherPath != "" {
		subjects = b.subjects("")[:2]
	}
	err := b.alternate(ctx, s, subjects, func(of string, t target) error {
		d := t.(*daemon)
		n := b.sessions
		if err := d.prepare(n + 1); err != nil {
			return err
		}
		one := wire.Registration{AppID: d.app.ID, IbID: asideID, UserID: userID(n)}
		packet, err := wire.AppendRegistration(nil, one, d.key, d.attributesOf(n)...)
		if err != nil {
			return fmt.Errorf("making the packet of a session: %w", err)
		}
		d.sessions.packets[n] = packet
		if err := d.open(ctx, n+1); err != nil {
			return err
		}
		if err := d.settle(ctx); err != nil {
			return err
		}
		p, err := d.poster(wire.Recipient{Type: wire.ToUser, IbID: asideID, UserID: one.UserID}, d.message, 1, false)
		if err != nil {
			return err
		}
		defer p.close()
		var all []float64
		for range b.pick(50, 3) {
			took, err := d.postBeside(ctx, p, n)
			if err != nil {
				return d.failed(err)
			}
			all = append(all, took.Seconds())
		}
		s.note(of, "beside_p50", Seconds, quantile(all, 0.5))
		s.note(of, "beside_p90", Seconds, quantile(all, 0.9))
		s.note(of, "beside_worst", Seconds, quantile(all, 1))
		return nil
	})
	return []*Scenario{s}, err
}

// postBeside sends a message to all and, when the first session has it, one to the
// session number that is aside. It returns how long that took.
func (d *daemon) postBeside(ctx context.Context, p *poster, number int) (time.Duration, error) {
	l := d.sessions
	l.expect(int64(d.messageBytes()))
	if _, err := d.send(); err != nil {
		return 0, err
	}
	if err := l.until(ctx, "a message to all", func() bool { return l.bytes > 0 }); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := p.post(); err != nil {
		return 0, err
	}
	if err := l.until(ctx, "a message to one", func() bool { return l.sessions[number].received > 0 }); err != nil {
		return 0, err
	}
	took := time.Since(began)
	both := func() bool { return l.complete() && p.idle() && d.toAll.idle() }
	if err := l.until(ctx, "both messages", both); err != nil {
		return 0, err
	}
	if err := l.rest(ctx, pause); err != nil {
		return 0, err
	}
	return took, l.exact()
}

func (b *bench) rawLatency(ctx context.Context, s *Scenario) error {
	l, err := b.startLimit(limitRaw)
	if err != nil {
		return err
	}
	defer l.stop()
	if err := l.open(ctx, 1); err != nil {
		return err
	}
	always := func() bool { return true }
	return b.latencies(ctx, s, ofRaw, "kept", l, always, func() error { return l.tell(rawToOne) })
}

// latencies sends to the one session again and again; ready reports whether the
// next message can be sent.
func (b *bench) latencies(
	ctx context.Context, s *Scenario, of, mode string, t target, ready func() bool, send func() error,
) error {
	arrived, _, err := timesToOne(ctx, t, b.pick(2000, 10), ready, send)
	if err != nil {
		return err
	}
	s.note(of, mode+"_p50", Seconds, quantile(arrived, 0.5))
	s.note(of, mode+"_p99", Seconds, quantile(arrived, 0.99))
	return nil
}

// timesToOne sends to the one session so many times, and returns in seconds how long each
// message took until it was there, and until it was answered, which ready reports. The first
// tenth is left out: it warms everything up.
func timesToOne(
	ctx context.Context, t target, count int, ready func() bool, send func() error,
) (arrived, answered []float64, err error) {
	l := t.clients()
	for range count {
		l.expect(int64(t.messageBytes()))
		var arrival, answer time.Duration
		began := time.Now()
		if err := send(); err != nil {
			return nil, nil, err
		}
		if err := l.until(ctx, "a message to one", func() bool {
			if arrival == 0 && l.complete() {
				arrival = time.Since(began)
			}
			if answer == 0 && ready() {
				answer = time.Since(began)
			}
			return arrival > 0 && answer > 0
		}); err != nil {
			return nil, nil, err
		}
		arrived = append(arrived, arrival.Seconds())
		answered = append(answered, answer.Seconds())
		if err := l.rest(ctx, time.Millisecond); err != nil { // both sides go to sleep
			return nil, nil, err
		}
		if err := l.exact(); err != nil {
			return nil, nil, err
		}
	}
	return arrived[count/10:], answered[count/10:], nil
}
