package cluster_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
)

// succeed starts the next process of a node, whose sessions stay the same.
func (s *service) succeed(n *node) *node {
	s.t.Helper()
	next := s.start(n.name, n.sessions, func(o *cluster.Options) { o.Successor, o.Deliver = true, n.owner().deliver })
	next.first = n.owner()
	eventually(s.t, "the successor to be connected", func() bool { return next.Status().Server != "" })
	return next
}

// owner is the process that the sessions of a node began in.
func (n *node) owner() *node {
	if n.first != nil {
		return n.first
	}
	return n
}

// move takes a node to its next process, as the document of a hand-over does.
func (s *service) move(from, to *node) {
	s.t.Helper()
	text, err := json.Marshal(from.HandOver())
	if err != nil {
		s.t.Fatal(err)
	}
	from.Close()
	var handed *cluster.HandedOver
	if err := json.Unmarshal(text, &handed); err != nil {
		s.t.Fatal(err)
	}
	if err := to.Adopt(handed); err != nil {
		s.t.Fatal(err)
	}
}

// posters post to nodes until they are stopped.
type posters struct {
	done  atomic.Bool
	group sync.WaitGroup
	sent  [][]string
	open  [][]string // of these, what a node sent that NATS had let go of: a busy machine answers it too late
}

func post(t *testing.T, sessions, each int, nodes ...*node) *posters {
	p := &posters{sent: make([][]string, len(nodes)*each), open: make([][]string, len(nodes)*each)}
	for i := range p.sent {
		p.group.Go(func() {
			for k := 0; !p.done.Load(); k++ {
				text, n := fmt.Sprintf("%d %d", i, k), nodes[i%len(nodes)]
				d := n.Publish(appID, toAll, []byte(text))
				p.sent[i] = append(p.sent[i], text)
				switch st := n.Status(); {
				case d.Sessions == sessions && d.Unconfirmed == nil:
				case d.Unconfirmed != nil && (st.Reconnects > 0 || st.State == cluster.StateCutOff):
					p.open[i] = append(p.open[i], text)
				default:
					t.Errorf("%s: %+v, want %d sessions", text, d, sessions)
				}
			}
		})
	}
	return p
}

// stop ends the posting and compares what was posted with what nodes have got.
func (p *posters) stop(t *testing.T, nodes ...*node) {
	t.Helper()
	p.done.Store(true)
	p.group.Wait()
	var all []string
	for _, sent := range p.sent {
		all = append(all, sent...)
	}
	slices.Sort(all)
	open := slices.Concat(p.open...)
	for _, n := range nodes {
		got := n.received()
		slices.Sort(got)
		if once := slices.Compact(slices.Clone(got)); len(once) != len(got) {
			t.Errorf("%s got %d messages more than once", n.name, len(got)-len(once))
		}
		got = append(got, open...) // they may be there or not
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, all) {
			t.Errorf("%s got %d messages of %d", n.name, len(got), len(all))
		}
	}
	t.Logf("%d messages, %d of them not confirmed by all", len(all), len(open))
}

// While a node goes from process to process again and again no message of the others misses
// its sessions, none comes twice and nobody is told that one may have.
func TestNothingIsMissedWhileANodeMoves(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b, c := s.start("web1", 1), s.start("web2", 10), s.start("web3", 100)
	meet(t, a, b, c)
	epoch := b.Status().Epoch
	p := post(t, 111, 2, a, c)
	for running, i := b, 0; i < 20; i++ {
		next, before := s.succeed(running), len(a.received())
		eventually(t, "some to be posted", func() bool { return len(a.received()) > before+50 })
		s.move(running, next)
		running = next
		for _, n := range []*node{a, c} {
			eventually(t, "it to be back", func() bool { return n.count(cluster.PeerLive) == 2 })
		}
		if got := running.Status().Epoch; got != epoch {
			t.Fatalf("after move %d it is epoch %s, not %s", i+1, got, epoch)
		}
	}
	p.stop(t, a, b, c)
}

// A hand-over that fails is taken back, and what came meanwhile is not missed.
func TestAMoveIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, first := s.start("web1", 1), s.start("web2", 10)
	meet(t, a, first)
	subscriptions := first.Subscriptions()
	p := post(t, 11, 2, a)
	b := s.succeed(first) // a process that has come from another may be the one
	s.move(first, b)
	for range 5 {
		next := s.succeed(b)
		b.HandOver()
		next.Close()
		b.TakeBack()
		eventually(t, "it to be back", func() bool { return a.count(cluster.PeerLive) == 1 })
		if got := b.Subscriptions(); got != subscriptions {
			t.Fatalf("it has %d subscriptions, and had %d", got, subscriptions)
		}
	}
	p.stop(t, a, first)
	if d := b.Publish(appID, toAll, []byte("{}")); d.Sessions != 11 || d.Unconfirmed != nil {
		t.Errorf("afterwards %+v", d)
	}
}

// Of a NATS that hangs it is known before the sessions are frozen: then nothing waits for it, once.
func TestANATSThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newService(t)
	way := newProxy(t, s.nats.URL())
	a := s.start("web1", 1)
	b := s.start("web2", 2, func(o *cluster.Options) { o.NATS.Servers = []string{way.url()} })
	meet(t, a, b)
	eventually(t, "NATS to answer", func() bool { b.Probe(); return !b.Mute() })
	way.swallows.Store(true)
	b.Probe()
	if !b.Mute() {
		t.Error("NATS does not answer, and is waited for")
	}
	b.HandOver()
	if b.Mute() {
		t.Error("it is not asked again at the next hand-over")
	}
	way.swallows.Store(false)
	b.TakeBack()
	eventually(t, "it to be back", func() bool { return a.count(cluster.PeerLive) == 1 })
}

func TestInAHurryNobodyIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	goOn := b.stall()
	defer goOn()
	told := make(chan cluster.Delivery, 1)
	go func() { told <- a.Publish(appID, toAll, []byte("first")) }()
	eventually(t, "the message is on its way", func() bool { return len(a.received()) == 1 })
	a.EndWaiting()
	for _, d := range []cluster.Delivery{<-told, a.Publish(appID, toAll, []byte("second"))} {
		if d.Sessions != 1 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
			t.Errorf("in a hurry: %+v", d)
		}
	}
	goOn()
	a.HandOver()
	a.TakeBack()
	eventually(t, "peers to be waited for again", func() bool {
		return a.Publish(appID, toAll, []byte("third")).Unconfirmed == nil
	})
}

// A message of several parts may come to two processes.
func TestPartsGoAlong(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Ask = 5 * time.Millisecond
	a, b := s.start("web1", 1), s.start("web2", 10)
	meet(t, a, b)
	text := make([]byte, 12<<20)
	for i := range text {
		text[i] = byte(i * 7919 >> 8)
	}
	delivered := make(chan cluster.Delivery, 1)
	go func() { delivered <- a.Publish(appID, toAll, text) }()
	eventually(t, "a part to come", func() bool { return a.Stats().Sent == 1 })
	s.move(b, s.succeed(b))
	if d := <-delivered; d.Sessions != 11 || d.Unconfirmed != nil {
		t.Errorf("%+v, want 11 sessions", d)
	}
	if got := b.received(); len(got) != 1 || got[0] != string(text) {
		t.Errorf("%d messages came, or others", len(got))
	}
}

// Peers wait for a node that hands over, and no longer than that.
func TestANodeThatMovesIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.HandOver = 300 * time.Millisecond
	a, b := s.start("web1", 1), s.start("web2", 10)
	meet(t, a, b)
	a.SetWait(10 * time.Millisecond)
	b.HandOver()
	eventually(t, "the others to know", func() bool { return a.count(cluster.PeerHandingOver) == 1 })
	if d := a.Publish(appID, toAll, []byte("{}")); !slices.Equal(d.Unconfirmed, []string{"web2"}) {
		t.Errorf("it never came: %+v", d)
	}
	eventually(t, "it to be lost", func() bool { return a.count(cluster.PeerLost) == 1 })
}

// What another node wrote down is not gone on with.
func TestAnotherNodeIsNotAdopted(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.HandOver = 300 * time.Millisecond
	a, b := s.start("web1", 1), s.start("web2", 10)
	meet(t, a, b)
	next := s.succeed(b)
	handed := b.HandOver()
	handed.ID = make([]byte, 16)
	b.Close()
	if err := next.Adopt(handed); err == nil {
		t.Error("it is adopted")
	}
	eventually(t, "it to be taken in as another", func() bool {
		d := a.Publish(appID, toAll, []byte("{}"))
		return d.Sessions == 11 && d.Unconfirmed == nil
	})
	if next.Status().Epoch == b.Status().Epoch {
		t.Error("it goes on in the same epoch")
	}
}
