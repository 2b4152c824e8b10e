package server

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/describe"
)

func (s *Server) listNames(r *http.Request) (reply, error) {
	a, err := s.find(r)
	if err != nil {
		return nil, err
	}
	return object(describe.Names(a.Names())), nil
}

func (s *Server) exportNames(r *http.Request) (reply, error) {
	a, err := s.find(r)
	if err != nil {
		return nil, err
	}
	return text(a.Names().Write), nil
}

// importNames replaces names by those of a file, or adds them with merge.
func (s *Server) importNames(r *http.Request) (reply, error) {
	merge := false
	switch r.URL.Query().Get("merge") {
	case "", "false", "0":
	case "true", "1":
		merge = true
	default:
		return nil, badRequest("merge: expected true or false")
	}
	a, err := s.find(r)
	if err != nil {
		return nil, err
	}
	file, err := names.Read(r.Body)
	if err != nil {
		return nil, err
	}
	if a, err = s.apps.SetNames(a.ID, file.Names, merge); err != nil {
		return nil, err
	}
	return s.namesChanged(r, "import names", a, file), nil
}

func (s *Server) clearNames(r *http.Request) (reply, error) {
	a, err := s.apps.SetNames(pathID(r), nil, false)
	if err != nil {
		return nil, err
	}
	return s.namesChanged(r, "clear names", a, names.File{}), nil
}

func (s *Server) setName(r *http.Request) (reply, error) {
	var body control.Name
	if err := readJSON(r, &body, "kind", "id", "name"); err != nil {
		return nil, err
	}
	kind, known := names.ParseKind(body.Kind)
	switch {
	case !known:
		return nil, badRequest("kind %q: expected %s", body.Kind, oneOf(names.Words()))
	case strings.TrimSpace(body.ID) == "":
		return nil, badRequest("id: is required")
	}
	a, err := s.apps.SetName(pathID(r), names.Name{Kind: kind, ID: body.ID, Name: body.Name})
	if err != nil {
		return nil, err
	}
	return s.namesChanged(r, "set name", a, names.File{}, slog.String("kind", kind.String()),
			slog.String("id", body.ID)),
		nil
}

// namesChanged answers a change of an app's names, and logs it.
func (s *Server) namesChanged(r *http.Request, action string, a *app.App, file names.File, more ...slog.Attr) reply {
	report := describe.NamesReport(a, file)
	s.auditApp(r, action, a, append(more, slog.Int("users", report.Users), slog.Int("infobases", report.Infobases))...)
	return object(report)
}
