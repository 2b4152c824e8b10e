// Package moving has a remembered session (protocol.md section 4.4) go on at another node of
// the cluster than the one that remembers it. A model of these rules was searched
// for schedules in which something is lost or doubled: change them only together with it.
//
// A node that gets a registration of such a session enters it, holds what comes for it, and
// asks all live peers (Mover.Ask). A peer that remembers it ends writing, freezes what it
// has, and sends it (Mover.Answer). The asker decides which memory is used (Choose), goes on
// with it, and confirms; then the peer deletes its own (Mover.Confirm, Mover.Confirmed).
//
//	choose.go   the decision, as pure functions
//	cover.go    which messages a memory accounts for, so that none is sent twice
//	body.go     questions and answers as bytes
//	mover.go    who asks whom, and in which order
//
// It knows neither the hub nor the connection between nodes: functions stand for both.
package moving
