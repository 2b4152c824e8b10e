// Package handover carries open connections with a document about them from one
// process to the next one over a Unix socket.
//
// The document travels as a file in memory, and all descriptors as ancillary data
// (unix(7), SCM_RIGHTS): nothing but a few bytes for each batch of them has to fit
// into the socket's buffer. So a whole hand-over can wait in a socket that nobody
// reads yet, which systemd keeps while no process of the service runs.
//
// What the document says is the business of netsvc.
package handover

import "errors"

// ErrUnsupported: descriptors cannot be handed over on this system.
var ErrUnsupported = errors.New("connections cannot be handed over on this system")

// Version is that of the way in which a hand-over travels. It is the first byte of
// each message.
const Version = 1
