package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

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
	if r.URL.Query().Has("at") {
		return s.takeNames(r, file.Names)
	}
	if merge {
		if err := s.takeNewestNames(r); err != nil {
			return nil, err
		}
	}
	if a, err = s.apps.SetNames(a.ID, file.Names, merge); err != nil {
		return nil, err
	}
	return s.namesChanged(r, "import names", a, file), nil
}

func (s *Server) clearNames(r *http.Request) (reply, error) {
	if r.URL.Query().Has("at") {
		return s.takeNames(r, nil)
	}
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
	if err := s.takeNewestNames(r); err != nil {
		return nil, err
	}
	a, err := s.apps.SetName(pathID(r), names.Name{Kind: kind, ID: body.ID, Name: body.Name})
	if err != nil {
		return nil, err
	}
	return s.namesChanged(r, "set name", a, names.File{}, slog.String("kind", kind.String()),
			slog.String("id", body.ID)),
		nil
}

// takeNewestNames has this node have the newest names before some of them are changed: what one node
// has holds as a whole. If it cannot have them soon, nothing may be changed.
func (s *Server) takeNewestNames(r *http.Request) error {
	if s.membership == nil {
		return nil
	}
	if err := s.membership.TakeNames(r.Context()); err != nil {
		return refuse(http.StatusServiceUnavailable, control.CodeClusterUnavailable, err.Error())
	}
	return nil
}

// namesChanged answers a change of an app's names, logs it, and has the other nodes take the
// names over.
func (s *Server) namesChanged(r *http.Request, action string, a *app.App, file names.File, more ...slog.Attr) reply {
	report := describe.NamesReport(a, file)
	s.auditApp(r, action, a, append(more, slog.Int("users", report.Users), slog.Int("infobases", report.Infobases))...)
	if s.nodes != nil {
		report.PendingNodes = s.shareNames(r.Context(), a)
	}
	return object(report)
}

// shareTime bounds how long the other nodes are waited for that take names over: there may be
// 100 000 of them.
const shareTime = 10 * time.Second

// shareNames has the other nodes take over the names of an app, and returns those that did not.
func (s *Server) shareNames(ctx context.Context, a *app.App) (pending []string) {
	about := question{method: http.MethodDelete, path: "/v1/apps/" + a.ID + "/names", within: shareTime,
		values: url.Values{"at": {strconv.FormatInt(a.NamesAt(), 10)}}}
	if a.Names() != nil {
		var file bytes.Buffer
		if err := a.Names().Write(&file); err != nil { // it is memory
			return nil
		}
		about.method, about.body = http.MethodPut, file.Bytes()
	}
	return s.askEach(ctx, s.nodes.Others(), about, func(_ int, response *http.Response) error {
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answered %s", response.Status)
		}
		return nil
	})
}

// takeNames takes over what another node has as the names of an app, since the time that it
// says.
func (s *Server) takeNames(r *http.Request, all []names.Name) (reply, error) {
	at, err := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64)
	if err != nil || at <= 0 {
		return nil, badRequest("at: expected milliseconds since 1970")
	}
	taken, err := s.apps.TakeNames(pathID(r), at, all)
	if err != nil {
		return nil, err
	}
	a, err := s.find(r)
	if err != nil {
		return nil, err
	}
	report := describe.NamesReport(a, names.File{})
	if taken {
		s.auditApp(r, "take names", a, slog.Int("users", report.Users), slog.Int("infobases", report.Infobases))
	}
	return object(report), nil
}

// namesTimes says, for other nodes, when the names of each app were changed last.
func (s *Server) namesTimes(*http.Request) (reply, error) {
	times := []control.NamesTime{}
	for _, a := range s.apps.List() {
		if a.NamesAt() > 0 {
			times = append(times, control.NamesTime{AppID: a.ID, At: a.NamesAt(), Names: a.Names().Len()})
		}
	}
	return object(times), nil
}
