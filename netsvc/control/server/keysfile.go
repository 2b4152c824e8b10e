package server

import (
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/netsvc/control/describe"
)

func (s *Server) importKeys(r *http.Request) (reply, error) {
	report, err := s.apps.Import(r.Body)
	for _, a := range report.Imported { // after an error, those that it came too late for
		s.auditApp(r, "import app", a)
	}
	if err != nil {
		return nil, err
	}
	s.audit(r, "import keys file", slog.Int("apps", len(report.Imported)),
		slog.Int("present", len(report.Present)), slog.Int("problems", len(report.Problems)+report.Omitted))
	imported := describe.Import(report, s.describe)
	imported.PendingNodes = pendingOf(s.settle(r.Context(), report.Imported...))
	return object(imported), nil
}

func (s *Server) exportKeys(r *http.Request) (reply, error) {
	s.audit(r, "export keys file", slog.Int("apps", len(s.apps.List())))
	return text(s.apps.Export), nil
}
