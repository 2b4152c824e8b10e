package bucket_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
)

// sealedWith is with which key each record of the bucket is sealed.
func sealedWith(t *testing.T, js jetstream.JetStream) map[string]seal.KeyID {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), "pns4ones_main")
	if err != nil {
		t.Fatal(err)
	}
	names, err := kv.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]seal.KeyID)
	for _, name := range names {
		head, err := seal.ReadHead(get(t, js, name))
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = head.Key
	}
	return keys
}

// allSealedWith fails the test unless there are so many records, all of them sealed with a key.
func allSealedWith(t *testing.T, js jetstream.JetStream, key seal.KeyID, records int) {
	t.Helper()
	keys := sealedWith(t, js)
	for name, with := range keys {
		if with != key {
			t.Errorf("%s is sealed with %s, want %s", name, with, key)
		}
	}
	if len(keys) != records {
		t.Errorf("there are %d records, want %d", len(keys), records)
	}
}

func (n *node) untilDone() {
	n.t.Helper()
	n.until("all is sealed with its key", func() bool { return n.bucket.Status().Sealing.Done() })
}

func TestTheKeyOfTheClusterIsChanged(t *testing.T) {
	s := startNATS(t, nil)
	m, c := newMesh(t, s), newClock()
	old, new := sealtest.Text(t), sealtest.Text(t)
	m.keys = sealtest.Parse(t, old)
	one := m.start("web1", options{clock: c})
	one.untilState(bucket.Live)
	two, three := m.start("web2", options{}), m.start("web3", options{})
	nodes := []*node{one, two, three}
	a, removed := one.create("a"), one.create("removed")
	if err := one.apps.Remove(removed.ID); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilState(bucket.Live)
		n.untilTitled(a.ID, "a")
		n.untilVersion(removed.ID, 2)
	}
	_, js := s.connect()
	for _, n := range nodes {
		n.useKeys(sealtest.Parse(t, old, new))
		n.untilDone()
	}
	// Only when all seal with the new one is it made the key of what is there.
	both := sealtest.Parse(t, new, old)
	one.useKeys(both)
	two.useKeys(both)
	one.until("it waits for the third one", func() bool { return slices.Equal(one.bucket.Status().Sealing.Waiting, []string{"web3"}) })
	two.until("it knows what is sealed otherwise", func() bool { return two.bucket.Status().Sealing.Others == 3 })
	for range 3 {
		c.awaited(t, time.Second)
		c.advance(time.Second)
	}
	c.awaited(t, time.Second) // it has looked, and goes on waiting
	allSealedWith(t, js, m.keys.ID(), 3)

	three.useKeys(both)
	two.untilDone()
	three.untilDone()
	allSealedWith(t, js, both.ID(), 3)
	for _, n := range nodes {
		n.useKeys(sealtest.Parse(t, new))
	}
	m.keys = sealtest.Parse(t, new)
	late := m.start("web4", options{})
	late.untilState(bucket.Live)
	two.rename(a, "b")
	for _, n := range append(nodes, late) {
		n.untilTitled(a.ID, "b")
		n.untilVersion(a.ID, 2) // to be sealed again was no change
		n.untilVersion(removed.ID, 2)
		n.until("all is well", func() bool {
			s := n.bucket.Status()
			return s.State == bucket.Live && s.Problem == nil && s.RolledBack == nil && s.Unapplied == 0 && s.Sealing.Done()
		})
	}
}

// A node was away while the cluster changed its key. It has the new one, but seals with the old
// one still: it must not seal back what the others, who may have dropped the old one, can read.
func TestANodeThatWasAwayDoesNotSealBack(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	old, new := sealtest.Text(t), sealtest.Text(t)
	before, after := sealtest.Parse(t, old, new), sealtest.Parse(t, new, old)
	m.keys = before
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	away := m.start("web1", options{path: path, fill: creating("a")})
	away.untilState(bucket.Live)
	a := away.apps.List()[0]
	other := m.start("web2", options{})
	other.untilState(bucket.Live)
	away.stop()
	other.useKeys(after)
	other.untilDone()
	other.stop()

	away = m.start("web1", options{path: path})
	away.untilState(bucket.Live)
	away.until("it has been left behind", func() bool {
		s := away.bucket.Status().Sealing
		return s.Left && s.Known && !s.Done() && s.Others == 2
	})
	_, js := s.connect()
	allSealedWith(t, js, after.ID(), 2)
	away.rename(a, "b")
	if got := sealedWith(t, js)["app."+a.ID]; got != before.ID() {
		t.Errorf("its change is sealed with %s", got)
	}
	away.useKeys(after)
	away.untilDone()
	allSealedWith(t, js, after.ID(), 2)
	away.untilVersion(a.ID, 2)
}

// A node dies while it seals again: the next one, or itself, goes on.
func TestSealingAgainGoesOn(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	old, new := sealtest.Text(t), sealtest.Text(t)
	after := sealtest.Parse(t, new, old)
	m.keys = sealtest.Parse(t, old)
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	one := m.start("web1", options{path: path, fill: creating("a", "b", "c")})
	one.untilState(bucket.Live)
	_, js := s.connect()
	held, letGo := s.hold()
	one.useKeys(after)
	next(t, held) // the record meta was first
	one.stop()
	letGo()
	if keys := sealedWith(t, js); keys["meta"] != after.ID() || keys["app."+one.apps.List()[0].ID] == after.ID() {
		t.Errorf("when it died: %v", keys)
	}
	m.keys = after
	one = m.start("web1", options{path: path})
	one.untilState(bucket.Live)
	one.untilDone()
	allSealedWith(t, js, after.ID(), 4)
}

// A change was stored, nobody said so, and another node has sealed its record again since: it
// is the same change nevertheless, and made anew it would be there twice.
func TestTheOwnRecordIsKnownThoughItIsSealedAgain(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	old, new := sealtest.Text(t), sealtest.Text(t)
	m.keys = sealtest.Parse(t, old, new)
	one := m.start("web1", options{requestTime: patience})
	one.untilState(bucket.Live)
	a := one.create("a")
	one.deafenWatch(s)
	held, letGo := s.hold()
	done := underWay(func() (*app.App, error) { return one.apps.RotateServerKey(a.ID, time.Hour) })
	put := next(t, held)
	letGo()
	key := "app." + a.ID
	s.store(key, put)
	again, err := sealtest.Parse(t, new, old).ResealRecord("main", key, put.Data)
	if err != nil {
		t.Fatal(err)
	}
	s.store(key, &nats.Msg{Data: again})
	garble(t, put)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	now, _ := one.apps.Get(a.ID)
	if got := one.apps.Version(a.ID); got != 2 || len(now.ServerKeys) != 2 {
		t.Errorf("version %d with %d keys, want 2 with 2", got, len(now.ServerKeys))
	}
}

// A change that is tried again is sealed with the key that seals by then.
func TestAChangeThatIsTriedAgainIsSealedAnew(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	old, new := sealtest.Text(t), sealtest.Text(t)
	m.keys = sealtest.Parse(t, old)
	one := m.start("web1", options{requestTime: patience})
	one.untilState(bucket.Live)
	a := one.create("a")
	held, letGo := s.hold()
	defer letGo()
	done := underWay(func() (*app.App, error) { return one.apps.Rename(a.ID, "b") })
	put := next(t, held)
	after := sealtest.Parse(t, new, old)
	one.keys.Store(after) // what else happens then is not waited for
	garble(t, put)
	again := next(t, held)
	if head, err := seal.ReadHead(again.Data); err != nil || head.Key != after.ID() {
		t.Errorf("it is sealed with %s, %v; want %s", head.Key, err, after.ID())
	}
	refusal := `{"error":{"code":400,"err_code":10047,"description":"insufficient storage"},"stream":"","seq":0}`
	if err := again.Respond([]byte(refusal)); err != nil {
		t.Fatal(err)
	}
	<-done
}

// What the bucket says of itself cannot be read: the node says why, and what to do.
func TestABucketThatCannotBeRead(t *testing.T) {
	stranger := sealtest.Keys(t)
	for _, c := range []struct {
		name   string
		value  func(m *mesh) []byte
		header nats.Header
		code   bucket.Code
		says   string
	}{
		{"another key", func(*mesh) []byte { return stranger.SealRecord("main", "meta", []byte("{}")) }, nil,
			bucket.OtherKey, stranger.ID().String()},
		{"garbage", func(*mesh) []byte { return []byte("garbage") }, nil, bucket.Unreadable, "damaged"},
		{"the record of another key", func(m *mesh) []byte { return m.keys.SealRecord("main", "app", []byte("{}")) }, nil,
			bucket.Unreadable, "damaged"},
		{"nothing in it", func(m *mesh) []byte { return m.keys.SealRecord("main", "meta", []byte("{}")) }, nil,
			bucket.Unreadable, "damaged"},
		{"a delete marker", func(*mesh) []byte { return nil }, nats.Header{"KV-Operation": {"DEL"}}, bucket.BucketGone, "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startNATS(t, nil)
			m := newMesh(t, s)
			path := filepath.Join(t.TempDir(), "pns4ones.db")
			one := m.start("web1", options{path: path, fill: creating("a")})
			one.untilState(bucket.Live)
			one.stop()
			_, js := s.connect()
			publish(t, js, "meta", c.value(m), c.header)
			one = m.start("web1", options{path: path})
			new := m.start("web2", options{})
			for _, n := range []*node{one, new} {
				if p := n.untilProblem(c.code); !strings.Contains(p.Error(), c.says) || n.bucket.Status().State != bucket.Out {
					t.Errorf("%s: %v, %s", n.name, p, n.bucket.Status().State)
				}
			}
			if err := one.bucket.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, n := range []*node{one, new} {
				n.untilState(bucket.Live)
				n.until("it has all", func() bool { return slices.Equal(n.titles(), []string{"a"}) })
			}
		})
	}
}
