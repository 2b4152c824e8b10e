//go:build unix

package listen

import "syscall"

// errExhausted is what accept says when descriptors run out.
const errExhausted = syscall.EMFILE
