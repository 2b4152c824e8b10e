// Package prove holds the proofs of the native 1C add-in: they drive the real
// library through its host, against a service in Go that misbehaves as the tests
// want, and against the real daemon.
//
// They need the add-in as packaging/1c/addin/build.sh makes it, and run when
// packaging/test/addin.sh calls them; in a plain "go test ./..." they are skipped.
package prove
