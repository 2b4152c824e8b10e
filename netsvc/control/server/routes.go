package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/gorilla/mux"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// maxBodyBytes bounds the body of a request, unless its route says otherwise.
const maxBodyBytes = 1 << 20

// route is a row of the table of all that can be asked. There is no column for who
// may ask: whoever the guard admits may do everything.
type route struct {
	method, path string
	// handle returns the object to answer with, or an error; a handler that has
	// answered itself returns neither. The request's body is in memory, without a
	// byte order mark.
	handle  func(w http.ResponseWriter, r *http.Request) (any, error)
	query   []string // parameters it takes
	maxBody int64    // bytes; 0: maxBodyBytes
}

// routes is the table. Paths are below /v1.
func (s *Server) routes() []route {
	return []route{
		{method: "GET", path: "/status", handle: s.status, query: []string{"by_app"}},
		{method: "GET", path: "/apps", handle: s.listApps},
		{method: "POST", path: "/apps", handle: s.createApp},
		{method: "GET", path: "/apps/{id}", handle: s.showApp},
		{method: "PATCH", path: "/apps/{id}", handle: s.renameApp},
		{method: "DELETE", path: "/apps/{id}", handle: s.removeApp},
		{method: "POST", path: "/apps/{id}/server-key", handle: s.rotateServerKey},
		{method: "POST", path: "/apps/{id}/client-key", handle: s.rotateClientKey},
		{method: "POST", path: "/apps/{id}/reset-token", handle: s.resetToken},
		{method: "GET", path: "/sessions", handle: s.listSessions, query: sessionParameters},
		{method: "DELETE", path: "/sessions/{id}", handle: s.closeSession, query: []string{"since"}},
		{method: "POST", path: "/messages", handle: s.sendMessage},
		{method: "POST", path: "/import", handle: s.importKeys, maxBody: app.MaxImportBytes},
		{method: "GET", path: "/export", handle: s.exportKeys},
		{method: "GET", path: "/explain", handle: s.explain, query: []string{"app", "ib", "user", "group"}},
		{method: "GET", path: "/logs", handle: s.listLogs, query: []string{"level", "q", "tail", "follow"}},
		{method: "PUT", path: "/log-level", handle: s.changeLogLevel},
		{method: "GET", path: "/events", handle: s.listEvents, query: []string{"event", "app", "q", "tail", "follow"}},
		{method: "GET", path: "/metrics", handle: s.metrics},
		{method: "POST", path: "/reload", handle: s.reload},
		{method: "POST", path: "/upgrade", handle: s.upgrade},
		{method: "GET", path: "/backup", handle: s.backup},
	}
}

// router serves the table, and refuses other paths, and other methods on its paths.
func (s *Server) router() http.Handler {
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	methods := make(map[string][]string)
	var paths []string
	for _, r := range s.routes() {
		router.Methods(r.method).Path("/v1" + r.path).Handler(s.handler(r))
		if methods[r.path] == nil {
			paths = append(paths, r.path)
		}
		methods[r.path] = append(methods[r.path], r.method)
	}
	for _, path := range paths {
		allow := strings.Join(methods[path], ", ")
		router.Path("/v1" + path).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			s.writeError(w, r, refuse(http.StatusMethodNotAllowed, control.CodeMethodNotAllowed, "the method is not allowed here, only "+allow))
		})
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.writeError(w, r, refuse(http.StatusNotFound, control.CodeNotFound, "there is no such route"))
	})
	return router
}

// handler serves a row of the table.
func (s *Server) handler(row route) http.Handler {
	limit := row.maxBody
	if limit == 0 {
		limit = maxBodyBytes
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.writeError(w, r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		object, err := answer(w, r, row, limit)
		switch {
		case err != nil:
			s.writeError(w, r, err)
		case object != nil:
			writeJSON(w, http.StatusOK, object)
		}
	})
}

// answer reads a request whole and hands it to the row's handler. The body is read
// even where none is expected: one that is too large is refused everywhere, and a
// client that is still writing gets to see the answer.
func answer(w http.ResponseWriter, r *http.Request, row route, maxBody int64) (any, error) {
	if err := onlyParameters(r, row.query); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, err
	}
	if err != nil {
		return nil, badRequest("the body broke off: %v", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(bytes.TrimPrefix(body, []byte("\uFEFF"))))
	return row.handle(w, r)
}

// pathID is the id in the request's path.
func pathID(r *http.Request) string {
	id, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return "" // nothing has this id
	}
	return id
}
