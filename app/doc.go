// Package app is the domain of the service: the apps (tenants) with their keys
// and tokens, and the [Registry] that keeps them in one bbolt file.
//
// It is used by the HTTP side (is this server key good, whose token is this), by
// the control channel and the admin program (create, rename, rotate, import,
// export) and by the server that assembles them, which passes every change on to
// the hub through [Options.Changed].
//
// The registry can let go of its file while it serves from memory, and its apps can
// be written down, for another process to take over; when that is done is the
// server's business.
//
// Registries of several nodes can keep the same apps. How they agree on a change is told
// by [Options.Agree], and what others changed comes by [Registry.Apply].
//
// It must not know any network: no requests, no sessions, no wire formats beyond
// the textual form of the keys and tokens (protocol.md, sections 2 and 3.1).
package app
