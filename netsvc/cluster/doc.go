// Package cluster makes several daemons one service: a message that is sent to any of
// them reaches the sessions of all. A daemon is a node here, the others are its peers;
// between them is a NATS server. All that goes through it is sealed (package seal).
//
// A message goes to all peers at once. Each one queues it for its sessions and confirms
// for how many; the sender's request is answered when all have, or when the time for it
// is over: then the peers that have not are named. So messages of a sender who waits for
// each answer keep their order, whatever node they are sent to. A session gets a message
// at most once: numbers tell what was seen, ages what comes too late, and nothing is kept
// for a peer that is away. A peer that keeps silent after 30 ms is asked, and gets again
// what it has not seen.
//
//	conn.go        the connection, and the one goroutine that publishes to it
//	peer.go        what is known of another node
//	presence.go    heartbeats: who is there, who is lost
//	admission.go   who is taken for one of the cluster, and why another is refused
//	publish.go, flight.go   sending: who is awaited, asked, named
//	receive.go     receiving: what is dropped, in what order the rest is queued
//	origins.go     which messages of which nodes are queued for the sessions of this one
//	asks.go        questions for remembered sessions, and their answers
//	handover.go    from one process to the next
//	streams.go     control requests that are carried to another node, through package stream
//	body.go, window.go, age.go, parts.go   what they work with
//
// Nobody's clock has to be right. Whoever has access to NATS but no key can read and forge
// nothing here, and what he can have kept in memory is bounded.
package cluster
