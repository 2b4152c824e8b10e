package sockettest

import (
	"crypto/rand"
	"testing"
)

// Path returns where a control channel can be opened.
func Path(testing.TB) string { return `\\.\pipe\pns4ones-test-` + rand.Text() }
