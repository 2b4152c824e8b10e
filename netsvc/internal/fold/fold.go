// Package fold searches texts in any letter case. It is used by the hub and the
// control channel, which look through tens of thousands of sessions and records
// for what an administrator types; so it allocates nothing.
package fold

import (
	"unicode"
	"unicode/utf8"
)

// Contains reports whether part, which must be in lower case, is in text in any
// letter case.
func Contains(text, part string) bool {
	for start := range text {
		if hasPrefix(text[start:], part) {
			return true
		}
	}
	return part == ""
}

func hasPrefix(text, part string) bool {
	for _, want := range part {
		r, size := utf8.DecodeRuneInString(text)
		if size == 0 || unicode.ToLower(r) != want {
			return false
		}
		text = text[size:]
	}
	return true
}
