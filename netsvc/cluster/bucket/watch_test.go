package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

func makeBucket(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	config := jetstream.KeyValueConfig{Bucket: "pns4ones_main", History: 1}
	if _, err := js.CreateKeyValue(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, js jetstream.JetStream, key string, value []byte, header nats.Header) (revision uint64) {
	t.Helper()
	ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: subject(key), Data: value, Header: header})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func put(t *testing.T, js jetstream.JetStream, key string, value []byte) {
	publish(t, js, key, value, nil)
}

func get(t *testing.T, js jetstream.JetStream, key string) []byte {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), "pns4ones_main")
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return e.Value()
}

// consumerNames is the names of the consumers that there are.
func consumerNames(t *testing.T, js jetstream.JetStream) (names []string) {
	t.Helper()
	s, err := js.Stream(context.Background(), stream)
	if err != nil {
		t.Fatal(err)
	}
	list := s.ConsumerNames(context.Background())
	for name := range list.Name() {
		names = append(names, name)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return names
}

func untilConsumers(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	over := time.Now().Add(patience)
	for {
		names := consumerNames(t, js)
		if len(names) == want {
			return
		}
		if time.Now().After(over) {
			t.Fatalf("the stream has %d consumers, want %d: %q", len(names), want, names)
		}
	}
}

func TestTheServerIsRestarted(t *testing.T) {
	s := startNATS(t, nil)
	_, nodes := three(t, s)
	a := nodes[0].create("a")
	for _, n := range nodes {
		n.untilTitled(a.ID, "a")
	}
	for _, title := range []string{"b", "c"} {
		s.Stop()
		for _, n := range nodes {
			n.untilProblem(bucket.NotConnected)
		}
		s.Start()
		nodes[0].rename(a, title) // right away
		for _, n := range nodes {
			n.untilTitled(a.ID, title)
		}
	}
	_, js := s.connect()
	for _, n := range nodes {
		n.until("all is well", func() bool { return n.bucket.Status().Problem == nil })
	}
	untilConsumers(t, js, len(nodes))
}

// While NATS servers choose a leader, what they are asked gets lost. That is asked again before it
// is called a trouble.
func TestWhatIsNotAnsweredIsAskedAgain(t *testing.T) {
	for _, question := range []string{"$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.CREATE.>"} {
		t.Run(question, func(t *testing.T) {
			s := startNATS(t, nil)
			m := newMesh(t, s)
			m.start("web1", options{}).untilState(bucket.Live)
			account := s.Running().GlobalAccount()
			if err := account.AddMapping(question, "lost.>"); err != nil {
				t.Fatal(err)
			}
			conn, _ := s.connect()
			two := make(chan *node, 1)
			told := make(chan *bucket.ProblemError, 1)
			lost := 0
			if _, err := conn.Subscribe("lost.>", func(*nats.Msg) {
				if lost++; lost == 2 {
					account.RemoveMapping(question)
					told <- (<-two).bucket.Status().Problem
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err := conn.Flush(); err != nil {
				t.Fatal(err)
			}
			n := m.start("web2", options{})
			two <- n
			n.untilState(bucket.Live)
			if problem := <-told; problem != nil {
				t.Errorf("it was asked again only after it was said: %v", problem)
			}
		})
	}
}

func TestTheConsumerIsDeletedByHand(t *testing.T) {
	t.Parallel() // it takes the silence of a watch to be noticed
	s := startNATS(t, nil)
	m := newMesh(t, s)
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	two := m.start("web2", options{})
	two.untilState(bucket.Live)
	m.mu.Lock()
	m.deaf["web2"] = true // so that only the watch can bring anything
	m.mu.Unlock()
	_, js := s.connect()
	before, ones := two.bucket.Status().Watches, one.bucket.Status().Watches
	for _, name := range consumerNames(t, js) {
		if err := js.DeleteConsumer(t.Context(), stream, name); err != nil {
			t.Fatal(err)
		}
	}
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	if got := two.bucket.Status().Watches; got <= before {
		t.Errorf("%d watches, there were %d before", got, before)
	}
	one.until("it has a new watch, too", func() bool { return one.bucket.Status().Watches > ones })
	untilConsumers(t, js, 2)
}

// watchOf is the consumer of a node's watch, when those of its earlier ones are gone.
func (n *node) watchOf(js jetstream.JetStream) string {
	n.t.Helper()
	over := time.Now().Add(patience)
	for {
		own := slices.DeleteFunc(consumerNames(n.t, js), func(name string) bool { return !strings.HasPrefix(name, n.name+"-") })
		if len(own) == 1 {
			return own[0]
		}
		if time.Now().After(over) {
			n.t.Fatalf("the watches of %s are %q, want one", n.name, own)
		}
	}
}

// deafenWatch has the watch bring nothing any more, although the server says that it is alive.
func (n *node) deafenWatch(s *natsServer) {
	n.t.Helper()
	_, js := s.connect()
	if _, err := js.PauseConsumer(n.t.Context(), stream, n.watchOf(js), time.Now().Add(time.Hour)); err != nil {
		n.t.Fatal(err)
	}
}

// endWatch has the watch hear that it has ended.
func (n *node) endWatch(s *natsServer) {
	n.t.Helper()
	conn, js := s.connect()
	watch, err := js.PushConsumer(n.t.Context(), stream, n.watchOf(js))
	if err != nil {
		n.t.Fatal(err)
	}
	end := &nats.Msg{Subject: watch.CachedInfo().Config.DeliverSubject, Header: nats.Header{"Status": {"409"}}}
	if err := conn.PublishMsg(end); err != nil {
		n.t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		n.t.Fatal(err)
	}
	conn.Close()
}

// Not a word from the watch, but a peer says what it has put.
func TestANoticeIsEnough(t *testing.T) {
	s := startNATS(t, nil)
	m, c := newMesh(t, s), newClock()
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	two := m.start("web2", options{clock: c})
	two.untilState(bucket.Live)
	two.deafenWatch(s)
	a := one.create("a")
	two.untilFetched(c, a)
	one.untilAnswered(a, 1)
	if got := one.bucket.Settle(t.Context(), a.ID); len(got.Pending) != 0 || got.Closed != 1 {
		t.Errorf("settled: %+v", got)
	}
	// The watch did not bring it: it is replaced.
	c.awaited(t, 2*time.Second)
	before := two.bucket.Status().Watches
	c.advance(2 * time.Second)
	c.awaited(t, 50*time.Millisecond)
	c.advance(50 * time.Millisecond)
	two.until("there is a new watch", func() bool { return two.bucket.Status().Watches > before })
}

func TestAPeerKnowsARevisionThatIsLacking(t *testing.T) {
	s := startNATS(t, nil)
	m, c := newMesh(t, s), newClock()
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	two := m.start("web2", options{clock: c})
	two.untilState(bucket.Live)
	m.mu.Lock()
	m.deaf["web2"] = true
	m.mu.Unlock()
	two.deafenWatch(s)
	a := one.create("a")
	two.bucket.PeerRevision("web1", one.bucket.Revision())
	c.awaited(t, 2*time.Second)
	c.advance(2 * time.Second)
	c.awaited(t, 50*time.Millisecond)
	c.advance(50 * time.Millisecond)
	two.untilTitled(a.ID, "a")
}

// The channel of a watch is closed: the subscription has ended, for whatever reason.
func TestTheWatchEnds(t *testing.T) {
	s := startNATS(t, nil)
	_, nodes := three(t, s)
	before := nodes[1].bucket.Status().Watches
	nodes[1].endWatch(s)
	a := nodes[0].create("a")
	nodes[1].untilTitled(a.ID, "a")
	nodes[1].until("there is a new watch", func() bool { return nodes[1].bucket.Status().Watches > before })
}

func TestNothingIsLeftBehind(t *testing.T) {
	nothingLeft(t)
	s := startNATS(t, nil)
	_, nodes := three(t, s)
	_, js := s.connect()
	for range 3 {
		for _, n := range nodes {
			before := n.bucket.Status().Watches
			n.endWatch(s)
			n.until("there is a new watch", func() bool { return n.bucket.Status().Watches > before })
		}
	}
	a := nodes[0].create("a")
	for _, n := range nodes {
		n.untilTitled(a.ID, "a")
		// That of the watch, and the one for all answers of JetStream.
		n.until("two subscriptions are left", func() bool { return n.conn.NumSubscriptions() == 2 })
	}
	untilConsumers(t, js, len(nodes))
	for _, n := range nodes {
		n.stop()
	}
	untilConsumers(t, js, 0)
}

// NATS has lost what a peer had put: it is not looked for again and again for ever.
func TestANoticeOfWhatIsLost(t *testing.T) {
	c := newClock()
	one := newMesh(t, startNATS(t, nil)).start("web1", options{clock: c})
	one.untilState(bucket.Live)
	a := one.create("a")
	one.until("the watch has brought it", one.bucket.HasAll) // else that is what makes a new one
	before := one.bucket.Status().Watches
	one.bucket.Told("ghost", seal.KindChanged, bucket.Notice("app."+a.ID, 1_000_000))
	advancing(c, 50*time.Millisecond, one.when(func() bool { return one.bucket.Noticed() == 0 }))
	if got := one.bucket.Status().Watches; got != before {
		t.Errorf("%d watches, there were %d: the peer is not live", got, before)
	}
}

// Under a load of changes the newest one is always still on its way: that is no reason for a
// new watch, and for a pause before it.
func TestTheNewestChangeIsAlwaysOnItsWay(t *testing.T) {
	s := startNATS(t, nil)
	m, c := newMesh(t, s), newClock()
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	two := m.start("web2", options{clock: c})
	two.untilState(bucket.Live)
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	before := two.bucket.Status().Watches
	for i := range 5 {
		ahead := two.bucket.Revision() + 1
		two.bucket.PeerRevision("web1", ahead)
		if i == 0 {
			c.awaited(t, 2*time.Second)
		}
		two.bucket.PeerRevision("web1", ahead+1) // before that one is there
		one.rename(a, fmt.Sprint(i))
		two.untilTitled(a.ID, fmt.Sprint(i))
	}
	c.advance(2 * time.Second)
	c.awaited(t, 2*time.Second) // now for the last one
	if got := two.bucket.Status().Watches; got != before {
		t.Errorf("%d watches, there were %d", got, before)
	}
}

// Nobody waits for a bucket that has ended.
func TestWhatWaitsEndsWithTheBucket(t *testing.T) {
	s := startNATS(t, nil)
	one := newMesh(t, s).start("web1", options{clock: newClock()})
	one.untilState(bucket.Live)
	a := one.create("a")
	s.Stop()
	one.untilProblem(bucket.NotConnected)
	done := make(chan error)
	go func() {
		_, err := one.apps.Rename(a.ID, "b")
		done <- err
	}()
	go func() { done <- one.bucket.Restore(context.Background()) }()
	one.leave()
	_, later := one.apps.Rename(a.ID, "b")
	for _, err := range []error{<-done, <-done, later, one.bucket.Take(context.Background())} {
		var problem *bucket.ProblemError
		if !errors.As(err, &problem) || problem.Code != bucket.Ended {
			t.Errorf("it ended with %v", err)
		}
	}
}

// A disk that stalls does not keep a node from leaving.
func TestTheBucketEndsAlthoughTheDiskStalls(t *testing.T) {
	m, c := newMesh(t, startNATS(t, nil)), newClock()
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	two := m.start("web2", options{clock: c})
	two.untilState(bucket.Live)
	stalls := make(chan struct{})
	defer close(stalls)
	two.mu.Lock()
	two.stalls = stalls
	two.mu.Unlock()
	a := one.create("a")
	revision := one.bucket.Revision()
	two.until("it has the record", func() bool { return two.bucket.Revision() >= revision })
	left := make(chan struct{})
	go func() {
		two.leave()
		close(left)
	}()
	advancing(c, time.Second, left)
	if two.apps.Version(a.ID) != 0 {
		t.Error("the disk did not stall")
	}
}
