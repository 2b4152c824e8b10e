// Package server is the daemon's side of the control channel: its routes, their
// handlers, and who may call them. netsvc runs one [Server].
//
// Who calls is what the operating system says when the connection is accepted
// (control/socket), never what a header says. What the objects look like is said
// in package control; the panel and the commands know only that.
package server
