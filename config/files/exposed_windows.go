package files

// Exposed reports whether every user of this machine can read the file. On Windows
// secrets lie in the profile of the service's account, which others cannot enter.
func Exposed(string) bool { return false }
