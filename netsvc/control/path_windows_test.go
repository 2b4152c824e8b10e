package control_test

import (
	"crypto/rand"
	"testing"
)

// newPath returns where a control channel can be opened.
func newPath(testing.TB) string { return `\\.\pipe\pns4ones-test-` + rand.Text() }
