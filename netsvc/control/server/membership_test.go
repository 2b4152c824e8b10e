package server_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
)

// agreeing is a cluster that agrees with everything at once.
func agreeing() *server.Membership {
	do := func(context.Context) error { return nil }
	return &server.Membership{
		TakeNames: func(context.Context) error { return nil },
		Settle:    func(context.Context, string) ([]string, int) { return nil, 0 },
		Merge:     do, Take: do, Restore: do,
		Forget: func(string) bool { return true },
	}
}

func TestAnAdministratorDecidesAboutTheAppsOfACluster(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		decide func(*control.Client) (control.Joined, error)
		of     func(*server.Membership, func(context.Context) error)
	}{
		"merge": {func(c *control.Client) (control.Joined, error) {
			return c.JoinCluster(t.Context(), control.JoinMerging)
		},
			func(m *server.Membership, do func(context.Context) error) { m.Merge = do }},
		"take": {func(c *control.Client) (control.Joined, error) { return c.JoinCluster(t.Context(), control.JoinTaking) },
			func(m *server.Membership, do func(context.Context) error) { m.Take = do }},
		"restore": {func(c *control.Client) (control.Joined, error) { return c.RestoreCluster(t.Context()) },
			func(m *server.Membership, do func(context.Context) error) { m.Restore = do }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcome error
			decided := 0
			d := start(t, nil, func(o *server.Options) {
				o.Membership = agreeing()
				test.of(o.Membership, func(context.Context) error { decided++; return outcome })
			})
			d.newApp("one")
			got, err := test.decide(d.Client)
			if err != nil || got.Apps != 1 || decided != 1 {
				t.Errorf("decided %d times: %+v, %v", decided, got, err)
			}
			for _, refusal := range []struct {
				err    error
				status int
				code   string
			}{
				{bucket.ErrNotNeeded, http.StatusConflict, control.CodeJoined},
				{bucket.ErrNeverMember, http.StatusConflict, control.CodeNeverJoined},
				{&bucket.MergeError{Apps: []string{"a", "b"}}, http.StatusConflict, control.CodeAppsDiffer},
				{&bucket.ProblemError{Code: bucket.NotConnected}, http.StatusServiceUnavailable,
					control.CodeClusterUnavailable},
				{context.DeadlineExceeded, http.StatusServiceUnavailable, control.CodeClusterUnavailable},
			} {
				outcome = refusal.err
				_, err := test.decide(d.Client)
				e := refused(t, err, refusal.status, refusal.code)
				if want := refusal.code == control.CodeAppsDiffer; want != slices.Equal(e.Apps, []string{"a", "b"}) {
					t.Errorf("%v: the apps are %v", refusal.err, e.Apps)
				}
			}
		})
	}
}

func TestADaemonThatIsAloneHasNothingToDecide(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	_, err := d.JoinCluster(t.Context(), control.JoinMerging)
	refused(t, err, http.StatusConflict, control.CodeNoCluster)
	_, err = d.RestoreCluster(t.Context())
	refused(t, err, http.StatusConflict, control.CodeNoCluster)
	_, err = d.ForgetNode(t.Context(), "web2")
	refused(t, err, http.StatusConflict, control.CodeNoCluster)
	if got := d.do("POST", "/v1/cluster/join", `{"apps":"both"}`); got.code(t) != control.CodeNoCluster {
		t.Errorf("other words: %s", got.body)
	}
}

func TestALostNodeIsForgottenByAll(t *testing.T) {
	t.Parallel()
	lists := []map[string]bool{{"web4": true}, {"web4": true, "web5": true}, {}}
	var forgetting sync.Mutex
	next := 0
	sv := startService(t, 3, func(o *server.Options) {
		own := lists[next]
		next++
		o.Membership = agreeing()
		o.Membership.Forget = func(node string) bool {
			forgetting.Lock()
			defer forgetting.Unlock()
			defer delete(own, node)
			return own[node]
		}
	})
	client := sv.nodes[0].Client
	for _, node := range []string{"web4", "web5"} { // of the second the node that is asked knows nothing
		if got, err := client.ForgetNode(t.Context(), node); err != nil || got.MissingNodes != nil {
			t.Errorf("%s: %+v, %v", node, got, err)
		}
		_, err := client.ForgetNode(t.Context(), node)
		refused(t, err, http.StatusNotFound, control.CodeNodeNotFound)
	}
	lists[0]["web4"] = true
	sv.turn("web2", lost)
	got, err := client.ForgetNode(t.Context(), "web4")
	if err != nil || !slices.Equal(got.MissingNodes, []string{"web2"}) {
		t.Errorf("without a node: %+v, %v", got, err)
	}
	lists[0]["web2"] = true
	if got, err := client.ForgetNode(t.Context(), "web2"); err != nil || got.MissingNodes != nil {
		t.Errorf("the one that is missing itself: %+v, %v", got, err)
	}
}
