package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Membership is what an administrator and his changes have to do with the other nodes of
// the cluster. Its functions may be called concurrently.
type Membership struct {
	// Settle waits a moment until the nodes that are live have taken over what this one has
	// changed last about an app. It returns those that have not, by name, and how many
	// sessions the change closed on the others.
	Settle func(ctx context.Context, appID string) (pending []string, closed int)
	// TakeNames returns when this node has taken over the names that the nodes have that are there,
	// with an error if it has not within a few seconds.
	TakeNames func(ctx context.Context) error
	// Merge, Take and Restore decide whose apps hold where this node and the cluster differ,
	// see netsvc/cluster/bucket. Their errors are those that are described there.
	Merge, Take, Restore func(ctx context.Context) error
	// Forget has this node not name a lost one any more, and reports whether it did.
	Forget func(node string) bool
}

// decisionTime bounds what an administrator decides about the apps: of several thousand each
// is put into NATS.
const decisionTime = 5 * time.Minute

var errAlone = refuse(http.StatusConflict, control.CodeNoCluster,
	"this daemon is alone: the setting cluster_nats makes it a node of a cluster")

// joinCluster ends a disagreement with the cluster about apps.
func (s *Server) joinCluster(r *http.Request) (reply, error) {
	var body control.JoinBody
	if err := readJSON(r, &body, "apps"); err != nil {
		return nil, err
	}
	if s.membership == nil {
		return nil, errAlone
	}
	switch body.Apps {
	case control.JoinMerging:
		return s.decide(r, "merge cluster apps", s.membership.Merge)
	case control.JoinTaking:
		return s.decide(r, "take cluster apps", s.membership.Take)
	}
	return nil, badRequest("apps %q: expected %s or %s", body.Apps, control.JoinMerging, control.JoinTaking)
}

// restoreCluster gives the cluster the apps of this node.
func (s *Server) restoreCluster(r *http.Request) (reply, error) {
	if s.membership == nil {
		return nil, errAlone
	}
	return s.decide(r, "restore cluster apps", s.membership.Restore)
}

func (s *Server) decide(r *http.Request, action string, do func(context.Context) error) (reply, error) {
	ctx, cancel := context.WithTimeout(r.Context(), decisionTime)
	defer cancel()
	err := do(ctx)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, bucket.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", bucket.ErrUnavailable, err)
	}
	if err != nil {
		return nil, err
	}
	apps := len(s.apps.List())
	s.audit(r, action, slog.Int("apps", apps))
	return object(control.Joined{Apps: apps}), nil
}

// forgetNode has all nodes not name a lost one any more.
func (s *Server) forgetNode(r *http.Request) (reply, error) {
	name := pathID(r)
	if s.membership == nil {
		return nil, errAlone
	}
	if err := s.ownOnly(r.URL.Query()); err != nil {
		return nil, err
	}
	var forgotten atomic.Bool
	forgotten.Store(s.membership.Forget(name))
	var answer control.Forgotten
	if s.merges(r.URL.Query()) {
		others := slices.DeleteFunc(slices.Clone(s.nodes.Others()), func(n Node) bool { return n.Name == name })
		answer.MissingNodes = s.askEach(r.Context(), others, question{method: r.Method, path: r.URL.EscapedPath()},
			func(_ int, response *http.Response) error {
				switch response.StatusCode {
				case http.StatusOK:
					forgotten.Store(true)
				case http.StatusNotFound: // it has not missed it
				default:
					return fmt.Errorf("it answered %s", response.Status)
				}
				return nil
			})
	}
	if !forgotten.Load() {
		return nil, refuse(http.StatusNotFound, control.CodeNodeNotFound, "there is no lost node of that name")
	}
	s.audit(r, "forget node", slog.String("node", name))
	return object(answer), nil
}
