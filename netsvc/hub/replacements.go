package hub

import (
	"log/slog"
	"time"
)

// replacements are how often connections have taken a remembered session from others that were
// still there: hardly ever, unless two clients use one session at once (protocol.md section 4.4).
// memories.mu guards them.
type replacements struct {
	since time.Time // when the minute began in which there were
	n     int       // so many
	said  bool      // that they are too many, and it has not been over since
}

// mostReplacements is how many of a session are nothing strange, in replacementsTime.
const (
	mostReplacements = 5
	replacementsTime = time.Minute
)

// another counts one more, and reports whether it is to be said that they are too many.
func (r *replacements) another(now time.Time) bool {
	if age := now.Sub(r.since); age >= replacementsTime {
		goesOn := r.said && r.n > mostReplacements && age < 2*replacementsTime
		*r = replacements{since: now, said: goesOn}
	}
	r.n++
	if r.said || r.n <= mostReplacements {
		return false
	}
	r.said = true
	return true
}

// replaced notes that a connection takes the session from another one.
func (h *Hub) replaced(own *holder, now time.Time) {
	if own.replacements == nil {
		own.replacements = new(replacements)
	}
	if !own.replacements.another(now) {
		return
	}
	m, key := own.session.Load().remembered(), own.key()
	h.logger.Warn("connections take a session from each other, it is used twice perhaps", slog.Uint64("session", m.id),
		slog.String("app", key.app), slog.String("ib", key.ib), slog.String("user_id", key.user),
		slog.Int("replacements", own.replacements.n))
}
