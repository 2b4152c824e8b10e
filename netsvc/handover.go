package netsvc

import (
	"errors"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

// The 1C add-in never connects again by itself (protocol.md section 4.3): a restart that
// closed its connection would end the notifications of everybody until they restart 1C.
// So a process hands its sessions over, and another one takes them over. There are two
// ways.
//
// An upgrade, to a successor. O is the process that runs, N the program on disk.
//
//	  O                                     N
//	1 starts N ──────────────────────────▶
//	2 greeting: listening sockets, ──────▶  reads the settings, looks at the database,
//	  identity of the database              binds new ports
//	                                    ◀── hello: what it can, or why not
//	3 early: the connections ────────────▶  (O still serves)
//	4 gate: no changes of apps. Answers who asked
//	5 freezes: nobody accepts, reads, writes, registers, closes
//	6 document: who the sessions are, ───▶
//	  their queues, connections that came
//	  meanwhile                         ◀── got
//	7 closes the database; closed ───────▶  opens it
//	8                                   ◀── ready: how many sessions it has
//	9 the byte ──────────────────────────▶  reads it: the sessions are N's
//	                                    ◀── mine; serves
//	10 notifies systemd, ends
//
// Until the byte is written, whatever goes wrong at either side, and also a SIGTERM, ends
// N, and O goes on (takes back): nothing was lost. O ends N by a kill, and before it writes
// another byte, which says no: the program on disk may be a script, and then the kill ends
// the script, while the process that it runs has everything and would take the end of the
// pipe for the end of O. Who has read the byte owns the sessions;
// if N does not say that it has, O reads it back, and one of the two has it. If O dies
// before the document has gone, its sessions are lost as in any crash; after that N sees
// the end of the pipe, which is as good as the byte, and serves, from memory if it cannot
// have the database. If N dies after the byte, systemd starts the service again.
//
// A restart, through systemd's store of descriptors (sd_notify(3), FDSTORE).
//
//	O: SIGTERM, gate, freezes as above, puts document and connections into the store,
//	   closes the database, waits until systemd has read what it was told, ends.
//	N: reads the settings, opens the database, and only then the store; serves.
//
// If O dies before they are in the store, the sessions are lost; after that they are
// systemd's, whatever becomes of the processes: a start that fails leaves them there, and
// the next one finds them. When N has read the store it serves them, from memory if it
// cannot have the database, at the old ports if it cannot have the new ones. After a mere
// stop systemd closes them.
//
// The sessions come first: the database, the control channel and the history are looked
// after when they are safe.

// ErrTakenOver is what Run returns when a successor has taken the sessions over.
var ErrTakenOver = errors.New("another process has taken over")

// Deadlines of a hand-over. A zero field takes the default written beside it.
type Deadlines struct {
	Check    time.Duration // for the program on disk to check the settings; 20 s
	Hello    time.Duration // from the start of a successor to its hello; 5 s
	Gate     time.Duration // for the change of an app that is under way; 500 ms
	Requests time.Duration // for requests under way, then for queues at a restart; 500 ms
	Ready    time.Duration // from the freeze until the successor is ready; 6 s
	Turn     time.Duration // for the successor to say that the sessions are its own; 1 s
	Store    time.Duration // for putting the sessions into the store; 8 s
	StoreTry time.Duration // for one try; 3 s
	Database time.Duration // for closing the database; 2 s
	Open     time.Duration // for opening it, when there are sessions to be served without; 4 s
	Term     time.Duration // from SIGTERM to the end; 10 s, and 3 s more for the store
	End      time.Duration // for a successor that was killed to end; 2 s
}

// lastHandOver is the latest one, for the metrics.
func (s *Server) lastHandOver() *stats.Handover {
	h := s.handedOver.Load()
	if h == nil {
		return nil
	}
	return &stats.Handover{
		Way: h.Way, From: h.FromVersion, To: h.ToVersion, At: h.At,
		Took:     time.Duration(h.Seconds * float64(time.Second)),
		Sessions: h.Sessions, Lost: h.Lost, Done: h.Done,
	}
}

// LastHandOver is the latest one; nil: there was none. It is not to be changed.
func (s *Server) LastHandOver() *control.Handover { return s.handedOver.Load() }
