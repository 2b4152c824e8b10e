package bucket_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
)

// three is a cluster of three nodes.
func three(t *testing.T, s *natsServer) (m *mesh, nodes []*node) {
	t.Helper()
	m = newMesh(t, s)
	for i := range 3 {
		n := m.start(fmt.Sprintf("web%d", i+1), options{})
		n.untilState(bucket.Live)
		nodes = append(nodes, n)
	}
	return m, nodes
}

func TestAChangeIsOnAllNodes(t *testing.T) {
	_, nodes := three(t, startNATS(t, nil))
	one, two, three := nodes[0], nodes[1], nodes[2]
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	two.rename(a, "b")
	three.untilTitled(a.ID, "b")
	rotated, err := three.apps.RotateServerKey(a.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	one.untilVersion(a.ID, 3)
	now, _ := one.apps.Get(a.ID)
	if !app.Same(now, rotated, time.Now()) {
		t.Error("the app is not the same on the node that changed it and on another one")
	}
	token, err := three.apps.Authorize(rotated.ServerKeys[0].Key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.apps.CheckToken(token.Value); err != nil {
		t.Errorf("a token of one node on another one: %v", err)
	}
	if err := one.apps.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilTitled(a.ID, "")
		if got := n.apps.Version(a.ID); got != 4 {
			t.Errorf("%s: version %d, want 4", n.name, got)
		}
	}
	one.untilAnswered(a, 2)
	if got := one.bucket.Settle(t.Context(), a.ID); len(got.Pending) != 0 || got.Closed != 2 {
		t.Errorf("settled: %+v, want 2 closed and nothing pending", got)
	}
	if got := one.bucket.Settle(t.Context(), a.ID); len(got.Pending) != 0 || got.Closed != 0 {
		t.Errorf("settled again: %+v, want nothing", got)
	}
}

func TestManyWritersChangeOneApp(t *testing.T) {
	m := newMesh(t, startNATS(t, nil))
	var nodes []*node
	for i := range 5 {
		n := m.start(fmt.Sprintf("web%d", i+1), options{})
		n.untilState(bucket.Live)
		nodes = append(nodes, n)
	}
	a := nodes[0].create("a")
	for _, n := range nodes {
		n.untilVersion(a.ID, 1)
	}
	const each = 5
	made := make(chan int, len(nodes))
	for _, n := range nodes {
		go func() {
			done := 0
			for range each {
				_, err := n.apps.ResetToken(a.ID)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, app.ErrConflict):
					t.Errorf("%s: %v", n.name, err)
				}
			}
			made <- done
		}()
	}
	version := uint64(1)
	for range nodes {
		version += uint64(<-made)
	}
	if version == 1 {
		t.Fatal("no change at all was made")
	}
	first := nodes[0]
	for _, n := range nodes {
		n.untilVersion(a.ID, version)
		first.untilVersion(a.ID, version)
		here, _ := n.apps.Get(a.ID)
		there, _ := first.apps.Get(a.ID)
		if !app.Same(here, there, time.Now()) {
			t.Errorf("%s has another app than %s", n.name, first.name)
		}
	}
}

func TestOneOfManySeeds(t *testing.T) {
	for _, same := range []bool{true, false} {
		t.Run(fmt.Sprintf("same apps: %v", same), func(t *testing.T) {
			m := newMesh(t, startNATS(t, nil))
			var nodes []*node
			for i := range 5 {
				fill := creating(fmt.Sprintf("of %d", i))
				if same {
					fill = nil
				}
				nodes = append(nodes, m.start(fmt.Sprintf("web%d", i+1), options{fill: fill}))
			}
			var live []*node
			for _, n := range nodes {
				n.until("it is decided", func() bool { return n.bucket.Status().State != bucket.Joining })
				switch s := n.bucket.Status(); {
				case s.State == bucket.Live:
					live = append(live, n)
					if n.apps.Membership().Cluster != live[0].apps.Membership().Cluster {
						t.Errorf("%s is in another cluster than %s", n.name, live[0].name)
					}
				case s.Problem.Code != bucket.OwnApps || same:
					t.Errorf("%s: %+v", n.name, s)
				}
			}
			if want := map[bool]int{true: len(nodes), false: 1}[same]; len(live) != want {
				t.Errorf("%d nodes are live, want %d", len(live), want)
			}
		})
	}
}

// A node died while it put its apps into the bucket: it goes on when it is back, the others
// wait for it.
func TestSeedingGoesOn(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	_, js := s.connect()
	meta := `{"cluster":"6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f","state":"seeding","by":"web2"}`
	makeBucket(t, js)
	put(t, js, "meta", m.keys.SealRecord("main", "meta", []byte(meta)))
	one := m.start("web1", options{})
	if p := one.untilProblem(bucket.Seeding); p.Node != "web2" || one.bucket.Status().State != bucket.Joining {
		t.Errorf("it waits for %q", p.Node)
	}
	two := m.start("web2", options{fill: creating("a", "b")})
	two.untilState(bucket.Live)
	one.untilState(bucket.Live)
	if got := one.titles(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("there is %q", got)
	}
	if one.apps.Membership().Cluster != two.apps.Membership().Cluster {
		t.Error("they are in two clusters")
	}
}

func TestWhatStrangersPutIsIgnored(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	a, other := one.create("a"), one.create("other")
	_, js := s.connect()
	old := get(t, js, "app."+a.ID)
	one.rename(a, "b")
	newest := get(t, js, "app."+a.ID)

	ignored := one.bucket.Status().Ignored
	for what, c := range map[string]struct {
		value  []byte
		header nats.Header
	}{
		"an old record":               {old, nil},
		"the record of another app":   {get(t, js, "app."+other.ID), nil},
		"no record":                   {[]byte("garbage"), nil},
		"nothing":                     {nil, nil},
		"a delete marker":             {nil, nats.Header{"KV-Operation": {"DEL"}}},
		"a purge marker":              {nil, nats.Header{"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}}},
		"a record of another cluster": {sealtest.Keys(t).SealRecord("main", "app."+a.ID, []byte("{}")), nil},
		"sealed, but no record":       {m.keys.SealRecord("main", "app."+a.ID, []byte("{}")), nil},
		"an impossible format":        {m.keys.SealRecord("main", "app."+a.ID, []byte(`{"v":-1}`)), nil},
	} {
		revision := publish(t, js, "app."+a.ID, c.value, c.header)
		one.until(what+" is seen", func() bool { return one.bucket.Status().Revision >= revision })
		if what != "an old record" {
			ignored++
		}
		one.until("it is said that the bucket is behind", func() bool {
			return slices.Contains(one.bucket.Status().RolledBack, a.ID)
		})
		if got, _ := one.apps.Get(a.ID); got == nil || got.Title != "b" {
			t.Errorf("%s: there is %v", what, got)
		}
		if got := one.bucket.Status().Ignored; got != ignored {
			t.Errorf("%s: %d ignored, want %d", what, got, ignored)
		}
	}
	for _, key := range []string{"x", "app.x", "app." + strings.ToUpper(a.ID)} {
		revision := publish(t, js, key, newest, nil)
		one.until("it is seen", func() bool { return one.bucket.Status().Revision >= revision })
	}
	if got := one.bucket.Status().Ignored; got != ignored+3 {
		t.Errorf("foreign keys: %d ignored, want %d", got, ignored+3)
	}
	// The next change makes the record good again.
	one.rename(a, "c")
	two := m.start("web2", options{})
	two.untilState(bucket.Live)
	two.untilTitled(a.ID, "c")
	if back := one.bucket.Status().RolledBack; back != nil {
		t.Errorf("still behind: %v", back)
	}
	// And what a stranger put under the key of an app that there is not is put over.
	third := "7c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f"
	publish(t, js, "app."+third, []byte("garbage"), nil)
	file := fmt.Sprintf("#c\n%s\n%064d\n%s\n", third, 3, clientKey)
	if _, err := one.apps.Import(strings.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	two.untilVersion(third, 1)
}

// A node that was upgraded has written something that this one cannot read. To put its own over
// that would undo it, and nobody would hear of it.
func TestWhatALaterVersionWroteIsNotPutOver(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	one := m.start("web1", options{})
	one.untilState(bucket.Live)
	a, other := one.create("a"), one.create("other")
	_, js := s.connect()
	before := get(t, js, "app."+a.ID)
	put(t, js, "app."+a.ID, m.keys.SealRecord("main", "app."+a.ID, []byte(`{"v":2,"version":7}`)))
	if p := one.untilProblem(bucket.Later); !slices.Equal(p.Apps, []string{a.ID}) {
		t.Errorf("the problem is %v", p)
	}
	if s := one.bucket.Status(); s.State != bucket.Live || s.RolledBack != nil {
		t.Errorf("it is %+v", s)
	}
	later := get(t, js, "app."+a.ID)
	var problem *bucket.ProblemError
	if _, err := one.apps.Rename(a.ID, "b"); !errors.As(err, &problem) || problem.Code != bucket.Later {
		t.Errorf("a change: %v", err)
	}
	if err := one.bucket.Restore(t.Context()); err != nil {
		t.Errorf("restore: %v", err)
	}
	if got := get(t, js, "app."+a.ID); !bytes.Equal(got, later) || one.apps.Version(other.ID) != 2 {
		t.Errorf("it was put over: %v; the other app has version %d, want 2", !bytes.Equal(got, later), one.apps.Version(other.ID))
	}
	if now, _ := one.apps.Get(a.ID); now.Title != "a" {
		t.Errorf("the title is %q", now.Title)
	}
	one.rename(other, "changed")
	put(t, js, "app."+a.ID, before)
	one.until("all is well", func() bool { return one.bucket.Status().Problem == nil })
}

func TestAnswersAreNotKeptForEver(t *testing.T) {
	c := newClock()
	one := newMesh(t, startNATS(t, nil)).start("web1", options{clock: c})
	one.untilState(bucket.Live)
	for i := range 3 {
		one.create(fmt.Sprint(i))
		c.advance(31 * time.Second)
	}
	if got := one.bucket.Collections(); got != 2 {
		t.Errorf("answers to %d changes are kept, want 2", got)
	}
}

func TestAChangeIsGivenUpInTheEnd(t *testing.T) {
	s := startNATS(t, nil)
	m, c := newMesh(t, s), newClock()
	one := m.start("web1", options{clock: c})
	one.untilState(bucket.Live)
	a := one.create("a")
	s.Stop()
	one.untilProblem(bucket.NotConnected)
	for _, advance := range []time.Duration{10 * time.Second, 0} { // at once, once it is away for long
		done := underWay(func() (*app.App, error) { return one.apps.Rename(a.ID, "b") })
		if advance > 0 {
			c.awaited(t, 10*time.Second)
			c.awaited(t, 50*time.Millisecond)
			c.advance(advance)
		}
		var problem *bucket.ProblemError
		err := <-done
		if !errors.Is(err, app.ErrNotAgreed) || !errors.As(err, &problem) || problem.Code != bucket.NotConnected {
			t.Errorf("the change: %v", err)
		}
	}
	if now, _ := one.apps.Get(a.ID); now.Title != "a" {
		t.Errorf("the title is %q", now.Title)
	}
	s.Start()
	one.until("it is back", func() bool { return one.bucket.Status().Problem == nil })
	one.rename(a, "c")
}

func TestAPeerThatDoesNotAnswerIsPending(t *testing.T) {
	m, c := newMesh(t, startNATS(t, nil)), newClock()
	one := m.start("web1", options{clock: c, live: func() []string { return []string{"web2", "ghost"} }})
	one.untilState(bucket.Live)
	two := m.start("web2", options{})
	two.untilState(bucket.Live)
	a := one.create("a")
	one.untilAnswered(a, 1)
	if got := one.settle(c, a); !slices.Equal(got.Pending, []string{"ghost"}) || got.Closed != 1 {
		t.Errorf("settled: %+v", got)
	}
}

// A record that the database does not take is tried again, and not confirmed before.
func TestARecordThatIsNotStoredIsTriedAgain(t *testing.T) {
	m, c := newMesh(t, startNATS(t, nil)), newClock()
	one := m.start("web1", options{clock: c})
	one.untilState(bucket.Live)
	two, three := m.start("web2", options{}), m.start("web3", options{})
	two.untilState(bucket.Live)
	three.untilState(bucket.Live)
	two.mu.Lock()
	two.fails = app.ErrNotStored
	two.mu.Unlock()
	a := one.create("a")
	two.untilProblem(bucket.NotStored)
	one.untilAnswered(a, 1)
	if got := one.settle(c, a); !slices.Equal(got.Pending, []string{"web2"}) {
		t.Errorf("settled: %+v", got)
	}
	if s := two.bucket.Status(); s.State != bucket.Live || s.Unapplied != 1 {
		t.Errorf("status: %+v", s)
	}
	two.mu.Lock()
	two.fails = nil
	two.mu.Unlock()
	two.untilTitled(a.ID, "a")
	two.until("all is well", func() bool { s := two.bucket.Status(); return s.Problem == nil && s.Unapplied == 0 })
}

func TestMissingRightsNameTheSubject(t *testing.T) {
	for _, c := range []struct{ deny, subject string }{
		{"$JS.API.STREAM.INFO.>", "$JS.API.STREAM.INFO.KV_pns4ones_main"},
		{"$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.CREATE.KV_pns4ones_main."},
		{"$KV.>", "$KV.pns4ones_main.meta"},
		{"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.CREATE.KV_pns4ones_main"},
	} {
		t.Run(c.deny, func(t *testing.T) {
			t.Parallel()
			s := startNATS(t, func(o *server.Options) {
				o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
					Publish:   &server.SubjectPermission{Allow: []string{">"}, Deny: []string{c.deny}},
					Subscribe: &server.SubjectPermission{Allow: []string{"pns4ones.main.>"}},
				}}}
			})
			one := newMesh(t, s).start("web1", options{nats: []nats.Option{nats.UserInfo("u", "p")},
				requestTime: 200 * time.Millisecond}) // NATS says it beside the answer, which never comes
			if p := one.untilProblem(bucket.NoRight); !strings.HasPrefix(p.Subject, c.subject) {
				t.Errorf("the subject is %q, want %q", p.Subject, c.subject)
			}
		})
	}
}

// The rights that the manual names suffice.
func TestTheRightsThatAreNeeded(t *testing.T) {
	s := startNATS(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "maker", Password: "p"},
			{Username: "u", Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{
					"pns4ones.main.>", "$KV.pns4ones_main.>", "$JS.API.STREAM.INFO.KV_pns4ones_main",
					"$JS.API.DIRECT.GET.KV_pns4ones_main.>", "$JS.API.CONSUMER.CREATE.KV_pns4ones_main.>",
					"$JS.API.CONSUMER.DELETE.KV_pns4ones_main.>", "$JS.FC.KV_pns4ones_main.>",
				}},
				Subscribe: &server.SubjectPermission{Allow: []string{"pns4ones.main.>"}},
			}},
		}
	})
	_, js := s.connect(nats.UserInfo("maker", "p"))
	makeBucket(t, js)
	m := newMesh(t, s)
	user := options{nats: []nats.Option{nats.UserInfo("u", "p")}}
	one, two := m.start("web1", user), m.start("web2", user)
	one.untilState(bucket.Live)
	two.untilState(bucket.Live)
	a := one.create("a")
	two.untilTitled(a.ID, "a")
	untilConsumers(t, js, 2)
	two.stop()
	untilConsumers(t, js, 1)
}

func TestWithoutJetStreamItIsTriedAgainLaterAndLater(t *testing.T) {
	s := startNATS(t, func(o *server.Options) { o.JetStream = false })
	c := newClock()
	one := newMesh(t, s).start("web1", options{clock: c})
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		pause = min(pause, 30*time.Second)
		c.awaited(t, pause)
		if pause == 30*time.Second {
			break
		}
		c.advance(pause)
	}
	one.untilProblem(bucket.NoAnswer)
	made := make(chan error)
	go func() {
		_, err := one.apps.Create("a")
		made <- err
	}()
	if err := advancing(c, 10*time.Second, made); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("a change: %v", err)
	}
}
