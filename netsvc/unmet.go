package netsvc

import (
	"log/slog"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// unmet is told of each message that reached no session, while its sender waits.
func (s *Server) unmet(appID string, to wire.Recipient) {
	count, tell := s.history.Unmet(appID, to)
	if !tell {
		return
	}
	attrs := []any{slog.String("app", appID), slog.String("ib", to.IbID), slog.String("to", string(to.Type))}
	switch to.Type {
	case wire.ToUser:
		attrs = append(attrs, slog.String("user_id", to.UserID))
	case wire.ToGroup:
		attrs = append(attrs, slog.String("group", to.UserGroup))
	}
	s.logger.Info("message without a recipient", append(attrs, slog.Uint64("messages", count))...)
}
