package socket

// Peer is who is on the other side of a connection, as the operating system said
// when it was accepted, or another node of the cluster, which had it from its own.
type Peer struct {
	UID     int
	User    string // the name, or the number if there is none
	PID     int    // the process that connected; 0: the system does not say
	Known   bool   // false: the system does not say here
	Refusal string // why the peer may not call; empty: it may
	// Node is the node of the cluster on which all of this holds; empty: it is this machine,
	// and the operating system says so.
	Node string
}
