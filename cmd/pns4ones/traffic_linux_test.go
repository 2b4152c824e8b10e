package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// traffic are sessions at each node of a site, which come back when their node does, and senders: one at each node, and
// one that posts to a node and then to another. Each of them posts its next message when the one before is answered.
//
// What the senders are told is held against what the sessions receive: of each message the count is what came, or as
// many more as nodes were named that may or may not have got it; where none was named it came to everybody. Nothing
// comes twice, and nothing out of the order of its sender but for messages of which a node was named.
type traffic struct {
	*ledger
	site    *site
	key     *wire.ClientKey
	posters []*poster
	quit    context.CancelFunc

	mu sync.Mutex // guards sessions of ledger
}

// seats is how many sessions are at each node, roaming the number of the sender that goes from node to node.
const seats, roaming = 4, 3

// counted is what a session has received of senders who number all their messages.
type counted struct {
	came  map[int][]arrival // by sender, in the order in which they came
	since map[int]time.Time // when the node of a sender knew of it, at the latest
}

// arrival is when a message came.
type arrival struct {
	number int
	at     time.Time
}

func newCounted() *counted {
	return &counted{came: make(map[int][]arrival), since: make(map[int]time.Time)}
}

func (c *counted) enter(sender, number int) {
	now := time.Now()
	if _, known := c.since[sender]; !known && sender < roaming {
		c.since[sender] = now
	}
	c.came[sender] = append(c.came[sender], arrival{number, now})
}

// poster is a sender.
type poster struct {
	*sender
	name string

	mu   sync.Mutex
	told []told // by the message's number
}

// told is what a sender was told of a message.
type told struct {
	answer
	to    string
	begun time.Time
	took  time.Duration
	err   error
}

// answered reports whether the message was accepted.
func (t *told) answered() bool { return t.err == nil && t.status == http.StatusOK }

// sure reports whether no node may have it that is not counted.
func (t *told) sure() bool { return t.answered() && t.unconfirmed == 0 }

// newTraffic opens the sessions. They and the senders end with the test.
func newTraffic(t *testing.T, s *site) *traffic {
	t.Helper()
	tr := &traffic{ledger: newLedger(t, s.nodes[0].client), site: s}
	var err error
	if tr.key, err = wire.ParseClientKey(tr.app.ClientKey); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tr.quit = func() {
		cancel()
		tr.reading.Wait()
	}
	t.Cleanup(tr.quit)
	for number, n := range s.nodes {
		await(t, "the app is at "+n.name, func() bool {
			_, err := n.client.App(context.Background(), tr.app.ID)
			return err == nil
		})
		for seat := range seats {
			keep := tr.keep
			if seat == 0 && *fireAddIn != "" {
				keep = tr.keepAddIn
			}
			tr.reading.Go(func() { keep(ctx, n, "user"+strconv.Itoa(number*seats+seat)) })
		}
	}
	tr.awaitSeated()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, session := range tr.sessions {
		session.mu.Lock()
		for sender := range roaming + 1 {
			session.counted.since[sender] = time.Now()
		}
		session.mu.Unlock()
	}
	return tr
}

// keep has a session at a node until ctx ends.
func (t *traffic) keep(ctx context.Context, n *node, user string) {
	for ctx.Err() == nil {
		dialling, cancel := context.WithTimeout(ctx, time.Second)
		conn, err := wire.Dial(dialling, n.service(), wire.Registration{AppID: t.app.ID, IbID: infobase, UserID: user,
			UserGroup: "group0"}, t.key)
		cancel()
		if err != nil {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		session := &listener{user: user, group: "group0", conn: conn, counted: newCounted()}
		t.mu.Lock()
		t.sessions = append(t.sessions, session)
		t.mu.Unlock()
		closing := context.AfterFunc(ctx, func() { conn.Close() })
		session.read()
		closing()
		conn.Close()
	}
}

// awaitSeated waits until all sessions are registered.
func (t *traffic) awaitSeated() {
	t.t.Helper()
	for _, n := range t.site.nodes {
		await(t.t, "the sessions are at "+n.name, func() bool {
			status, err := n.client.Status(context.Background())
			return err == nil && status.Sessions == seats
		})
	}
}

// begin has the senders send until the returned function is called.
func (t *traffic) begin(pause time.Duration) (stop func()) {
	t.t.Helper()
	ended := make(chan struct{})
	var sending sync.WaitGroup
	for _, at := range append(slices.Clone(t.site.nodes), nil) {
		p := t.newPoster(at)
		sending.Go(func() {
			for {
				if at == nil {
					p.listen = t.site.nodes[rand.N(len(t.site.nodes))].listens()
				}
				rest := pause
				if p.next(len(t.site.nodes)*seats) != nil {
					rest = 10 * pause // nobody listens there
				}
				select {
				case <-ended:
					return
				case <-time.After(rest):
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		close(ended)
		sending.Wait()
	})
}

// newPoster makes a sender at a node; nil: it is given another one for each message.
func (t *traffic) newPoster(at *node) *poster {
	t.t.Helper()
	p := &poster{sender: t.newSender(len(t.posters)), name: "one node after the other"}
	if at != nil {
		p.name, p.listen = at.name, at.listens()
	}
	t.posters = append(t.posters, p)
	return p
}

// next posts the next message.
func (p *poster) next(users int) error {
	number := len(p.told)
	one := told{to: "user" + strconv.Itoa(number*7%users), begun: time.Now()}
	switch number % 6 {
	case 0:
		one.to = "all"
	case 3:
		one.to = "group0"
	}
	one.answer, one.err = p.try(one.to, number)
	one.took = time.Since(one.begun)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, one)
	return one.err
}

// awaitTold waits until a sender was told something of a message that it begins from now on.
func (t *traffic) awaitTold(sender int, what string, is func(*told) bool) {
	t.t.Helper()
	p, now := t.posters[sender], time.Now()
	await(t.t, fmt.Sprintf("the sender at %s is told %s", p.name, what), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for k := len(p.told) - 1; k >= 0 && p.told[k].begun.After(now); k-- {
			if is(&p.told[k]) {
				return true
			}
		}
		return false
	})
}

// awaitUnconfirmed waits until a sender is told of so many nodes that may not have a message.
func (t *traffic) awaitUnconfirmed(sender, nodes int) {
	t.t.Helper()
	t.awaitTold(sender, fmt.Sprint(nodes, " nodes may not have it"), func(one *told) bool {
		return one.answered() && one.unconfirmed == nodes
	})
}

// awaitSure waits until all senders are told that all nodes have a message.
func (t *traffic) awaitSure() {
	t.t.Helper()
	for sender := range roaming + 1 {
		t.awaitUnconfirmed(sender, 0)
	}
}

// longest is how long a sender waited at most for what it began after a time.
func (p *poster) longest(since time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.told {
		if one.begun.After(since) {
			longest = max(longest, one.took)
		}
	}
	return longest
}
