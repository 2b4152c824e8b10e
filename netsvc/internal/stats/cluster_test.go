package stats_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

func TestMetricsOfANodeOfACluster(t *testing.T) {
	t.Parallel()
	c := &stats.Cluster{State: "cut_off", Peers: map[string]int{"live": 2}, Reconnects: 3, AppsRevision: 9, PendingNodes: 1,
		Messages: cluster.Stats{Sent: 11, Received: 12, SentAgain: 13, Gaps: 14, Unconfirmed: map[string]uint64{"late": 5},
			Dropped: map[string]uint64{"own": 6}, WaitSeconds: 25.5}}
	c.Messages.Waits[1], c.Messages.Waits[len(c.Messages.Waits)-1] = 4, 2
	sources := newDaemon().sources()
	sources.Cluster = func() *stats.Cluster { return c }
	r := stats.New(sources)
	problems, err := testutil.GatherAndLint(r.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	metrics := func() string {
		answer := httptest.NewRecorder()
		r.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return answer.Body.String()
	}
	text := metrics()
	for _, line := range []string{
		`pns4ones_cluster_state{state="cut_off"} 1`,
		`pns4ones_cluster_state{state="live"} 0`,
		`pns4ones_cluster_peers{state="live"} 2`,
		`pns4ones_cluster_peers{state="lost"} 0`,
		`pns4ones_cluster_messages_sent_total 11`,
		`pns4ones_cluster_messages_received_total 12`,
		`pns4ones_cluster_sent_again_total 13`,
		`pns4ones_cluster_gaps_total 14`,
		`pns4ones_cluster_unconfirmed_total{reason="late"} 5`,
		`pns4ones_cluster_dropped_total{reason="own"} 6`,
		`pns4ones_cluster_wait_seconds_bucket{le="0.0002"} 0`,
		`pns4ones_cluster_wait_seconds_bucket{le="0.0005"} 4`,
		`pns4ones_cluster_wait_seconds_bucket{le="10"} 4`,
		`pns4ones_cluster_wait_seconds_bucket{le="+Inf"} 6`,
		`pns4ones_cluster_wait_seconds_sum 25.5`,
		`pns4ones_cluster_wait_seconds_count 6`,
		`pns4ones_cluster_nats_reconnects_total 3`,
		`pns4ones_cluster_apps_revision 9`,
		`pns4ones_cluster_apps_pending_nodes 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if c = nil; strings.Contains(metrics(), "cluster") {
		t.Errorf("a single node:\n%s", metrics())
	}
}
