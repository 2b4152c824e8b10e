//go:build linux

package main

import (
	"context"
	"fmt"
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
		for _, of := range []string{ofDaemon, ofParsing, ofForwarding} {
			for _, mode := range []string{"kept", "fresh"} {
				b.progress("bench.progress", "scenario", s.Name, "subject", b.text.T("bench.subject_"+of), "run", run+1, "runs", b.runs)
				if err := b.postOnce(ctx, s, of, mode); err != nil {
					return nil, fmt.Errorf("post: %s: %w", of, err)
				}
			}
		}
	}
	return []*Scenario{s}, nil
}

func (b *bench) postOnce(ctx context.Context, s *Scenario, of, mode string) error {
	fresh := mode == "fresh"
	var (
		p      *poster
		server *process
		frame  int64 // what the session gets for a post; 0: there is none
	)
	switch of {
	case ofDaemon:
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
		if p, err = d.poster(toUser(0), d.message, postConns, fresh); err != nil {
			return err
		}
		server, frame = d.process, int64(d.messageBytes())
		s.FrameBytes = d.messageBytes()
	case ofParsing:
		l, err := b.startLimit(limitParse)
		if err != nil {
			return err
		}
		defer l.stop()
		if p, err = l.poster(b.frameBytes, fresh); err != nil {
			return err
		}
		server = l.process
	case ofForwarding:
		l, err := b.startLimit(limitForward)
		if err != nil {
			return err
		}
		defer l.stop()
		if err := l.open(ctx, 1); err != nil {
			return err
		}
		if p, err = l.poster(b.frameBytes, fresh); err != nil {
			return err
		}
		server, frame = l.process, int64(l.messageBytes())
	}
	defer p.close()
	rate, cpu, share, err := b.flood(ctx, p, server)
	if err != nil {
		return server.failed(err)
	}
	s.note(of, "posts_"+mode, PerSecond, rate)
	s.note(of, "cpu_per_post_"+mode, Seconds, cpu)
	s.note(of, "client_share_"+mode, Share, share)
	if frame == 0 {
		return nil
	}
	if err := p.loop.until(ctx, "the last messages", func() bool { return p.loop.bytes >= int64(p.answered)*frame }); err != nil {
		return err
	}
	p.loop.want = int64(p.answered) * frame
	return p.loop.exact()
}

// toUser names the session with that number.
func toUser(number int) wire.Recipient {
	return wire.Recipient{Type: wire.ToUser, IbID: infobaseID, UserID: userID(number)}
}

// flood posts over all connections as fast as answers come, and returns posts a
// second, the server's CPU time for each, and the share of a CPU that posting
// took. In the end no request is open.
func (b *bench) flood(ctx context.Context, p *poster, server *process) (rate, cpu, share float64, err error) {
	p.loop.expect(0)
	p.again = true
	for range p.conns {
		if _, err := p.post(); err != nil {
			return 0, 0, 0, err
		}
	}
	if err := p.loop.rest(ctx, b.duration()/3); err != nil {
		return 0, 0, 0, err
	}
	m, err := newMeter(server)
	if err != nil {
		return 0, 0, 0, err
	}
	before := p.answered
	if err := p.loop.rest(ctx, b.duration()); err != nil {
		return 0, 0, 0, err
	}
	took, serverCPU, share, err := m.read()
	if err != nil {
		return 0, 0, 0, err
	}
	answered := float64(p.answered - before)
	p.again = false
	err = p.loop.until(ctx, "the last answers", p.idle)
	return answered / took.Seconds(), serverCPU.Seconds() / answered, share, err
}

// latency measures an unloaded service: from the start of a POST to its bytes at
// the session.
func latency(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("latency", 1)
	for run := range b.runs {
		b.progress("bench.progress", "scenario", s.Name, "subject", b.text.T("bench.subject_"+ofDaemon), "run", run+1, "runs", b.runs)
		if err := b.daemonLatency(ctx, s); err != nil {
			return nil, fmt.Errorf("latency: %w", err)
		}
		b.progress("bench.progress", "scenario", s.Name, "subject", b.text.T("bench.subject_"+ofRaw), "run", run+1, "runs", b.runs)
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

// latencies sends to the one session again and again; ready tells whether the next
// message can be sent.
func (b *bench) latencies(ctx context.Context, s *Scenario, of, mode string, t target, ready func() bool, send func() error) error {
	l := t.clients()
	var all []float64
	for range b.pick(2000, 10) {
		l.expect(int64(t.messageBytes()))
		began := time.Now()
		if err := send(); err != nil {
			return err
		}
		if err := l.until(ctx, "a message to one", l.complete); err != nil {
			return err
		}
		all = append(all, time.Since(began).Seconds())
		if err := l.until(ctx, "the answer", ready); err != nil {
			return err
		}
		if err := l.rest(ctx, time.Millisecond); err != nil { // both sides go to sleep
			return err
		}
		if err := l.exact(); err != nil {
			return err
		}
	}
	all = all[len(all)/10:] // the first ones warm everything up
	s.note(of, mode+"_p50", Seconds, quantile(all, 0.5))
	s.note(of, mode+"_p99", Seconds, quantile(all, 0.99))
	return nil
}
