package hub

import "time"

// Silence is how long ago the peer of a user's session acknowledged something.
func (h *Hub) Silence(user string) time.Duration {
	for _, s := range h.snapshot() {
		if r := s.registered(); r != nil && r.user == user {
			ago, _ := silence(s.raw)
			return ago
		}
	}
	return 0
}
