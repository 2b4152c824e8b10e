package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// describeAll is apps with how they are used on all nodes.
func (s *Server) describeAll(ctx context.Context, apps ...*app.App) []control.App {
	objects := make([]control.App, len(apps))
	for i, a := range apps {
		objects[i] = s.describe(a)
	}
	if s.nodes == nil || len(apps) == 0 {
		return objects
	}
	var answers [][]control.App
	var missing []string
	if len(apps) == 1 {
		var found []control.App
		found, missing = gather[control.App](ctx, s, "/v1/apps/"+apps[0].ID, url.Values{})
		answers = [][]control.App{found}
	} else {
		answers, missing = gather[[]control.App](ctx, s, "/v1/apps", url.Values{})
	}
	at := make(map[string]int, len(objects))
	for i := range objects {
		objects[i].MissingNodes = missing
		at[objects[i].ID] = i
	}
	for _, answer := range answers {
		for _, of := range answer {
			if i, wanted := at[of.ID]; wanted {
				mergeUse(&objects[i], of)
			}
		}
	}
	return objects
}

func (s *Server) describeOfAll(ctx context.Context, a *app.App) control.App {
	return s.describeAll(ctx, a)[0]
}

// mergeUse adds how another node uses an app. Keys that only one of the two has, for a change
// is on its way, are as this one has them.
func mergeUse(to *control.App, of control.App) {
	to.Sessions += of.Sessions
	if to.ServerKey == of.ServerKey {
		to.ServerKeyTokens += of.ServerKeyTokens
		to.ServerKeyLastUsedAt = later(to.ServerKeyLastUsedAt, of.ServerKeyLastUsedAt)
	}
	for i := range to.OldServerKeys {
		known := &to.OldServerKeys[i]
		same := func(k control.OldServerKey) bool { return k.Since.Equal(known.Since) && k.Until.Equal(known.Until) }
		if j := slices.IndexFunc(of.OldServerKeys, same); j >= 0 {
			known.Tokens += of.OldServerKeys[j].Tokens
			known.LastUsedAt = later(known.LastUsedAt, of.OldServerKeys[j].LastUsedAt)
		}
	}
	for i := range to.OldClientKeys {
		known := &to.OldClientKeys[i]
		same := func(k control.OldClientKey) bool { return k.Generation == known.Generation }
		if j := slices.IndexFunc(of.OldClientKeys, same); j >= 0 {
			known.Sessions += of.OldClientKeys[j].Sessions
			*to.OldClientKeySessions += of.OldClientKeys[j].Sessions
		}
	}
}

// later is the later of two times, either of which may be absent.
func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

// settlement is what became of a change of an app on the other nodes.
type settlement struct {
	pending []string
	closed  int
}

// settle waits for the other nodes to take over changes of apps, all at once.
func (s *Server) settle(ctx context.Context, apps ...*app.App) []settlement {
	settled := make([]settlement, len(apps))
	if s.membership == nil {
		return settled
	}
	var waiting sync.WaitGroup
	for i, a := range apps {
		waiting.Go(func() { settled[i].pending, settled[i].closed = s.membership.Settle(ctx, a.ID) })
	}
	waiting.Wait()
	return settled
}

// pendingOf are all nodes that have not taken over something.
func pendingOf(settled []settlement) (pending []string) {
	for _, one := range settled {
		pending = union(pending, one.pending)
	}
	return pending
}

// changed is apps after a change, which closed that many sessions of each on this node.
func (s *Server) changed(ctx context.Context, apps []*app.App, closed []int) []control.AppChange {
	settled := s.settle(ctx, apps...)
	changes := make([]control.AppChange, len(apps))
	for i, object := range s.describeAll(ctx, apps...) {
		object.PendingNodes = settled[i].pending
		changes[i] = control.AppChange{App: object, ClosedSessions: closed[i] + settled[i].closed}
	}
	return changes
}

// changedOne is changed for one app.
func (s *Server) changedOne(r *http.Request, a *app.App, closed int) control.AppChange {
	return s.changed(r.Context(), []*app.App{a}, []int{closed})[0]
}
