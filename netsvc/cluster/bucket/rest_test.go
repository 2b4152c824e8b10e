package bucket_test

import (
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
)

// restless is two nodes. The watch of the second, which has a clock of its own, has ended so often
// that it rests for a pause, a long one, before it begins another.
func restless(t *testing.T, pause time.Duration, o options) (s *natsServer, m *mesh, one, two *node, c *clock) {
	t.Helper()
	s = startNATS(t, nil)
	m, c = newMesh(t, s), newClock()
	one = m.start("web1", options{})
	one.untilState(bucket.Live)
	o.clock = c
	two = m.start("web2", o)
	two.untilState(bucket.Live)
	for short := 50 * time.Millisecond; short < pause; short = min(2*short, pause) {
		before := two.bucket.Status().Watches
		two.endWatch(s)
		c.awaited(t, short)
		c.advance(short)
		two.until("there is a new watch", func() bool { return two.bucket.Status().Watches > before })
	}
	return s, m, one, two, c
}

// untilFetched waits until a node has an app that a peer has told of. Its clock goes on when it looks for
// that, and again, each time later, if NATS did not answer in time.
func (n *node) untilFetched(c *clock, a *app.App) {
	n.t.Helper()
	has := func() bool {
		got, _ := n.apps.Get(a.ID)
		return got != nil && got.Title == a.Title
	}
	over := time.After(patience)
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		c.awaited(n.t, pause)
		c.advance(pause)
		for !c.waits(2 * pause) {
			moved, asked := n.bucket.Moved(), c.nextAsked()
			if has() {
				return
			}
			select {
			case <-moved:
			case <-asked:
			case <-over:
				n.t.Fatalf("%s does not get the app; it is %+v", n.name, n.bucket.Status())
			}
		}
	}
}

// While a node has no watch, what peers put is there in no time all the same.
func TestANoticeIsEnoughWithoutAWatch(t *testing.T) {
	s, _, one, two, c := restless(t, 1600*time.Millisecond, options{requestTime: patience})
	before := two.bucket.Status().Watches
	two.endWatch(s)
	c.awaited(t, 1600*time.Millisecond)
	a := one.create("a")
	two.untilFetched(c, a)
	one.untilAnswered(a, 1)
	if got := two.bucket.Status().Watches; got != before {
		t.Errorf("%d watches, there were %d: it did not rest", got, before)
	}
}

// A peer has put something, and its notice was lost: a long rest is not waited for.
func TestARestEndsWhenThereIsSomethingNew(t *testing.T) {
	s, m, one, two, c := restless(t, 6400*time.Millisecond, options{requestTime: patience})
	m.mu.Lock()
	m.deaf["web2"] = true
	m.mu.Unlock()
	two.endWatch(s)
	c.awaited(t, 6400*time.Millisecond)
	a := one.create("a")
	two.bucket.PeerRevision("web1", one.bucket.Revision())
	c.awaited(t, 2*time.Second)
	c.advance(2 * time.Second)
	two.untilTitled(a.ID, "a")
}

// What one server was asked in vain does not keep the next one from being asked.
func TestAnotherServerIsAskedAtOnce(t *testing.T) {
	s, _, _, two, c := restless(t, 30*time.Second, options{requestTime: 3 * patience})
	before := two.bucket.Status().Watches
	two.endWatch(s)
	c.awaited(t, 30*time.Second)
	asked, answers := s.holdSubject("$JS.API.STREAM.INFO."+stream, "held.info")
	c.advance(30 * time.Second)
	next(t, asked)
	answers()
	if err := two.conn.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	two.until("there is a new watch", func() bool { return two.bucket.Status().Watches > before })
	two.endWatch(s)
	c.awaited(t, 50*time.Millisecond) // and not half a minute
}
