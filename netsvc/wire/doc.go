// Package wire is the protocol between the service, its senders and the 1C
// sessions, as bytes: client keys, registration packets, frames, the JSON of a
// message, and the body of a request to send one. [Dial] is a session in Go.
//
// It is used by the hub, the HTTP interface, the control channel and the
// commands. It reads and writes bytes and knows nothing of apps, sessions,
// listeners or logs. What it parses comes from strangers: nothing is allocated
// for a length that was announced and not yet received, and no error text
// shows a key or the contents of a message.
package wire
