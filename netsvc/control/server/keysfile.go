package server

import (
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/netsvc/control/describe"
)

func (s *Server) importKeys(_ http.ResponseWriter, r *http.Request) (any, error) {
	report, err := s.apps.Import(r.Body)
	if err != nil {
		return nil, err
	}
	for _, a := range report.Imported {
		s.auditApp(r, "import app", a)
	}
	s.audit(r, "import keys file", slog.Int("apps", len(report.Imported)),
		slog.Int("present", len(report.Present)), slog.Int("problems", len(report.Problems)+report.Omitted))
	return describe.Import(report, s.describe), nil
}

func (s *Server) exportKeys(w http.ResponseWriter, r *http.Request) (any, error) {
	s.audit(r, "export keys file", slog.Int("apps", len(s.apps.List())))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	s.apps.Export(w) // an error here means that the client has gone
	return nil, nil
}
