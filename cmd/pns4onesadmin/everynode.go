package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// With --node all, what the nodes say is one stream in the order of its times. Nothing is
// collected: whoever reads a node's stream waits until its record is printed, and a node that
// is read too slowly tells itself what was lost.

const (
	// quietAfter is how long a node that is followed may be about to say something that is
	// earlier than what others have said. Then it is not waited for any more.
	quietAfter = 200 * time.Millisecond
	// askAgain is how often a node that does not answer is asked again, and the daemon for
	// nodes that are new.
	askAgain = time.Second
	// caughtUp is how many of the last records a node is asked for that has not answered for a
	// while: those that came meanwhile are among them.
	caughtUp = 1000
)

// everyNode is a stream of every node of the cluster, of records that are T.
type everyNode[T any] struct {
	p      *program
	client *control.Client
	tail   int // of each node
	follow bool
	read   func(ctx context.Context, client *control.Client, tail int, each func(T) error) error
	time   func(T) time.Time
	print  func(p *program, record T) error

	says    chan saying
	reading sync.WaitGroup
	mu      sync.Mutex
	failed  map[string]error // by node; guarded by mu
}

// saying is what a node says next. Whoever says it waits until it is printed.
type saying struct {
	node    string
	at      time.Time
	print   func() error // nil: the node has said all that it has
	printed chan struct{}
}

// run prints the streams until they end, or ctx.
func (m *everyNode[T]) run(ctx context.Context) error {
	nodes, err := nodesOf(ctx, m.client)
	if err != nil {
		return err
	}
	onto := *m.p
	m.p = &onto
	for _, n := range nodes {
		m.p.nodeWidth = max(m.p.nodeWidth, cells.Width(locale.Clean(n.Name)))
	}
	m.says, m.failed = make(chan saying), make(map[string]error)
	ctx, stop := context.WithCancelCause(ctx)
	defer m.reading.Wait()
	defer stop(nil)
	expected := make(map[string]bool)
	for _, n := range nodes {
		expected[n.Name] = true
		m.reading.Go(func() { m.readNode(ctx, stop, n.Name, time.Time{}) })
	}
	if m.follow {
		m.reading.Go(func() { m.findNodes(ctx, stop, nodes) })
	}
	if err := m.merge(ctx, expected); err != nil {
		return err
	}
	return m.told(nodes)
}

// told says why nodes have failed, when all is printed.
func (m *everyNode[T]) told(nodes []control.Node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []string
	for _, n := range nodes {
		if err := m.failed[n.Name]; err != nil {
			of := m.p.ofNode(n.Name)
			of.tell(of.errorText(err))
			failed = append(failed, n.Name)
		}
	}
	return notDoneOn(failed)
}

// merge prints what the nodes say, the earliest first. expected are those that may be about to
// say something.
func (m *everyNode[T]) merge(ctx context.Context, expected map[string]bool) error {
	next := make(map[string]saying) // at most one of each node
	take := func(s saying) {
		delete(expected, s.node)
		if s.print != nil {
			next[s.node] = s
		}
	}
	for {
		if err := m.await(ctx, expected, take, len(next) > 0); err != nil {
			return err
		}
		var first saying
		for _, s := range next {
			if first.print == nil || s.at.Before(first.at) || s.at.Equal(first.at) && s.node < first.node {
				first = s
			}
		}
		if first.print == nil {
			return nil // all have said all that they have
		}
		if err := first.print(); err != nil {
			return err
		}
		delete(next, first.node)
		expected[first.node] = true
		close(first.printed)
	}
}

// await takes what the nodes that are expected say, and what others have to say. Of nodes that
// are followed it waits no longer than a moment, but if there is nothing to be printed for the
// first that says anything.
func (m *everyNode[T]) await(ctx context.Context, expected map[string]bool, take func(saying), some bool) error {
	var quiet <-chan time.Time
	if m.follow {
		timer := time.NewTimer(quietAfter)
		defer timer.Stop()
		quiet = timer.C
	}
	for len(expected) > 0 {
		select {
		case s := <-m.says:
			take(s)
			some = true
		case <-quiet:
			clear(expected)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if m.follow && !some {
		select {
		case s := <-m.says:
			take(s)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		select {
		case s := <-m.says:
			take(s)
		default:
			return nil
		}
	}
}

// say has something of a node printed, and returns when that is done.
func (m *everyNode[T]) say(ctx context.Context, node string, at time.Time, print func() error) error {
	s := saying{node, at, print, make(chan struct{})}
	select {
	case m.says <- s:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if print == nil {
		return nil
	}
	select {
	case <-s.printed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readNode reads the stream of a node. One that is followed and does not answer any more is
// asked until it does. since is zero, or when the node was not there yet.
func (m *everyNode[T]) readNode(ctx context.Context, stop context.CancelCauseFunc, name string, since time.Time) {
	p, client := m.p.ofNode(name), m.client.On(name)
	last, tail := since, m.tail
	if !since.IsZero() {
		tail = caughtUp
	}
	for ctx.Err() == nil {
		seen, before := 0, last
		err := m.read(ctx, client, tail, func(record T) error {
			at := m.time(record)
			if seen++; !before.IsZero() && seen <= tail && !at.After(before) {
				return nil // it was printed before
			}
			last = at
			return m.say(ctx, name, at, func() error { return m.print(p, record) })
		})
		switch {
		case ctx.Err() != nil:
			return
		case !m.follow:
			m.mu.Lock()
			m.failed[name] = err
			m.mu.Unlock()
			m.say(ctx, name, time.Time{}, nil)
			return
		case !isAway(err):
			stop(err)
			return
		}
		from := time.Now()
		if last.IsZero() {
			last = from
		}
		tail = caughtUp
		m.say(ctx, name, from, func() error { return p.printGap(gap{From: from.UTC()}, err) })
		if m.awaitNode(ctx, client) {
			to := time.Now()
			m.say(ctx, name, to, func() error { return p.printGap(gap{From: from.UTC(), To: new(to.UTC())}, nil) })
		}
	}
}

// awaitNode returns when a node answers again, and reports false if ctx has ended.
func (m *everyNode[T]) awaitNode(ctx context.Context, client *control.Client) bool {
	for pause(ctx, askAgain) {
		if _, err := client.Status(ctx); err == nil {
			return true
		}
	}
	return false
}

// findNodes follows nodes that were not there before.
func (m *everyNode[T]) findNodes(ctx context.Context, stop context.CancelCauseFunc, nodes []control.Node) {
	known := make(map[string]bool)
	for _, n := range nodes {
		known[n.Name] = true
	}
	asked := time.Now()
	for pause(ctx, askAgain) {
		before := asked
		asked = time.Now()
		nodes, err := nodesOf(ctx, m.client)
		if err != nil {
			continue // who follows the daemon says so
		}
		for _, n := range nodes {
			if !known[n.Name] {
				known[n.Name] = true
				m.reading.Go(func() { m.readNode(ctx, stop, n.Name, before) })
			}
		}
	}
}

// pause waits, and reports false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isAway reports whether a stream has ended because nobody answers there, or because too much
// is asked there at present; other refusals would come again.
func isAway(err error) bool {
	refusal, ok := errors.AsType[*control.Error](err)
	return !ok || refusal.Code == control.CodeNodeNotFound || refusal.Status >= http.StatusInternalServerError
}

// gap is a time in which a node was not heard: what it said may be missing.
type gap struct {
	From time.Time  `json:"from"`
	To   *time.Time `json:"to,omitempty"` // nil: it goes on
}

// printGap writes that a node is not heard any more, for that reason, or is heard again.
func (p *program) printGap(g gap, why error) error {
	if p.json {
		return p.encode(struct {
			Node string `json:"node"`
			Gap  gap    `json:"gap"`
		}{p.node, g})
	}
	at, text := g.From, ""
	if g.To == nil {
		text = p.text.T("admin.gap_begins")
		if refusal, ok := errors.AsType[*control.Error](why); !errors.Is(why, control.ErrEnded) &&
			!(ok && (refusal.Code == control.CodeNodeUnreachable || refusal.Code == control.CodeNodeNotFound)) {
			text += " " + p.errorText(why) // it is another reason than that the node is away
		}
	} else {
		at = *g.To
		text = p.text.T("admin.gap_ends", "age", p.words(nil).Age(at.Sub(g.From)))
	}
	_, err := fmt.Fprintln(p.stdout, p.stamp(at)+"▲ "+text)
	return err
}

// stamp begins a line of a stream: when it was, and of several nodes on which.
func (p *program) stamp(at time.Time) string {
	if p.node == "" {
		return formatTime(at) + "  "
	}
	return formatTime(at) + "  " + cells.Left(locale.Clean(p.node), p.nodeWidth) + "  "
}
