package stats

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Cluster is what there is to measure of a node of a cluster.
type Cluster struct {
	State        string         // one of control's
	Peers        map[string]int // other nodes, by state
	Messages     cluster.Stats
	Reconnects   uint64 // to NATS
	AppsRevision uint64
	PendingNodes int // live ones that lack changes of apps
}

// The metrics of a cluster. What they count is explained in cluster.Stats.
var (
	descClusterState = describe("cluster_state",
		"1 for what this node is to its cluster, 0 for what it is not. Absent, like all of the cluster, on a single node.",
		"state")
	descClusterPeers    = describe("cluster_peers", "Other nodes, by what is known of them.", "state")
	descClusterSent     = describe("cluster_messages_sent_total", "Messages sent to all other nodes.")
	descClusterReceived = describe("cluster_messages_received_total", "Messages got from other nodes.")
	descClusterAgain    = describe("cluster_sent_again_total", "Messages, or parts of them, sent again to a node that had not got them.")
	descClusterNot      = describe("cluster_unconfirmed_total",
		"Nodes that did not confirm a message, which they may or may not have got, by reason.", "reason")
	descClusterDropped = describe("cluster_dropped_total",
		"What was got from other nodes, or strangers, and dropped, by reason.", "reason")
	descClusterGaps = describe("cluster_gaps_total", "Messages of other nodes that were never seen.")
	descClusterWait = describe("cluster_wait_seconds", "How long messages waited for the other nodes.")
	descReconnects  = describe("cluster_nats_reconnects_total", "Times that the connection to NATS was made again.")
	descRevision    = describe("cluster_apps_revision", "The newest change of the apps that this node knows of.")
	descPending     = describe("cluster_apps_pending_nodes", "Live nodes that lack changes of apps which this node has.")
)

var (
	nodeStates = []string{control.NodeJoining, control.NodeLive, control.NodeCutOff, control.NodeRefused}
	peerStates = []string{control.NodeJoining, control.NodeLive, control.NodeSilent, control.NodeLost,
		control.NodeHandingOver}
)

// collect writes the metrics of a node; c is nil on a single one.
func (c *Cluster) collect(metrics chan<- prometheus.Metric) {
	if c == nil {
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for _, state := range nodeStates {
		is := 0.0
		if state == c.State {
			is = 1
		}
		gauge(descClusterState, is, state)
	}
	for _, state := range peerStates {
		gauge(descClusterPeers, float64(c.Peers[state]), state)
	}
	n := &c.Messages
	counter(descClusterSent, n.Sent)
	counter(descClusterReceived, n.Received)
	counter(descClusterAgain, n.SentAgain)
	counter(descClusterGaps, n.Gaps)
	for reason, count := range n.Unconfirmed {
		counter(descClusterNot, count, reason)
	}
	for reason, count := range n.Dropped {
		counter(descClusterDropped, count, reason)
	}
	counter(descReconnects, c.Reconnects)
	gauge(descRevision, float64(c.AppsRevision))
	gauge(descPending, float64(c.PendingNodes))
	metrics <- waited(n)
}

// waited is the histogram of how long messages waited.
func waited(n *cluster.Stats) prometheus.Metric {
	upTo := make(map[float64]uint64, len(cluster.WaitBuckets))
	count := uint64(0)
	for i, bound := range cluster.WaitBuckets {
		count += n.Waits[i]
		upTo[bound] = count
	}
	count += n.Waits[len(n.Waits)-1]
	return prometheus.MustNewConstHistogram(descClusterWait, count, n.WaitSeconds, upTo)
}
