//go:build unix

package files

// MakePrivate does nothing here: the mode with which a file or a folder was made has
// taken it from others.
func MakePrivate(string) error { return nil }
