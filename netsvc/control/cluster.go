package control

import "time"

// Cluster is what there is to know of the cluster that the daemon is a node of. A daemon
// that is alone has none.
type Cluster struct {
	Name    string    `json:"name"`         // setting cluster_name
	ID      string    `json:"id,omitempty"` // of its apps' bucket; empty: not known yet
	Node    string    `json:"node"`         // the name of this node
	NodeID  string    `json:"node_id"`
	State   string    `json:"state"` // one of NodeJoining, NodeLive, NodeCutOff and NodeRefused
	Since   time.Time `json:"since"`
	Problem string    `json:"problem,omitempty"` // why it is refused, in English

	AppsRevision uint64 `json:"apps_revision"`
	// AppsProblem is why this node cannot change apps together with the others, in English,
	// with the way out; empty: it can. AppsProblemCode is its kind: one of those of package
	// netsvc/cluster/bucket, or AppsRolledBack.
	AppsProblem     string `json:"apps_problem,omitempty"`
	AppsProblemCode string `json:"apps_problem_code,omitempty"`
	// Sealing is nil while the daemon is not in the cluster.
	Sealing *Sealing `json:"sealing,omitempty"`

	NATS  NATS   `json:"nats"`
	Nodes []Node `json:"nodes"` // this one too; by name
}

// The states of nodes. This one is joining, live, cut_off or refused; another one is
// joining, live, silent or lost, or moving from one process to the next.
const (
	NodeJoining     = "joining"
	NodeLive        = "live"
	NodeCutOff      = "cut_off" // there is no connection to NATS
	NodeRefused     = "refused" // by NATS, or by the others
	NodeSilent      = "silent"  // it has let a message pass without a word; nobody waits for it
	NodeLost        = "lost"
	NodeHandingOver = "moving"
)

// AppsRolledBack: the bucket has older apps than this node, because NATS has lost what it
// had acknowledged.
const AppsRolledBack = "apps_rolled_back"

// Sealing says which of the cluster's keys are in use.
type Sealing struct {
	Key string `json:"key"` // the id of the one that this node seals with
	// Done: of this node's keys no other one is needed, neither for the apps in NATS nor for
	// the nodes that are live.
	Done         bool     `json:"done"`
	OtherRecords int      `json:"other_records"`         // that NATS has sealed with other ones
	OtherNodes   []string `json:"other_nodes,omitempty"` // that are live and seal with another one
	// Left: the cluster has left Key for another one, which is to be the first of this node, too.
	Left bool `json:"left,omitempty"`
}

// NATS is the connection between the nodes.
type NATS struct {
	Servers    []string `json:"servers"`          // as they were set, without what is secret
	Server     string   `json:"server,omitempty"` // that is connected to; empty: none
	Version    string   `json:"version,omitempty"`
	RTTSeconds *float64 `json:"rtt_seconds,omitempty"`
	Reconnects uint64   `json:"reconnects"`
	JetStream  bool     `json:"jetstream"`          // it answers
	Replicas   int      `json:"replicas,omitempty"` // of the apps
	// ReplicasProblem is why they are so few, in English: three were not to be had when this
	// daemon made them.
	ReplicasProblem string `json:"replicas_problem,omitempty"`
}

// Node is a node of the cluster.
type Node struct {
	Name         string    `json:"name"`
	ID           string    `json:"id"`
	Epoch        string    `json:"epoch,omitempty"` // names this life of it; empty: not known any more
	Version      string    `json:"version,omitempty"`
	State        string    `json:"state"`
	Problem      string    `json:"problem,omitempty"` // why it is not taken in, in English
	Since        time.Time `json:"since"`             // of the state
	HeardSeconds float64   `json:"heard_seconds"`     // since its last heartbeat; 0 of this node
	Sessions     int       `json:"sessions"`
	AppsRevision uint64    `json:"apps_revision"`
	RTTSeconds   *float64  `json:"rtt_seconds,omitempty"`
}
