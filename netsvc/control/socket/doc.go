// Package socket is the way to the control channel: a Unix socket or a named
// pipe, who may open it, and who is at the other end.
//
// The server of the channel listens and asks for the peer, its client dials. The
// operating system decides who may call, by the mode of the socket and the
// credentials of the process that connected. What is said over the connection is
// not known here.
package socket
