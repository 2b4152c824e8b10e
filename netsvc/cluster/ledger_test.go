package cluster_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
)

var faultCount = flag.Int("cluster.faults", 8, "how many faults TestTheLedgerIsCleanWhateverFails has")

// entry is a message in the ledger.
type entry struct {
	text        string
	sender      int
	sum         int // sessions that its sender was told of
	unconfirmed []string
}

// ledger is a service whose nodes fail, and what its senders and sessions say.
type ledger struct {
	*service
	way   map[string]*proxy // of each node to NATS
	mu    sync.Mutex
	nodes map[string]*node // that run
	past  []*node          // lives that are over
}

var sessionsOf = map[string]int{"web1": 1, "web2": 10, "web3": 100}

func (l *ledger) begin(name string) {
	l.t.Helper()
	n := l.start(name, sessionsOf[name], func(o *cluster.Options) { o.NATS.Servers = []string{l.way[name].url()} })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes[name] = n
}

// end takes a node out of those that are sent to.
func (l *ledger) end(name string) *node {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.nodes[name]
	delete(l.nodes, name)
	l.past = append(l.past, n)
	return n
}

func (l *ledger) any(random *rand.Rand) *node {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if n := l.nodes[fmt.Sprintf("web%d", 1+random.IntN(3))]; n != nil {
			return n
		}
	}
}

// fault lets something fail and mends it again. Sessions of a node are gone with it, so
// none is ended while messages are on their way to it, unless it is killed.
func (l *ledger) fault(random *rand.Rand) string {
	name := fmt.Sprintf("web%d", 1+random.IntN(3))
	pause := func() { time.Sleep(time.Duration(random.IntN(800)) * time.Millisecond) } // how long something fails
	switch random.IntN(5) {
	case 0:
		l.end(name).Kill()
		pause()
		l.begin(name)
		return "killed " + name
	case 1:
		l.end(name).Close()
		pause()
		l.begin(name)
		return "stopped " + name
	case 2:
		l.way[name].setCut(true)
		pause()
		l.way[name].setCut(false)
		return "cut off " + name
	case 3:
		l.mu.Lock()
		goOn := l.nodes[name].stall()
		l.mu.Unlock()
		pause()
		goOn()
		return "stalled " + name
	}
	l.nats.Stop()
	pause()
	l.nats.Start()
	return "restarted NATS"
}

// Whatever fails: a session gets no message twice, those that are confirmed come in the
// order of their sender, and a sum that a sender is told of is what sessions have got,
// but for those of the nodes that it names.
func TestTheLedgerIsCleanWhateverFails(t *testing.T) {
	t.Parallel()
	l := &ledger{service: newService(t), way: make(map[string]*proxy), nodes: make(map[string]*node)}
	l.wait, l.time = 300*time.Millisecond, cluster.Impatient
	for name := range sessionsOf {
		l.way[name] = newProxy(t, l.nats.URL())
		l.begin(name)
	}
	meet(t, l.nodes["web1"], l.nodes["web2"], l.nodes["web3"])
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	var done atomic.Bool
	const senders = 4
	entries := make([][]entry, senders)
	var group sync.WaitGroup
	for sender := range senders {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(sender)))
			for i := 0; !done.Load(); i++ {
				text := fmt.Sprintf("%d %d", sender, i)
				d := l.any(random).Publish(appID, toAll, []byte(text))
				entries[sender] = append(entries[sender], entry{text, sender, d.Sessions, d.Unconfirmed})
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, senders))
	for range *faultCount {
		t.Log(l.fault(random))
	}
	eventually(t, "all to be confirmed again", func() bool {
		d := l.nodes["web1"].Publish(appID, toAll, []byte("9 0"))
		return d.Sessions == 111 && d.Unconfirmed == nil
	})
	done.Store(true)
	group.Wait()
	for _, n := range l.nodes {
		l.past = append(l.past, n)
	}
	l.check(entries)
}

// check compares what senders were told of with what sessions have got.
func (l *ledger) check(entries [][]entry) {
	l.t.Helper()
	for _, n := range l.past { // what is on its way arrives, or is too late
		n.Close()
	}
	confirmed := make(map[string]int) // place of a message that all have, with its sender
	got := make(map[string]int)       // sessions that have a message
	for _, ofSender := range entries {
		for i, e := range ofSender {
			if e.unconfirmed == nil {
				confirmed[e.text] = i
			}
		}
	}
	for _, n := range l.past {
		seen, last := make(map[string]bool), make(map[byte]int)
		for _, text := range n.received() {
			if seen[text] && text != "9 0" {
				l.t.Errorf("%s got %q twice", n.name, text)
			}
			seen[text] = true
			got[text] += n.sessions
			if place, ok := confirmed[text]; ok {
				if place < last[text[0]] {
					l.t.Errorf("%s got message %d of sender %c after %d", n.name, place, text[0], last[text[0]])
				}
				last[text[0]] = place
			}
		}
	}
	messages, open := 0, 0
	for _, ofSender := range entries {
		for _, e := range ofSender {
			messages++
			most := e.sum
			for _, name := range e.unconfirmed {
				most += sessionsOf[name]
			}
			if e.unconfirmed != nil {
				open++
			}
			if got[e.text] < e.sum || got[e.text] > most {
				l.t.Errorf("%q was told to be for %d sessions, unconfirmed %v: %d got it", e.text, e.sum, e.unconfirmed,
					got[e.text])
			}
		}
	}
	l.t.Logf("%d messages, %d of them not confirmed by all", messages, open)
}
