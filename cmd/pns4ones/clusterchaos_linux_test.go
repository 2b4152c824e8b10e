package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

var (
	fireChaos = flag.Duration("fire.chaos", 0, "how long TestChaos goes on; 0: it is skipped")
	fireSeed  = flag.Uint64("fire.seed", 0, "what TestChaos begins with; 0: another one each time")
)

// chaos has one thing after the other happen to each node and each NATS server, to all of them at once.
type chaos struct {
	t    *testing.T
	site *site
	away *roamers   // sessions that go from node to node
	anew sync.Mutex // held while a node begins with an empty memory, for somebody has to tell it of the others

	mu    sync.Mutex
	count map[string]int
}

// mishap is something that happens to a node or to a server, and is over when it returns.
type mishap struct {
	name string
	do   func(r *rand.Rand)
}

// TestChaos kills, stops, cuts off, upgrades and restarts nodes and NATS servers at random, and checks that no message
// is lost of which somebody was told that it is delivered, and none comes twice; nor one for sessions that go from node
// to node, but for what only a node had that is gone.
func TestChaos(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("-short")
	case *fireChaos == 0:
		t.Skip("-fire.chaos 40s runs it for so long")
	}
	seed := *fireSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-fire.seed %d", seed)
	s := newSite(t)
	before := s.size()
	tr := newTraffic(t, s)
	stop := tr.begin(10 * time.Millisecond)
	defer stop()
	tr.awaitSure()

	r := newRoamers(t, placesAt(s), *fireRoamers)
	stopSending := r.send(2, 10*time.Millisecond)
	defer stopSending()
	r.awaitFirst()
	roaming, rest := context.WithCancel(context.Background())
	defer rest()
	awaitRest := r.roam(roaming, seed)

	c := &chaos{t: t, site: s, away: r, count: make(map[string]int)}
	ctx, cancel := context.WithTimeout(context.Background(), *fireChaos)
	defer cancel()
	var happening sync.WaitGroup
	for number, n := range s.nodes {
		happening.Go(func() { c.plague(ctx, rand.New(rand.NewPCG(seed, uint64(number))), 6*time.Second, c.ofNode(n)) })
	}
	for number, server := range s.nats {
		happening.Go(func() {
			c.plague(ctx, rand.New(rand.NewPCG(seed, uint64(100+number))), 12*time.Second, ofServer(server))
		})
	}
	happening.Wait()
	t.Log(c.count, "load", loadOfMachine())
	s.awaitLive()
	rest()
	awaitRest()
	stopSending()
	r.settle()
	r.check()
	r.quit()
	tr.check(stop)
	tr.quit()
	s.checkSize(before)
	s.end()
}

// plague has mishaps happen until ctx ends, after a pause of so long at most.
func (c *chaos) plague(ctx context.Context, r *rand.Rand, pauses time.Duration, mishaps []mishap) {
	for pause(ctx, time.Duration(r.Int64N(int64(pauses)))) {
		c.suffer(mishaps[r.IntN(len(mishaps))], r)
	}
}

func (c *chaos) suffer(one mishap, r *rand.Rand) {
	one.do(r)
	c.counts(one.name)
}

func (c *chaos) counts(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[what]++
}

// moment is a time up to some seconds: too short to be noticed, or longer than others wait.
func moment(r *rand.Rand) time.Duration {
	if r.IntN(2) == 0 {
		return time.Duration(r.Int64N(int64(500 * time.Millisecond)))
	}
	return time.Duration(r.Int64N(int64(6 * time.Second)))
}

func (c *chaos) ofNode(n *node) []mishap {
	return []mishap{
		{"node killed", func(r *rand.Rand) {
			c.anew.Lock()
			defer c.anew.Unlock()
			c.away.killed(n.name)
			n.kill()
			time.Sleep(moment(r))
			n.run()
			c.awaitMet(n)
		}},
		{"node stopped", func(r *rand.Rand) {
			n.halt()
			time.Sleep(moment(r))
			n.goOn()
		}},
		{"node cut off", func(r *rand.Rand) {
			n.machine.cut()
			time.Sleep(moment(r))
			n.machine.mend()
		}},
		{"node upgraded", func(*rand.Rand) {
			if out, err := n.tryAdmin("upgrade"); err != nil {
				c.t.Logf("%s was not upgraded: %v: %s", n.name, err, out)
				c.counts("of these not upgraded")
			}
		}},
		{"node restarted", func(*rand.Rand) {
			c.anew.Lock()
			defer c.anew.Unlock()
			n.end()
			n.run()
			c.awaitMet(n)
		}},
	}
}

// awaitMet waits until a node has met another one.
func (c *chaos) awaitMet(n *node) {
	await(c.t, n.name+" meets another node", func() bool {
		return slices.ContainsFunc(n.status().Cluster.Nodes, func(other control.Node) bool {
			return other.Name != n.name && other.State == control.NodeLive
		})
	})
}

func ofServer(s *natsServer) []mishap {
	return []mishap{
		{"NATS server killed", func(r *rand.Rand) {
			s.kill()
			time.Sleep(moment(r))
			s.run()
		}},
		{"NATS server stopped", func(r *rand.Rand) {
			s.halt()
			time.Sleep(moment(r))
			s.goOn()
		}},
		{"NATS server cut off", func(r *rand.Rand) {
			s.cut()
			time.Sleep(moment(r))
			s.mend()
		}},
	}
}
