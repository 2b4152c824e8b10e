package netsvc

import (
	"log/slog"
	"strings"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// unmet is told of each message that reached no session, while its sender waits.
func (s *Server) unmet(appID string, to wire.Recipient) {
	count, tell := s.history.Unmet(appID, to)
	if !tell {
		return
	}
	// The log in memory keeps records: with parts of a request in them, the whole message would stay.
	copied := func(name, part string) slog.Attr { return slog.String(name, strings.Clone(part)) }
	attrs := []any{slog.String("app", appID), copied("ib", to.IbID), slog.String("to", string(to.Type))}
	switch to.Type {
	case wire.ToUser:
		attrs = append(attrs, copied("user_id", to.UserID))
	case wire.ToGroup:
		attrs = append(attrs, copied("group", to.UserGroup))
	}
	s.logger.Info("message without a recipient", append(attrs, slog.Uint64("messages", count))...)
}
