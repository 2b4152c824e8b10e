package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// roamers are sessions that are remembered and come to one node of a cluster after the other, of an app of their own,
// and senders who post to all of them at nodes at random, each the next message when the one before is answered.
type roamers struct {
	*ledger
	nodes   []*place
	key     *wire.ClientKey
	all     []*roamer
	posters []*roamersPoster

	mu    sync.Mutex
	kills []kill
}

// place is a node as clients and senders know it.
type place struct {
	*installation
	name            string
	listen, service string
}

// kill is when a node was killed.
type kill struct {
	node string
	at   time.Time
}

// roamersPoster is a sender of theirs. What it was told is by the message's number.
type roamersPoster struct {
	*sender
	posted []posted
}

// posted is a message.
type posted struct {
	node            string
	begun, answered time.Time
	sure            bool // it was accepted, and no node was named that may not have it
}

// roamer is a session, as a client that can go on has it.
type roamer struct {
	of   *roamers
	ann  wire.Registration
	said wire.Attributes
	conn *wire.Client // nil: there is none

	broken bool // the connection
	visits []visit
	got    []gotten
	ended  int // number of the last message of settle
}

// visit is a connection of a session.
type visit struct {
	to     *place
	dialed time.Time
	first  time.Time // when its first frame was read; zero: none was
}

// gotten is a message that a session has read.
type gotten struct {
	sender, number int
	at             time.Time
	visit          int
}

// newRoamers makes an app, and sessions that are not connected yet.
func newRoamers(t *testing.T, nodes []*place, sessions int) *roamers {
	t.Helper()
	r := &roamers{ledger: newLedger(t, nodes[0].client), nodes: nodes}
	for _, n := range nodes {
		await(t, "the app is at "+n.name, func() bool {
			_, err := n.client.App(context.Background(), r.app.ID)
			return err == nil
		})
	}
	var err error
	if r.key, err = wire.ParseClientKey(r.app.ClientKey); err != nil {
		t.Fatal(err)
	}
	for i := range sessions {
		r.all = append(r.all, &roamer{of: r, said: wire.Attributes{Session: wire.NewSessionID()},
			ann: wire.Registration{AppID: r.app.ID, IbID: infobase, UserID: fmt.Sprint("roamer", i)}})
	}
	t.Cleanup(r.quit)
	return r
}

// killed notes that a node is being killed.
func (r *roamers) killed(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kills = append(r.kills, kill{node, time.Now()})
}

// send has senders post until the returned function is called.
func (r *roamers) send(senders int, every time.Duration) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	for id := range senders {
		p := &roamersPoster{sender: r.newSender(id)}
		r.posters = append(r.posters, p)
		sending.Go(func() {
			for pause(ctx, every) {
				node := r.nodes[rand.N(len(r.nodes))]
				p.listen = node.listen
				one := posted{node: node.name, begun: time.Now()}
				told, err := p.try("all", len(p.posted))
				one.answered = time.Now()
				one.sure = err == nil && told.status == 200 && told.unconfirmed == 0
				p.posted = append(p.posted, one)
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		sending.Wait()
	})
}

// roam has all sessions go from node to node until ctx ends.
func (r *roamers) roam(ctx context.Context, seed uint64) (wait func()) {
	var going sync.WaitGroup
	for i, one := range r.all {
		going.Go(func() { one.roam(ctx, rand.New(rand.NewPCG(seed, uint64(1000+i)))) })
	}
	return going.Wait
}

// quit ends the connections.
func (r *roamers) quit() {
	for _, one := range r.all {
		one.leave()
	}
}

// breakPause is how long a client waits after a break that it did not make itself.
const breakPause = 500 * time.Millisecond

func (s *roamer) roam(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		to := s.of.nodes[random.IntN(len(s.of.nodes))]
		if random.IntN(2) == 0 { // else the former connection is there yet
			s.leave()
		}
		if !s.comes(ctx, to, time.Second) {
			pause(ctx, breakPause)
			continue
		}
		stay := time.Duration(random.Int64N(int64(time.Second)))
		if random.IntN(8) == 0 { // it does not wait for anything to come
			s.reads(ctx, stay/10)
			continue
		}
		if s.next(ctx, patience) && s.reads(ctx, stay) {
			continue
		}
		if !s.broken && ctx.Err() == nil {
			s.of.t.Errorf("%s has heard nothing for %v; %s", s.ann.UserID, patience, s.around(time.Now()))
		}
		s.leave()
		pause(ctx, breakPause)
	}
}

// leave ends the connection.
func (s *roamer) leave() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// comes has the session go on at a node, if that can be connected to within that time. The connection before is of
// no use from then on.
func (s *roamer) comes(ctx context.Context, to *place, within time.Duration) bool {
	before := s.conn
	s.said.Turn++
	dialling, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	now := visit{to: to, dialed: time.Now()}
	conn, err := wire.Dial(dialling, to.service, s.ann, s.of.key, s.said.List()...)
	if before != nil {
		before.Close()
	}
	s.conn, s.broken = conn, err != nil
	s.visits = append(s.visits, now) // that packet may have come, though it failed here
	return err == nil
}

// next reads a message; it reports false if none comes within that time, when the connection breaks, or ctx ends.
func (s *roamer) next(ctx context.Context, within time.Duration) bool {
	conn := s.conn
	conn.SetReadDeadline(time.Now().Add(within))
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	text, err := conn.Receive()
	if err != nil {
		s.broken = !errors.Is(err, os.ErrDeadlineExceeded)
		return false
	}
	s.enter(string(text))
	return true
}

// reads reads for so long; it reports false when the connection breaks, or ctx ends.
func (s *roamer) reads(ctx context.Context, within time.Duration) bool {
	for until := time.Now().Add(within); s.next(ctx, time.Until(until)); {
	}
	return !s.broken && ctx.Err() == nil
}

// enter counts a frame.
func (s *roamer) enter(text string) {
	at := len(s.visits) - 1
	now := time.Now()
	if s.visits[at].first.IsZero() {
		s.visits[at].first = now
	}
	s.said.Received++
	s.said.From = s.said.Turn
	one := gotten{at: now, visit: at}
	var to string
	topic := strings.Trim(strings.TrimPrefix(text, `{"topic":`), `"}`)
	if n, _ := fmt.Sscan(topic, &one.sender, &to, &one.number); n != 3 {
		s.of.t.Errorf("%s received %q", s.ann.UserID, text)
	}
	if one.sender == settler {
		s.ended = one.number
		return
	}
	s.got = append(s.got, one)
}

// settle has each session come to a node, and read up to a last message. Nobody may be sending, and all nodes are live.
func (r *roamers) settle() {
	r.t.Helper()
	var coming sync.WaitGroup
	for i, one := range r.all {
		coming.Go(func() {
			one.leave()
			if !one.comes(context.Background(), r.nodes[i%len(r.nodes)], patience) {
				r.t.Errorf("%s does not get to %s", one.ann.UserID, r.nodes[i%len(r.nodes)].name)
			}
		})
	}
	coming.Wait()
	r.settled++
	last := r.newSender(settler)
	await(r.t, "the last message is for all sessions", func() bool {
		told, err := last.try("all", r.settled)
		return err == nil && told.unconfirmed == 0 && told.sessions >= len(r.all)
	})
	for _, one := range r.all {
		coming.Go(func() {
			for one.conn != nil && one.ended != r.settled {
				if !one.next(context.Background(), patience) {
					r.t.Errorf("%s does not get the last message at %s", one.ann.UserID,
						one.visits[len(one.visits)-1].to.name)
					return
				}
			}
		})
	}
	coming.Wait()
}

// awaitFirst waits until each session has read something, and has what is sent from then on.
func (r *roamers) awaitFirst() {
	r.t.Helper()
	for i, one := range r.all {
		if !one.comes(context.Background(), r.nodes[i%len(r.nodes)], patience) {
			r.t.Fatalf("%s does not get to %s", one.ann.UserID, r.nodes[i%len(r.nodes)].name)
		}
	}
	for _, one := range r.all {
		if !one.next(context.Background(), patience) {
			r.t.Fatalf("%s does not get anything", one.ann.UserID)
		}
	}
}

// placesOf are nodes as clients and senders know them.
func placesOf(all ...*installation) (places []*place) {
	for i, one := range all {
		status := one.status()
		places = append(places, &place{installation: one, name: fmt.Sprint("web", i+1), listen: status.Listen,
			service: status.Service})
	}
	return slices.Clip(places)
}

// placesAt are the nodes of a site so.
func placesAt(s *site) (places []*place) {
	for _, n := range s.nodes {
		places = append(places, &place{installation: n.installation, name: n.name, listen: n.listens(),
			service: n.service()})
	}
	return slices.Clip(places)
}
