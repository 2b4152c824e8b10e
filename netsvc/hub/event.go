package hub

import (
	"context"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// EventKind says what happened: a stable word.
type EventKind string

// What can happen to a connection.
const (
	SessionOpened       EventKind = "session_opened"
	SessionChanged      EventKind = "session_changed" // it registered again, perhaps as somebody else
	SessionClosed       EventKind = "session_closed"
	SessionDetached     EventKind = "session_detached" // its connection has ended, and it may come back
	SessionResumed      EventKind = "session_resumed"  // it has
	RegistrationRefused EventKind = "registration_refused"
)

// Event is something that happened to a connection.
type Event struct {
	Time time.Time
	Kind EventKind
	// Session is what the session was at that time. Of a refused registration it
	// has the address, and the identity as far as the packet gave one: nobody
	// has vouched for it.
	Session Session
	// Reason is one of CloseReasons or RefusalReasons; empty with the other kinds.
	Reason string
	// Node is the node of the cluster that a session came from, or goes on at; empty: it is here.
	Node string
}

// RefusalReasons returns all reasons for which registrations are refused.
func RefusalReasons() []wire.Reason {
	return append(wire.Reasons(), ReasonUnknownApp, ReasonWrongHMAC, ReasonTimeout, ReasonEvicted,
		ReasonTooManySessions, ReasonStale)
}

// CloseReasons returns all reasons for which sessions end.
func CloseReasons() []string {
	reasons := make([]string, len(closeReasons))
	for i, why := range closeReasons {
		reasons[i] = string(why)
	}
	return reasons
}

// observe has the observer know of an event, if there is one.
func (h *Hub) observe(kind EventKind, session Session, reason string) {
	h.observeMove(kind, session, reason, "")
}

// observeMove is observe for a session that came from another node, or goes on there.
func (h *Hub) observeMove(kind EventKind, session Session, reason, node string) {
	if h.options.Observe != nil {
		h.options.Observe(Event{Time: time.Now(), Kind: kind, Session: session, Reason: reason, Node: node})
	}
}

// nodeAttr is what the log says of the other node; nothing if there is none.
func nodeAttr(node string) []slog.Attr {
	if node == "" {
		return nil
	}
	return []slog.Attr{slog.String("node", node)}
}

// logSession writes what happened to a session to the log.
func (h *Hub) logSession(event string, s *Session, more ...slog.Attr) {
	if !h.logger.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	var room [16]slog.Attr
	attrs := append(room[:0], slog.Uint64("session", s.ID), slog.String("app", s.AppID), slog.String("ib", s.IbID),
		slog.String("user_id", s.UserID), slog.String("group", s.UserGroup), slog.String("peer", s.Addr))
	// What a newer add-in has said of itself.
	if len(s.Groups) > 0 {
		attrs = append(attrs, slog.Any("groups", s.Groups))
	}
	for _, said := range [...]struct{ key, value string }{
		{"user_name", s.UserName}, {"ib_name", s.IbName}, {"host", s.Host}, {"agent", s.Agent},
	} {
		if said.value != "" {
			attrs = append(attrs, slog.String(said.key, said.value))
		}
	}
	h.logger.LogAttrs(context.Background(), slog.LevelInfo, event, append(attrs, more...)...)
}
