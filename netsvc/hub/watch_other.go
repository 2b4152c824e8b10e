//go:build !linux

package hub

// watch is for Linux: elsewhere a resting session has a goroutine that waits.
type watch struct{}

func newWatch(*Hub) *watch           { return &watch{} }
func (*watch) await(s *session) bool { return false }
func (*watch) start()                {}
func (*watch) stop()                 {}
func (*watch) close()                {}
