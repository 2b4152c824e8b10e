//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// scenario is a command that measures.
type scenario struct {
	name  string
	short string             // what it measures, in a line
	needs func(b *bench) int // sessions at once, at most
	run   func(ctx context.Context, b *bench) ([]*Scenario, error)
}

// scenarios are all of them, in the order of the help.
var scenarios = []scenario{
	{"broadcast", "one message to all sessions: time to the last one, CPU", flagSessions, broadcast},
	{"sustained", "messages to all as fast as they go", flagSessions, sustained},
	{"memory", "memory for an idle session", func(b *bench) int { return b.most() }, memory},
	{"connect", "connecting and registering, sessions a second", flagSessions, connects},
	{"post", "POST /sendmessage to one session, posts a second", func(*bench) int { return 1 }, posts},
	{"latency", "from the start of a POST to its bytes at the session", func(*bench) int { return 1 }, latency},
	{"beside", "the same while a message to all is being delivered", oneBeside, latencyBeside},
	{"slowhalf", "every second session stops reading", flagSessions, slowHalf},
	{"scale", "cost against the number of sessions, apps, infobases", func(b *bench) int { return b.most() }, scale},
}

func flagSessions(b *bench) int { return b.sessions }
func oneBeside(b *bench) int    { return b.sessions + 1 }

// How much is measured; --quick does just enough to see that it works.
func (b *bench) pick(normal, quick int) int {
	if b.quick {
		return quick
	}
	return normal
}

func (b *bench) most() int               { return b.pick(18_000, 40) }
func (b *bench) duration() time.Duration { return time.Duration(b.pick(3000, 50)) * time.Millisecond }

// result begins what a scenario measures.
func (b *bench) result(name string, sessions int) *Scenario {
	return &Scenario{Name: name, Sessions: sessions, Runs: b.runs}
}

// subject is something that is measured: the daemon, or what it is held against.
type subject struct {
	of    string
	start func(ctx context.Context) (target, error)
}

// subjects are the daemon, another build of it, a limit, and nats-server: those that
// were named.
func (b *bench) subjects(limit string) []subject {
	all := []subject{
		{ofDaemon, func(ctx context.Context) (target, error) { return b.startDaemon(ctx) }},
	}
	if b.otherPath != "" {
		all = append(all, subject{ofOther, func(ctx context.Context) (target, error) {
			return b.startOther(ctx)
		}})
	}
	if limit != "" {
		all = append(all, subject{limit, func(context.Context) (target, error) { return b.startLimit(limitRaw) }})
	}
	if b.natsPath != "" {
		all = append(all, subject{ofNATS, func(ctx context.Context) (target, error) { return b.startNATS(ctx) }})
	}
	return all
}

// alternate measures every subject once in each run, in a process of its own: so a
// noisy minute of the machine falls on all of them.
func (b *bench) alternate(
	ctx context.Context, s *Scenario, subjects []subject, measure func(of string, t target) error,
) error {
	for run := range b.runs {
		for _, subject := range subjects {
			b.progress(s, subjectNames[subject.of], run)
			t, err := subject.start(ctx)
			if err != nil {
				return err
			}
			if s.FrameBytes == 0 {
				s.FrameBytes = t.messageBytes()
			}
			err = measure(subject.of, t)
			t.stop()
			if err != nil {
				return fmt.Errorf("%s: %s: %w", s.Name, subject.of, err)
			}
		}
	}
	return nil
}

// deliver sends one message to all and waits until the last session has it.
func deliver(ctx context.Context, t target) (time.Duration, error) {
	l := t.clients()
	l.expect(int64(t.messageBytes()))
	began := time.Now()
	if sent, err := t.send(); err != nil || !sent {
		return 0, fmt.Errorf("sending to all: sent: %t: %w", sent, err)
	}
	if err := l.until(ctx, "a message to all", l.complete); err != nil {
		return 0, t.server().failed(err)
	}
	took := time.Since(began)
	// The answer to the sender comes meanwhile, and whatever should not come.
	if err := l.rest(ctx, pause); err != nil {
		return 0, err
	}
	return took, l.exact()
}

// pause is how long both sides rest between two things that are measured alone.
const pause = 20 * time.Millisecond

// meter measures what a process and this one used of the CPU since it was made.
type meter struct {
	server          *process
	began           time.Time
	serverCPU, ours time.Duration
}

func newMeter(server *process) (meter, error) {
	m := meter{server: server, began: time.Now()}
	var err error
	if m.serverCPU, err = server.cpu(); err != nil {
		return m, err
	}
	m.ours, err = cpuOf("self")
	return m, err
}

// read returns the time that has passed, and the CPU time of the server and of the
// clients' side.
func (m *meter) read() (took, serverCPU, ours time.Duration, err error) {
	took = time.Since(m.began)
	if serverCPU, err = m.server.cpu(); err != nil {
		return 0, 0, 0, err
	}
	ours, err = cpuOf("self")
	return took, serverCPU - m.serverCPU, ours - m.ours, err
}
