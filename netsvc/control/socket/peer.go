package socket

// Peer is who is on the other side of a connection, as the operating system said
// when it was accepted.
type Peer struct {
	UID     int
	User    string // the name, or the number if there is none
	PID     int    // the process that connected; 0: the system does not say
	Known   bool   // false: the system does not say here
	Refusal string // why the peer may not call; empty: it may
}
