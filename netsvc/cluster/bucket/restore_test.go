package bucket_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
)

// Restoring is for what the bucket has lost. What another node has changed meanwhile, and this
// one has not heard of, is no loss: a key that was revoked there would work again everywhere.
func TestRestoreKeepsWhatIsNewer(t *testing.T) {
	s := startNATS(t, nil)
	m, nodes := three(t, s)
	one, two := nodes[0], nodes[1]
	a := one.create("a")
	if _, err := one.apps.RotateServerKey(a.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.untilVersion(a.ID, 2)
	}
	m.mu.Lock()
	m.deaf["web1"] = true
	m.mu.Unlock()
	one.deafenWatch(s)
	if _, err := two.apps.RevokeOld(a.ID, true, true); err != nil {
		t.Fatal(err)
	}
	if err := one.bucket.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.until("the old key is gone", func() bool {
			now, _ := n.apps.Get(a.ID)
			return n.apps.Version(a.ID) >= 3 && len(now.ServerKeys) == 1
		})
	}
	one.until("it is in agreement", func() bool { return one.bucket.Status().RolledBack == nil })
	if got := one.apps.Version(a.ID); got != 3 {
		t.Errorf("version %d, want 3", got)
	}
}

// changedAlone is a node of two that changed one of two apps while it was a single one, and
// the other node, which meanwhile revoked a key of the other app and removed a third one.
func changedAlone(t *testing.T) (alone, other *node, changed, revoked, removed *app.App) {
	t.Helper()
	m := newMesh(t, startNATS(t, nil))
	path := filepath.Join(t.TempDir(), "pns4ones.db")
	alone = m.start("web1", options{path: path, fill: creating("changed", "revoked", "removed")})
	alone.untilState(bucket.Live)
	apps := alone.apps.List()
	changed, revoked, removed = apps[0], apps[1], apps[2]
	if _, err := alone.apps.RotateServerKey(revoked.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	other = m.start("web2", options{})
	other.untilState(bucket.Live)
	alone.stop()
	if _, err := other.apps.RevokeOld(revoked.ID, true, true); err != nil {
		t.Fatal(err)
	}
	if err := other.apps.Remove(removed.ID); err != nil {
		t.Fatal(err)
	}
	alone = m.start("web1", options{path: path, fill: func(r *app.Registry) {
		if _, err := r.Rename(changed.ID, "alone"); err != nil {
			t.Error(err)
		}
	}})
	alone.untilProblem(bucket.ChangedAlone)
	return alone, other, changed, revoked, removed
}

// The apps that were changed alone become everybody's, and no others: the rest is older than
// what the cluster has.
func TestRestoreOfWhatWasChangedAlone(t *testing.T) {
	alone, other, changed, revoked, removed := changedAlone(t)
	if err := alone.bucket.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	alone.untilState(bucket.Live)
	for _, n := range []*node{alone, other} {
		n.untilTitled(changed.ID, "alone")
		n.untilTitled(removed.ID, "")
		n.until("the old key is gone", func() bool {
			now, _ := n.apps.Get(revoked.ID)
			return len(now.ServerKeys) == 1
		})
	}
}

// Merging is for nodes of no cluster, or of another one: a member would bring back what the
// cluster has removed meanwhile, and lose what it has changed.
func TestAMemberDoesNotMerge(t *testing.T) {
	alone, other, changed, _, removed := changedAlone(t)
	var problem *bucket.ProblemError
	err := alone.bucket.Merge(t.Context())
	if !errors.As(err, &problem) || problem.Code != bucket.ChangedAlone {
		t.Errorf("merge: %v", err)
	}
	if got, _ := alone.apps.Get(changed.ID); got.Title != "alone" {
		t.Errorf("the change is lost: %v", got)
	}
	if _, there := other.apps.Get(removed.ID); there || other.apps.Version(removed.ID) != 2 {
		t.Error("the removed app is back")
	}
}
