// Package seal keeps what nodes of a cluster tell each other from everybody who has
// no key file: it reads that file, and it seals and opens envelopes with its keys.
//
// An envelope has a head of 24 bytes, big-endian, which anybody can read and nobody
// can change:
//
//	version 1 · kind 1 · key id 4 · epoch 8 · turn 2 · number 8
//
// and then the body under AES-256-GCM with its tag of 16 bytes. The key of the cipher
// is HKDF-SHA256 of the cluster's key with epoch ‖ turn as salt and «pns4ones NAME 1»
// as info, NAME being the cluster's. The nonce is kind ‖ 000 ‖ number. Nothing random
// is drawn for a message, and no nonce comes twice under a key: a Sealer gives the
// numbers out itself, one series for each kind, and they only grow.
//
// A record of the cluster's bucket has kind KindRecord, a random epoch of its own and
// turn and number 0; the name it is kept under is authenticated with the head, so that
// a record cannot be put in place of another.
//
// Whether an envelope is new, late or replayed is not known here.
package seal
