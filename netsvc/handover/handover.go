// Package handover moves descriptors and bytes from one process to another one on the
// same machine, over Unix sockets.
//
// A Link carries short messages with a few descriptors. Many connections travel in
// trays: sockets that are filled with descriptors and then passed on as descriptors
// themselves, so that any number of connections fits into one message, which nobody has
// to be reading. What is long travels in memory files: a document, or chunks of what
// waits to be written, which the other process uses where they are. So a whole hand-over
// can wait in a socket that systemd keeps while no process of the service runs.
//
// netsvc decides what is said and in which order; nothing here knows of sessions.
package handover
