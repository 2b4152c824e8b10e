package bucket_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
)

const clientKey = "IAAAABAAAAAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8="

func TestANodeWithAppsOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		name string
		join func(*node) error
		want []string
	}{
		{"merge", func(n *node) error { return n.bucket.Merge(n.t.Context()) }, []string{"common", "first", "own"}},
		{"take", func(n *node) error { return n.bucket.Take(n.t.Context()) }, []string{"common", "first"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMesh(t, startNATS(t, nil))
			one := m.start("web1", options{fill: creating("first", "common")})
			one.untilState(bucket.Live)
			common := one.apps.List()[1]
			two := m.start("web2", options{fill: func(r *app.Registry) {
				creating("own")(r)
				file := "#other title\n" + common.ID + "\n" + common.ServerKeys[0].Key + "\n" + common.ClientKeys[0].Key + "\n"
				importFile(t, r, file)
			}})
			if p := two.untilProblem(bucket.OwnApps); len(p.Apps) != 2 {
				t.Errorf("own apps: %v", p.Apps)
			}
			if _, err := two.apps.Create("refused"); !errors.Is(err, bucket.ErrUnavailable) {
				t.Errorf("a change: %v", err)
			}
			if got := two.titles(); !slices.Equal(got, []string{"other title", "own"}) {
				t.Errorf("before: %q", got)
			}
			if err := two.bucket.Restore(t.Context()); !errors.Is(err, bucket.ErrNeverMember) {
				t.Errorf("restore: %v", err)
			}
			if err := c.join(two); err != nil {
				t.Fatal(err)
			}
			two.untilState(bucket.Live)
			for _, n := range []*node{one, two} {
				n.until("it has all", func() bool { return slices.Equal(n.titles(), c.want) })
			}
			if want := map[string]int{"take": 1}[c.name]; two.backups != want {
				t.Errorf("%d backups, want %d", two.backups, want)
			}
			if err := c.join(two); !errors.Is(err, bucket.ErrNotNeeded) {
				t.Errorf("once more: %v", err)
			}
			a := two.create("after")
			one.untilTitled(a.ID, "after")
		})
	}
}

func importFile(t *testing.T, r *app.Registry, file string) {
	t.Helper()
	report, err := r.Import(strings.NewReader(file))
	if err != nil || len(report.Imported) == 0 {
		t.Fatalf("imported %v, %v", report, err)
	}
}

func TestMergeRefusesOtherAppsOfTheSameIDOrKey(t *testing.T) {
	m := newMesh(t, startNATS(t, nil))
	one := m.start("web1", options{fill: creating("first", "second")})
	one.untilState(bucket.Live)
	first, second := one.apps.List()[0], one.apps.List()[1]
	const otherID = "7c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f"
	two := m.start("web2", options{fill: func(r *app.Registry) {
		importFile(t, r, "#same id\n"+first.ID+"\n"+otherKey+"\n"+clientKey+"\n")
		importFile(t, r, "#same key\n"+otherID+"\n"+second.ServerKeys[0].Key+"\n"+clientKey+"\n")
		creating("own")(r)
	}})
	two.untilProblem(bucket.OwnApps)
	var refused *bucket.MergeError
	err := two.bucket.Merge(t.Context())
	if !errors.As(err, &refused) || !slices.Equal(refused.Apps, []string{first.ID, otherID}) {
		t.Errorf("merge: %v", err)
	}
	if got := one.titles(); len(got) != 2 {
		t.Errorf("something was merged: %q", got)
	}
	if two.bucket.Status().State != bucket.Out || len(two.apps.List()) != 3 {
		t.Errorf("the node: %+v, %q", two.bucket.Status(), two.titles())
	}
}

const otherKey = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1"

// The same database on two nodes, or one that joined and does not know it yet.
func TestANodeWithTheSameAppsJoins(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	one := m.start("web1", options{path: path, fill: creating("a", "b")})
	alone, err := one.apps.Backup()
	if err != nil {
		t.Fatal(err)
	}
	one.untilState(bucket.Live)
	copied := filepath.Join(t.TempDir(), "pns4ones.db")
	if err := os.WriteFile(copied, alone, 0o600); err != nil {
		t.Fatal(err)
	}
	two := m.start("web2", options{path: copied})
	two.untilState(bucket.Live)
	if one.apps.Membership().Cluster != two.apps.Membership().Cluster {
		t.Error("they are in two clusters")
	}
}

func TestTheBucketIsGone(t *testing.T) {
	t.Parallel() // it takes the silence of a watch to be noticed
	s := startNATS(t, nil)
	_, nodes := three(t, s)
	one, two := nodes[0], nodes[1]
	a, removed := one.create("a"), one.create("removed")
	if err := one.apps.Remove(removed.ID); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilTitled(a.ID, "a")
		n.untilVersion(removed.ID, 2)
	}
	_, js := s.connect()
	if err := js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilProblem(bucket.BucketGone)
		if got := n.titles(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s: there is %q", n.name, got)
		}
	}
	if _, err := two.apps.Rename(a.ID, "b"); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("a change: %v", err)
	}
	if err := two.bucket.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilState(bucket.Live)
		n.untilVersion(a.ID, 2)
		n.untilVersion(removed.ID, 3)
		if back := n.bucket.Status().RolledBack; back != nil {
			t.Errorf("%s: rolled back %v", n.name, back)
		}
	}
	two.rename(a, "b")
	one.untilTitled(a.ID, "b")
}

// NATS comes back with an older state of its disk.
func TestTheBucketIsRolledBack(t *testing.T) {
	s := startNATS(t, nil)
	_, nodes := three(t, s)
	one, two := nodes[0], nodes[1]
	a := one.create("a")
	for _, n := range nodes {
		n.untilTitled(a.ID, "a")
	}
	s.Stop()
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(s.Options.StoreDir)); err != nil {
		t.Fatal(err)
	}
	s.Start()
	one.rename(a, "b")
	lost := one.create("lost")
	for _, n := range nodes {
		n.untilTitled(a.ID, "b")
		n.untilTitled(lost.ID, "lost")
	}
	s.Stop()
	s.Options.StoreDir = older
	s.Start()
	for _, n := range nodes {
		want := []string{a.ID, lost.ID}
		slices.Sort(want)
		n.until("it says that the bucket is behind", func() bool {
			return slices.Equal(n.bucket.Status().RolledBack, want)
		})
		n.untilTitled(a.ID, "b")
	}
	// The app can be changed nevertheless.
	two.rename(a, "c")
	for _, n := range nodes {
		n.untilTitled(a.ID, "c")
	}
	if err := two.bucket.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.until("it is as it was", func() bool { return n.bucket.Status().RolledBack == nil })
		if got := n.titles(); !slices.Equal(got, []string{"c", "lost"}) {
			t.Errorf("%s: there is %q", n.name, got)
		}
	}
}

func TestTheBucketIsOfAnotherCluster(t *testing.T) {
	first, second := startNATS(t, nil), startNATS(t, nil)
	m := newMesh(t, first)
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	moving := m.start("web1", options{path: path, fill: creating("a")})
	moving.untilState(bucket.Live)
	moving.stop()

	m.server = second
	there := m.start("web2", options{fill: creating("b")})
	there.untilState(bucket.Live)
	b := there.apps.List()[0]
	moving = m.start("web1", options{path: path})
	moving.untilProblem(bucket.OtherCluster)
	if err := moving.bucket.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	moving.untilState(bucket.Live)
	there.until("it has all that was restored", func() bool { return there.bucket.Revision() >= moving.bucket.Revision() })
	there.untilProblem(bucket.OtherCluster)
	if got := there.titles(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("the other one has %q", got)
	}
	if err := there.bucket.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	there.untilState(bucket.Live)
	for _, n := range []*node{moving, there} {
		n.until("it has what was restored", func() bool { return slices.Equal(n.titles(), []string{"a"}) })
		n.untilTitled(b.ID, "")
	}
}

// The bucket has become another cluster's, and a record of that is here before the word that
// it has: it holds for that cluster only.
func TestARecordOfAnotherClusterIsNotTakenOver(t *testing.T) {
	s := startNATS(t, nil)
	m, nodes := three(t, s)
	one := nodes[0]
	a := one.create("a")
	for _, n := range nodes {
		n.untilTitled(a.ID, "a") // before the bucket has only what comes next
	}
	_, js := s.connect()
	key := "app." + a.ID
	put(t, js, key, m.keys.SealRecord("main", key,
		[]byte(`{"v":1,"cluster":"6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f","version":9,"by":"web9","removed":true}`)))
	for _, n := range nodes {
		n.until("it says that the bucket is behind", func() bool {
			return slices.Equal(n.bucket.Status().RolledBack, []string{a.ID})
		})
		if got := n.apps.Version(a.ID); got != 1 || !slices.Equal(n.titles(), []string{"a"}) {
			t.Errorf("%s: version %d, there is %q", n.name, got, n.titles())
		}
	}
	one.rename(a, "b")
	for _, n := range nodes {
		n.untilTitled(a.ID, "b")
		n.until("all is well", func() bool { s := n.bucket.Status(); return s.RolledBack == nil && s.Unapplied == 0 })
	}
}

// A node died while it restored the bucket.
func TestRestoringGoesOn(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	one := m.start("web1", options{path: path, fill: creating("a")})
	one.untilState(bucket.Live)
	cluster := one.apps.Membership().Cluster.String()
	one.stop()
	_, js := s.connect()
	meta := `{"cluster":"` + cluster + `","state":"seeding","by":"web1"}`
	put(t, js, "meta", m.keys.SealRecord("main", "meta", []byte(meta)))
	two := m.start("web2", options{})
	two.untilProblem(bucket.Seeding)
	one = m.start("web1", options{path: path})
	one.untilState(bucket.Live)
	two.untilState(bucket.Live)
	if got := two.titles(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("there is %q", got)
	}
}

// A node died while it put its apps into the bucket, and never comes back, or too late.
func TestSeedingIsTakenOver(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	_, js := s.connect()
	makeBucket(t, js)
	meta := `{"cluster":"6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f","state":"seeding","by":"web9"}`
	put(t, js, "meta", m.keys.SealRecord("main", "meta", []byte(meta)))
	late := filepath.Join(t.TempDir(), "pns4ones.db")
	apps, err := app.Open(late, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	creating("put", "not put")(apps)
	first := apps.List()[0]
	record, err := first.MarshalRecord()
	if err == nil {
		err = apps.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	key := "app." + first.ID
	put(t, js, key, m.keys.SealRecord("main", key, []byte(
		`{"v":1,"cluster":"6c1b8f0e-2f4e-4d3a-9c57-0a1b2c3d4e5f","version":1,"by":"web9","app":`+string(record)+`}`)))

	one, two := m.start("web1", options{fill: creating("own")}), m.start("web2", options{})
	one.untilProblem(bucket.Seeding)
	two.untilProblem(bucket.Seeding)
	var problem *bucket.ProblemError
	if err := one.bucket.Take(t.Context()); !errors.As(err, &problem) || problem.Code != bucket.Seeding {
		t.Errorf("take: %v", err)
	}
	if err := one.bucket.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{one, two} {
		n.untilState(bucket.Live)
		n.until("it has all", func() bool { return slices.Equal(n.titles(), []string{"own", "put"}) })
	}
	nine := m.start("web9", options{path: late})
	if p := nine.untilProblem(bucket.OwnApps); len(p.Apps) != 1 {
		t.Errorf("own apps: %v", p.Apps)
	}
	if err := nine.bucket.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	two.until("it has all", func() bool { return slices.Equal(two.titles(), []string{"not put", "own", "put"}) })
}

func TestWhatWasChangedAloneIsDecidedOn(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	one := m.start("web1", options{path: path, fill: creating("a", "b")})
	one.untilState(bucket.Live)
	two := m.start("web2", options{})
	two.untilState(bucket.Live)
	a := one.apps.List()[0]
	one.stop()
	one = m.start("web1", options{path: path, fill: func(r *app.Registry) {
		if _, err := r.Rename(a.ID, "alone"); err != nil {
			t.Error(err)
		}
		creating("made alone")(r)
	}})
	if p := one.untilProblem(bucket.ChangedAlone); len(p.Apps) != 2 {
		t.Errorf("changed alone: %v", p.Apps)
	}
	two.untilTitled(a.ID, "a")
	if err := one.bucket.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.untilState(bucket.Live)
	two.until("it has them", func() bool { return slices.Equal(two.titles(), []string{"alone", "b", "made alone"}) })
}

func TestTheClustersKeyIsAnotherOne(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	one := m.start("web1", options{fill: creating("a")})
	one.untilState(bucket.Live)
	two := m.start("web2", options{keys: sealtest.Keys(t)})
	if p := two.untilProblem(bucket.OtherKey); p.Key != m.keys.ID().String() || !strings.Contains(p.Error(), p.Key) {
		t.Errorf("the problem is %v, of key %q", p, p.Key)
	}
	if len(two.apps.List()) != 0 || two.apps.Membership().Cluster == one.apps.Membership().Cluster {
		t.Error("it joined nevertheless")
	}
	if _, err := two.apps.Create("b"); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("a change: %v", err)
	}
}

func TestReplicas(t *testing.T) {
	s := startNATS(t, nil)
	m := newMesh(t, s)
	one := m.start("web1", options{replicas: 3})
	if p := one.untilProblem(bucket.Refused); p.Err == nil {
		t.Errorf("the problem: %v", p)
	}
	two := m.start("web2", options{})
	two.untilState(bucket.Live)
	_, js := s.connect()
	info, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := info.CachedInfo().Config
	if c.Replicas != 1 || c.MaxMsgsPerSubject != 1 || c.Storage != jetstream.FileStorage || !c.AllowDirect {
		t.Errorf("the bucket: %+v", c)
	}
	one.untilState(bucket.Live)
	if made, found := two.bucket.Status(), one.bucket.Status(); made.Few == nil || found.Few != nil || found.Replicas != 1 {
		t.Errorf("who made it says %v, who found it %v, of %d replicas", made.Few, found.Few, found.Replicas)
	}
}

// Old keys end on each node by itself, without a word in the bucket.
func TestTheEndOfAKeyIsNoChange(t *testing.T) {
	t.Parallel()
	_, nodes := three(t, startNATS(t, nil))
	a := nodes[0].create("a")
	if _, err := nodes[0].apps.RotateServerKey(a.ID, time.Second); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilVersion(a.ID, 2)
	}
	revision := nodes[0].bucket.Revision()
	for _, n := range nodes {
		for {
			next, err := n.apps.Expire()
			if err != nil {
				t.Fatal(err)
			}
			if next.IsZero() {
				break
			}
			<-time.After(time.Until(next))
		}
		if now, _ := n.apps.Get(a.ID); len(now.ServerKeys) != 1 || n.apps.Version(a.ID) != 2 {
			t.Errorf("%s: %d keys", n.name, len(now.ServerKeys))
		}
	}
	if got := nodes[0].bucket.Revision(); got != revision {
		t.Errorf("revision %d, it was %d", got, revision)
	}
}

// Servers that have no leader say so; that is not for good.
func TestTooFewServersAreNoRefusal(t *testing.T) {
	s := startNATS(t, nil)
	one := newMesh(t, s).start("web1", options{})
	one.untilState(bucket.Live)
	for _, c := range []struct {
		err  error
		want bucket.Code
	}{
		{&jetstream.APIError{Code: 503, ErrorCode: 10008}, bucket.NoAnswer},
		{&jetstream.APIError{Code: 500, ErrorCode: 10074}, bucket.Refused},
		{context.DeadlineExceeded, bucket.NoAnswer},
	} {
		if got := one.bucket.Why(c.err); got != c.want {
			t.Errorf("%v is taken for %s, want %s", c.err, got, c.want)
		}
	}
}
