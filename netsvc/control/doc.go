// Package control is the control channel: HTTP and JSON over a Unix socket or a
// named pipe, by which an administrator sees and steers the daemon. Server is the
// daemon's side, Client the only speaker of ours on the other; both programs and
// the tests use them, and curl can too.
//
// Who may call is decided by the operating system: the mode of the socket, and
// the credentials of the peer, which are taken at accept and never from a header.
package control
