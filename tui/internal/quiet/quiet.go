// Package quiet keeps Bubble Tea from asking the terminal for its background
// before main has even begun. Package tui imports it and calls Restore when it is
// initialised itself.
//
// Bubble Tea asks in an init function, so that every command of a program that
// merely links it would write an escape sequence to the terminal and wait for an
// answer, up to five seconds on a line that gives none. It asks through termenv,
// which leaves a terminal alone where the environment variable CI is set. This
// package sets it, for the time of the initialisation only. The language
// initialises packages whose imports are ready in the order of their paths: with
// syscall as the only import, and a path before that of golang.org/x/sys, which
// termenv needs, this one is always first.
package quiet

import "syscall"

const variable = "CI"

var alreadySet = set()

func set() bool {
	_, already := syscall.Getenv(variable)
	if !already {
		syscall.Setenv(variable, "1")
	}
	return already
}

// Restore leaves the environment as the person gave it. It is called when Bubble
// Tea is initialised; more than once does no harm.
func Restore() {
	if !alreadySet {
		syscall.Unsetenv(variable)
	}
}
