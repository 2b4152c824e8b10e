package cluster_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// originOf is that of a message that a node has got.
func (n *node) originOf(text string) moving.Origin {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := slices.Index(n.got, text)
	if at < 0 {
		return moving.Origin{}
	}
	return n.origins[at]
}

func (n *node) worked() (worked moving.Cover) {
	n.Still(func(c moving.Cover) { worked = c })
	return worked
}

func TestAMessageHasOneOriginAtAllNodes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 1)
	meet(t, a, b)
	large := strings.Repeat("x", 20<<20) // more parts than are sent before the own sessions get it
	seen := make(map[moving.Origin]bool)
	for _, text := range []string{"1", large, "2", "3"} {
		if d := a.Publish(appID, toAll, []byte(text)); d.Sessions != 2 {
			t.Fatalf("%+v", d)
		}
		origin := a.originOf(text)
		if epoch, _ := a.Last(); origin.Epoch != epoch || origin.Number == 0 || seen[origin] || b.originOf(text) != origin {
			t.Errorf("origins %v and %v", origin, b.originOf(text))
		}
		seen[origin] = true
		for _, n := range []*node{a, b} {
			if !n.worked().Has(origin) || !n.Seen().Has(origin) || n.Lacks(moving.Cover{origin.Epoch: {Top: origin.Number}}) {
				t.Errorf("%s does not account for %v: %v", n.name, origin, n.worked())
			}
		}
	}
	next := moving.Origin{Epoch: a.Status().Epoch, Number: 1 << 20}
	if c := b.worked(); c.Has(next) || !b.Lacks(moving.Cover{next.Epoch: {Top: next.Number}}) {
		t.Errorf("%v accounts for a message that was not sent", c)
	}
	// Of a node that has left it still is known what it sent.
	a.Close()
	eventually(t, "it has left", func() bool { return len(b.Status().Peers) == 0 })
	for origin := range seen {
		if !b.worked().Has(origin) {
			t.Errorf("%v is not known any more", origin)
		}
	}
}

// TestWhatIsNotQueuedYetIsNotWorkedOff: neither an own message nor one of a peer, though both have their numbers.
func TestWhatIsNotQueuedYetIsNotWorkedOff(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 1)
	meet(t, a, b)
	goOn := a.stall()
	defer goOn()
	posted := make(chan cluster.Delivery, 2)
	go func() { posted <- a.Publish(appID, toAll, []byte("own")) }()
	go func() { posted <- b.Publish(appID, toAll, []byte("b's")) }()
	eventually(t, "the own one to reach b", func() bool { return slices.Contains(b.received(), "own") })
	own, theirs := b.originOf("own"), moving.Origin{}
	eventually(t, "b's own to be queued there", func() bool {
		theirs = b.originOf("b's")
		return theirs.Number > 0
	})
	eventually(t, "b's to reach a", func() bool { return a.Seen().Has(theirs) })
	for _, origin := range []moving.Origin{own, theirs} {
		if !a.Lacks(moving.Cover{origin.Epoch: {Top: origin.Number}}) {
			t.Errorf("%v is worked off", origin)
		}
		if b.Lacks(moving.Cover{origin.Epoch: {Top: origin.Number}}) {
			t.Errorf("%v is not worked off at b", origin)
		}
	}
	// While a message is being queued nothing can be said.
	stood := make(chan moving.Cover, 1)
	go a.Still(func(c moving.Cover) { stood <- c })
	goOn()
	c := <-stood
	for range 2 {
		<-posted
	}
	if got := a.received(); c.Has(own) != (slices.Index(got, "own") >= 0) || !a.worked().Has(own) || !a.worked().Has(theirs) {
		t.Errorf("%v, and a has %q", c, got)
	}
}

// TestAVerdictMayComeLater: as long as it is not known whether a session goes on at a node, its senders wait, and it
// is not taken for silent.
func TestAVerdictMayComeLater(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"of a peer": false, "own": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdictComesLater(t, own)
		})
	}
}

func verdictComesLater(t *testing.T, own bool) {
	s := newService(t)
	tell := make(chan func(cluster.Reach), 2)
	a, b := s.start("web1", 3), s.start("web2", 0, func(o *cluster.Options) {
		o.Deliver = func(_ moving.Origin, _ string, _ wire.Recipient, _ []byte,
			settled func(cluster.Reach)) (cluster.Reach, bool) {
			tell <- settled
			return cluster.Reach{}, true
		}
	})
	meet(t, a, b)
	from := a
	if own {
		from = b
	}
	posted := make(chan cluster.Delivery, 1)
	go func() { posted <- from.Publish(appID, toAll, []byte("1")) }()
	settled := <-tell
	if c := b.worked(); !own && !c.Has(moving.Origin{Epoch: from.Status().Epoch, Number: 1}) {
		t.Errorf("what is queued is not worked off: %v", c)
	}
	select {
	case d := <-posted:
		t.Errorf("the sender did not wait: %+v", d)
	default:
	}
	settled(cluster.Reach{Sessions: 2, Waiting: 1})
	if d := <-posted; d.Sessions != 5 || d.Waiting != 2 || d.Held != own || d.Unconfirmed != nil {
		t.Errorf("%+v", d)
	}
	// What is not said in time is not confirmed.
	from.SetWait(2 * time.Second)
	d := from.Publish(appID, toAll, []byte("2"))
	if d.Sessions != 3 || !slices.Equal(d.Unconfirmed, []string{"web2"}) || a.count(cluster.PeerLive) != 1 {
		t.Errorf("%+v, %s", d, a.states())
	}
	(<-tell)(cluster.Reach{})
}

// TestAConfirmationDoesNotWaitForALaterVerdict: of the message behind it in the lane it is not known yet whom it
// reaches, and none comes after that. Nor does a hand-over wait.
func TestAConfirmationDoesNotWaitForALaterVerdict(t *testing.T) {
	t.Parallel()
	s := newService(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	later := make(chan func(cluster.Reach), 1)
	a, b := s.start("web1", 0), s.start("web2", 0, func(o *cluster.Options) {
		o.Deliver = func(_ moving.Origin, _ string, _ wire.Recipient, plaintext []byte,
			settled func(cluster.Reach)) (cluster.Reach, bool) {
			if string(plaintext) == "2" {
				later <- settled
				return cluster.Reach{}, true
			}
			close(begun)
			<-goOn
			return cluster.Reach{Sessions: 1}, false
		}
	})
	meet(t, a, b)
	first, second := make(chan cluster.Delivery, 1), make(chan cluster.Delivery, 1)
	go func() { first <- a.Publish(appID, toAll, []byte("1")) }()
	<-begun
	go func() { second <- a.Publish(appID, toAll, []byte("2")) }()
	epoch, _ := a.Last()
	eventually(t, "the second one to wait in the lane", func() bool {
		return b.Seen().Has(moving.Origin{Epoch: epoch, Number: 2})
	})
	close(goOn)
	settled := <-later
	if d := <-first; d.Sessions != 1 || d.Unconfirmed != nil {
		t.Errorf("the first one: %+v", d)
	}
	settled(cluster.Reach{Sessions: 1})
	if d := <-second; d.Sessions != 1 || d.Unconfirmed != nil {
		t.Errorf("the second one: %+v", d)
	}
	b.HandOver() // which waits for all that is not confirmed
}
