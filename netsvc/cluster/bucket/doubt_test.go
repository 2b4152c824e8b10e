package bucket_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
)

// hold has changes of apps come to the test in place of the bucket, until let go.
func (s *natsServer) hold() (held *nats.Subscription, letGo func()) {
	s.t.Helper()
	return s.holdSubject(subject("app.*"), "held.$1")
}

// holdSubject has what goes to one subject go to another one, where the test gets it.
func (s *natsServer) holdSubject(from, to string) (held *nats.Subscription, letGo func()) {
	s.t.Helper()
	conn, _ := s.connect()
	held, err := conn.SubscribeSync("held.>")
	if err == nil {
		err = conn.Flush()
	}
	account := s.Running().GlobalAccount()
	if err == nil {
		err = account.AddMapping(from, to)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return held, func() { account.RemoveMapping(from) }
}

// garble answers in place of JetStream what nobody can read: whether it was stored is not known.
func garble(t *testing.T, put *nats.Msg) {
	t.Helper()
	if err := put.Respond([]byte("garbage")); err != nil {
		t.Fatal(err)
	}
}

// patiently is three nodes, the first of which waits for JetStream as long as a test does.
func patiently(t *testing.T, s *natsServer) (m *mesh, nodes []*node) {
	t.Helper()
	m = newMesh(t, s)
	for i := range 3 {
		o := options{}
		if i == 0 {
			o.requestTime = patience
		}
		n := m.start(fmt.Sprintf("web%d", i+1), o)
		n.untilState(bucket.Live)
		nodes = append(nodes, n)
	}
	return m, nodes
}

// underWay makes a change and returns where its end is told.
func underWay(change func() (*app.App, error)) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := change()
		done <- err
	}()
	return done
}

func next(t *testing.T, held *nats.Subscription) *nats.Msg {
	t.Helper()
	m, err := held.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// noDirectGets has nobody answer what is in the bucket.
func (s *natsServer) noDirectGets() {
	s.t.Helper()
	_, js := s.connect()
	there, err := js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	config := there.CachedInfo().Config
	config.AllowDirect = false
	if _, err := js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// store has the bucket take what was held.
func (s *natsServer) store(key string, put *nats.Msg) (revision uint64) {
	s.t.Helper()
	_, js := s.connect()
	return publish(s.t, js, key, put.Data, put.Header)
}

// The answer of JetStream was lost, and what it was asked to store is there.
func TestAPutThatNobodyConfirmedCounts(t *testing.T) {
	s := startNATS(t, nil)
	_, nodes := patiently(t, s)
	one, two := nodes[0], nodes[1]
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	held, letGo := s.hold()
	done := underWay(func() (*app.App, error) { return one.apps.RotateServerKey(a.ID, time.Hour) })
	put := next(t, held)
	letGo()
	s.store("app."+a.ID, put)
	garble(t, put)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilVersion(a.ID, 2)
	}
}

// A change was stored, nobody said so, and another node has changed the app since: the bucket
// keeps only that, and it cannot be told whether the change is in it. Made anew, it might be
// there twice.
func TestAnotherNodeWasThereBeforeTheAnswer(t *testing.T) {
	s := startNATS(t, nil)
	m, nodes := patiently(t, s)
	one, two := nodes[0], nodes[1]
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	m.mu.Lock()
	m.deaf["web1"] = true
	m.mu.Unlock()
	one.deafenWatch(s)
	held, letGo := s.hold()
	done := underWay(func() (*app.App, error) { return one.apps.RotateServerKey(a.ID, time.Hour) })
	put := next(t, held)
	letGo()
	s.store("app."+a.ID, put)
	two.untilVersion(a.ID, 2)
	two.rename(a, "b")
	garble(t, put)
	if err := <-done; !errors.Is(err, app.ErrOutcomeUnknown) {
		t.Errorf("the change: %v", err)
	}
	for _, n := range nodes {
		n.untilVersion(a.ID, 3)
		if now, _ := n.apps.Get(a.ID); len(now.ServerKeys) != 2 || now.Title != "b" {
			t.Errorf("%s: %d keys, title %q", n.name, len(now.ServerKeys), now.Title)
		}
	}
}

// A change was stored, and all that this node hears is that another record is there now. It
// is its own: made anew, it would be there twice.
func TestTheOwnRecordIsNotTakenForAnothers(t *testing.T) {
	s := startNATS(t, nil)
	c := newClock()
	one := newMesh(t, s).start("web1", options{clock: c, requestTime: patience})
	one.untilState(bucket.Live)
	a := one.create("a")
	s.noDirectGets()
	held, letGo := s.hold()
	done := underWay(func() (*app.App, error) { return one.apps.RotateServerKey(a.ID, time.Hour) })
	put := next(t, held)
	letGo()
	refusal := `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"},"stream":"","seq":0}`
	if err := put.Respond([]byte(refusal)); err != nil {
		t.Fatal(err)
	}
	c.awaited(t, 50*time.Millisecond)
	revision := s.store("app."+a.ID, put)
	one.until("it is seen", func() bool { return one.bucket.Revision() >= revision })
	c.advance(50 * time.Millisecond)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	now, _ := one.apps.Get(a.ID)
	if got := one.apps.Version(a.ID); got != 2 || len(now.ServerKeys) != 2 {
		t.Errorf("version %d with %d keys, want 2 with 2", got, len(now.ServerKeys))
	}
}

// Nobody says what became of a change: it may come to be there later. Who made it must not
// hear that nothing was changed.
func TestAChangeThatNobodyAnswersIsInDoubt(t *testing.T) {
	s := startNATS(t, nil)
	c := newClock()
	one := newMesh(t, s).start("web1", options{clock: c, requestTime: 200 * time.Millisecond})
	one.untilState(bucket.Live)
	a := one.create("a")
	held, letGo := s.hold()
	done := underWay(func() (*app.App, error) { return one.apps.Rename(a.ID, "b") })
	put := next(t, held)
	err := advancing(c, 10*time.Second, done)
	var problem *bucket.ProblemError
	if !errors.Is(err, app.ErrOutcomeUnknown) || errors.Is(err, app.ErrNotAgreed) || !errors.As(err, &problem) {
		t.Errorf("the change: %v", err)
	}
	letGo()
	s.store("app."+a.ID, put)
	one.untilLater(c, "it is there", func() bool { return one.apps.Version(a.ID) == 2 })
}

// What was refused was not stored, whatever happened.
func TestAChangeThatIsRefusedIsNotInDoubt(t *testing.T) {
	s := startNATS(t, nil)
	one := newMesh(t, s).start("web1", options{requestTime: patience})
	one.untilState(bucket.Live)
	a := one.create("a")
	for _, answers := range []struct {
		first  bool // there is one that was not answered before
		unsure bool
	}{{false, false}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", answers), func(t *testing.T) {
			held, letGo := s.hold()
			defer letGo()
			done := underWay(func() (*app.App, error) { return one.apps.Rename(a.ID, "b") })
			put := next(t, held)
			if answers.first {
				garble(t, put)
				put = next(t, held) // it asks once more after a while
			}
			refusal := `{"error":{"code":400,"err_code":10047,"description":"insufficient storage"},"stream":"","seq":0}`
			if err := put.Respond([]byte(refusal)); err != nil {
				t.Fatal(err)
			}
			err := <-done
			if got := errors.Is(err, app.ErrOutcomeUnknown); got != answers.unsure || !errors.Is(err, bucket.ErrUnavailable) {
				t.Errorf("the change: %v", err)
			}
		})
	}
}

// Somebody took records out of the bucket with the tools of NATS: nothing says so, but that
// changes are refused. They are made nevertheless.
func TestARecordIsTakenOutByHand(t *testing.T) {
	s := startNATS(t, nil)
	_, nodes := three(t, s)
	one, two := nodes[0], nodes[1]
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	_, js := s.connect()
	there, err := js.Stream(t.Context(), stream)
	if err == nil {
		err = there.Purge(t.Context(), jetstream.WithPurgeSubject(subject("app."+a.ID)))
	}
	if err != nil {
		t.Fatal(err)
	}
	one.rename(a, "b")
	for _, n := range nodes {
		n.untilTitled(a.ID, "b")
	}
}

// The connection is closed for good while a change is on its way: it was sent.
func TestTheConnectionIsClosedUnderAChange(t *testing.T) {
	s := startNATS(t, nil)
	c := newClock()
	one := newMesh(t, s).start("web1", options{clock: c})
	one.untilState(bucket.Live)
	a := one.create("a")
	held, letGo := s.hold()
	defer letGo()
	done := underWay(func() (*app.App, error) { return one.apps.Rename(a.ID, "b") })
	next(t, held)
	one.conn.Close()
	if err := advancing(c, 10*time.Second, done); !errors.Is(err, app.ErrOutcomeUnknown) {
		t.Errorf("the change: %v", err)
	}
}

// The watch hears nothing of servers that cannot store any more: a change that nobody answered
// does, and what it met stands until they answer again.
func TestAChangeThatNobodyAnsweredShowsThatJetStreamIsMute(t *testing.T) {
	s := startNATS(t, nil)
	c := newClock()
	one := newMesh(t, s).start("web1", options{clock: c, requestTime: 200 * time.Millisecond})
	agrees := func() bool {
		st := one.bucket.Status()
		return st.State == bucket.Live && st.Problem == nil
	}
	one.untilLater(c, "it agrees with the bucket", agrees)
	_, store := s.hold()
	_, find := s.holdSubject("$JS.API.STREAM.INFO."+stream, "held.info") // as a new watch does
	done := underWay(func() (*app.App, error) { return one.apps.Create("a") })
	if err := advancing(c, 10*time.Second, done); !errors.Is(err, bucket.ErrUnavailable) {
		t.Fatalf("a change that nobody answers: %v", err)
	}
	if st := one.bucket.Status(); st.Problem == nil || st.Problem.Code != bucket.NoAnswer || st.State != bucket.Live {
		t.Errorf("afterwards it is %s, and the matter is: %v", st.State, st.Problem)
	}
	store()
	find()
	one.untilLater(c, "it agrees with the bucket", agrees)
}
