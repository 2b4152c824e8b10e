package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/describe"
)

// graceBody rotates a key. Grace is a duration such as "24h" or "7d", or seconds.
type graceBody struct {
	Grace any `json:"grace"`
}

func (g graceBody) duration() (time.Duration, error) {
	bad := refuse(http.StatusBadRequest, control.CodeBadGrace,
		`grace: expected a duration such as "24h" or "7d", or seconds`)
	switch v := g.Grace.(type) {
	case nil:
		return 0, nil
	case float64:
		if d := v * float64(time.Second); d >= 0 && d <= float64(app.MaxGrace) {
			return time.Duration(d), nil
		}
		return 0, bad
	case string:
		d, err := config.ParseDuration(v)
		if err != nil {
			return 0, bad
		}
		return d, nil
	}
	return 0, bad
}

// describe is an app with how it is used.
func (s *Server) describe(a *app.App) control.App {
	use := describe.Use{Tokens: s.apps.TokenUse(a), KeySessions: make(map[int]int)}
	use.Sessions, _ = s.hub.AppSessions(a.ID)
	for _, k := range a.ClientKeys {
		use.KeySessions[k.Generation] = s.hub.KeySessions(a.ID, k.Generation)
	}
	return describe.App(a, use)
}

func (s *Server) listApps(r *http.Request) (reply, error) {
	if err := s.ownOnly(r.URL.Query()); err != nil {
		return nil, err
	}
	if s.merges(r.URL.Query()) {
		return object(s.describeAll(r.Context(), s.apps.List()...)), nil
	}
	objects := []control.App{}
	for _, a := range s.apps.List() {
		objects = append(objects, s.describe(a))
	}
	return object(objects), nil
}

// find returns the app in the request's path.
func (s *Server) find(r *http.Request) (*app.App, error) {
	a, ok := s.apps.Get(pathID(r))
	if !ok {
		return nil, app.ErrNotFound
	}
	return a, nil
}

func (s *Server) showApp(r *http.Request) (reply, error) {
	if err := s.ownOnly(r.URL.Query()); err != nil {
		return nil, err
	}
	a, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if s.merges(r.URL.Query()) {
		return object(s.describeOfAll(r.Context(), a)), nil
	}
	return object(s.describe(a)), nil
}

func (s *Server) createApp(r *http.Request) (reply, error) {
	var body control.TitleBody
	if err := readJSON(r, &body, "title"); err != nil {
		return nil, err
	}
	a, err := s.apps.Create(body.Title)
	if err != nil {
		return nil, err
	}
	s.auditApp(r, "create app", a)
	made := s.describe(a)
	made.PendingNodes = pendingOf(s.settle(r.Context(), a))
	return created("/v1/apps/"+a.ID, made), nil
}

func (s *Server) renameApp(r *http.Request) (reply, error) {
	var body control.TitleBody
	if err := readJSON(r, &body, "title"); err != nil {
		return nil, err
	}
	a, err := s.apps.Rename(pathID(r), body.Title)
	if err != nil {
		return nil, err
	}
	s.auditApp(r, "rename app", a)
	return object(s.changedOne(r, a, 0).App), nil
}

func (s *Server) removeApp(r *http.Request) (reply, error) {
	a, err := s.find(r)
	if err != nil {
		return nil, err
	}
	last := s.describe(a)
	if err := s.apps.Remove(a.ID); err != nil {
		return nil, err
	}
	// The registry told the hub, which has closed what it had to.
	closed := s.hub.ClosedBy(a.ID, 0)
	s.auditApp(r, "remove app", a, slog.Int("closed_sessions", closed))
	elsewhere := s.settle(r.Context(), a)[0]
	last.Sessions, last.PendingNodes = 0, elsewhere.pending
	return object(control.AppChange{App: last, ClosedSessions: closed + elsewhere.closed}), nil
}

func (s *Server) rotateServerKey(r *http.Request) (reply, error) {
	grace, err := readGrace(r)
	if err != nil {
		return nil, err
	}
	a, err := s.apps.RotateServerKey(pathID(r), grace)
	if err != nil {
		return nil, err
	}
	s.auditApp(r, "new server key", a, slog.Duration("grace", grace))
	return object(s.changedOne(r, a, 0)), nil
}

func (s *Server) rotateClientKey(r *http.Request) (reply, error) {
	grace, err := readGrace(r)
	if err != nil {
		return nil, err
	}
	a, err := s.apps.RotateClientKey(pathID(r), grace)
	if err != nil {
		return nil, err
	}
	closed := s.hub.ClosedBy(a.ID, a.ClientKeys[0].Generation) // as in removeApp
	s.auditApp(r, "new client key", a, slog.Duration("grace", grace), slog.Int("closed_sessions", closed))
	return object(s.changedOne(r, a, closed)), nil
}

// revokeOld ends old keys before their time.
func (s *Server) revokeOld(r *http.Request) (reply, error) {
	var body control.RevokeBody
	if err := readJSON(r, &body, "server", "client"); err != nil {
		return nil, err
	}
	if !body.Server && !body.Client {
		return nil, badRequest("server, client: expected true for one of them at least")
	}
	before, _ := s.hub.AppSessions(pathID(r))
	a, err := s.apps.RevokeOld(pathID(r), body.Server, body.Client)
	if err != nil {
		return nil, err
	}
	after, _ := s.hub.AppSessions(a.ID)
	closed := max(before-after, 0)
	s.auditApp(r, "revoke old keys", a, slog.Bool("server", body.Server), slog.Bool("client", body.Client),
		slog.Int("closed_sessions", closed))
	return object(s.changedOne(r, a, closed)), nil
}

// rotateBody renews keys of several apps, of all or of none.
type rotateBody struct {
	Apps []control.Rotation `json:"apps"`
	graceBody
}

func (s *Server) rotateKeys(r *http.Request) (reply, error) {
	var body rotateBody
	if err := readJSON(r, &body, "apps", "grace"); err != nil {
		return nil, err
	}
	grace, err := body.duration()
	if err != nil {
		return nil, err
	}
	var rotations []app.Rotation
	for _, one := range body.Apps {
		if !one.Server && !one.Client {
			return nil, badRequest("apps: server, client: expected true for one of them at least")
		}
		rotations = append(rotations, app.Rotation(one))
	}
	before := make(map[string]int)
	for _, one := range rotations {
		before[one.ID], _ = s.hub.AppSessions(one.ID)
	}
	apps, err := s.apps.RotateAll(rotations, grace) // after an error, those that it came too late for
	closed := make([]int, len(apps))
	for i, a := range apps {
		after, _ := s.hub.AppSessions(a.ID)
		closed[i] = max(before[rotations[i].ID]-after, 0)
		s.auditApp(r, "new keys", a, slog.Bool("server", rotations[i].Server), slog.Bool("client", rotations[i].Client),
			slog.Duration("grace", grace), slog.Int("closed_sessions", closed[i]))
	}
	if err != nil {
		return nil, err
	}
	return object(s.changed(r.Context(), apps, closed)), nil
}

func readGrace(r *http.Request) (time.Duration, error) {
	var body graceBody
	if err := readOptionalJSON(r, &body, "grace"); err != nil {
		return 0, err
	}
	return body.duration()
}

func (s *Server) resetToken(r *http.Request) (reply, error) {
	a, err := s.apps.ResetToken(pathID(r))
	if err != nil {
		return nil, err
	}
	s.auditApp(r, "reset tokens", a)
	return object(s.changedOne(r, a, 0).App), nil
}
