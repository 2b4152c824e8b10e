// Package bucket keeps the apps of a cluster's nodes the same by a bucket of NATS's
// JetStream: a sealed record for each app, which the nodes read and write by turns.
//
// A change is put over the very record that it was made from, or refused and made anew;
// the nodes that take it over say so. Records are taken over in the order of their
// versions and never backwards. Whoever has NATS but not the cluster's keys can keep
// records away, but can make none. Without NATS each node goes on with what it has.
//
// The bucket is a key-value bucket, to be looked at with NATS's tools, but it is used as the
// stream that it is, through package jetstream of nats.go: the functions for key-value
// buckets hide the revision of what was deleted, over which the next record has to be put,
// and their watch makes its consumer anew unasked, after as much as 18 s. Here a watch has
// one consumer with a heartbeat each second, and one that is silent, has a gap, or lacks
// what a peer knows of is replaced by another one. What a peer says that it has put is fetched if
// the watch does not bring it soon, also while there is none: after servers of NATS were away,
// changes are made seconds before a watch begins.
//
// It is used by the cluster's connection, which tells it about peers by function, and
// knows the registry of package app. It must not know sessions, subjects of messages, or how
// nodes find each other.
package bucket
