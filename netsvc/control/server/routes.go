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
	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// maxBodyBytes bounds the body of a request, unless its route says otherwise.
const maxBodyBytes = 1 << 20

// route is a row of the table of all that can be asked.
type route struct {
	method, path string
	access       access
	// handle returns what to answer with, or an error. The request's body is in
	// memory, without a byte order mark.
	handle  func(r *http.Request) (reply, error)
	query   []string // parameters it takes
	maxBody int64    // bytes; 0: maxBodyBytes
	slow    bool     // it may take minutes until the answer begins
}

// bodyLimit is the size of the largest body, in bytes.
func (row *route) bodyLimit() int64 {
	if row.maxBody > 0 {
		return row.maxBody
	}
	return maxBodyBytes
}

// access says what a route lets its caller do. Whoever the guard admits may do both.
type access int

const (
	read   access = iota // look at apps, sessions and the daemon, keys included
	change               // change them; it is logged with who made the change
)

// routes is the table. Paths are below /v1.
func (s *Server) routes() []route {
	return []route{
		{method: "GET", path: "/healthz", access: read, handle: s.health, query: []string{"cluster"}},
		{method: "GET", path: "/status", access: read, handle: s.status, query: []string{"by_app"}},
		{method: "GET", path: "/apps", access: read, handle: s.listApps, query: []string{"node"}},
		{method: "POST", path: "/apps", access: change, handle: s.createApp},
		{method: "GET", path: "/apps/{id}", access: read, handle: s.showApp, query: []string{"node"}},
		{method: "PATCH", path: "/apps/{id}", access: change, handle: s.renameApp},
		{method: "DELETE", path: "/apps/{id}", access: change, handle: s.removeApp},
		{method: "POST", path: "/apps/{id}/server-key", access: change, handle: s.rotateServerKey},
		{method: "POST", path: "/apps/{id}/client-key", access: change, handle: s.rotateClientKey},
		{method: "POST", path: "/apps/{id}/reset-token", access: change, handle: s.resetToken},
		{method: "GET", path: "/apps/{id}/names", access: read, handle: s.listNames},
		{method: "PUT", path: "/apps/{id}/names", access: change, handle: s.importNames, query: []string{"merge", "at"},
			maxBody: names.MaxFileBytes, slow: true},
		{method: "PATCH", path: "/apps/{id}/names", access: change, handle: s.setName},
		{method: "DELETE", path: "/apps/{id}/names", access: change, handle: s.clearNames, query: []string{"at"}},
		{method: "GET", path: "/names", access: read, handle: s.namesTimes},
		{method: "GET", path: "/apps/{id}/names/file", access: read, handle: s.exportNames},
		{method: "POST", path: "/apps/{id}/revoke-old", access: change, handle: s.revokeOld},
		{method: "POST", path: "/rotate", access: change, handle: s.rotateKeys},
		{method: "GET", path: "/sessions", access: read, handle: s.listSessions, query: sessionParameters},
		{method: "DELETE", path: "/sessions/{id}", access: change, handle: s.closeSession, query: []string{"since"}},
		{method: "POST", path: "/messages", access: change, handle: s.sendMessage},
		{method: "POST", path: "/import", access: change, handle: s.importKeys, maxBody: app.MaxImportBytes,
			slow: true},
		{method: "GET", path: "/export", access: read, handle: s.exportKeys},
		{method: "GET", path: "/people", access: read, handle: s.listPeople, query: []string{"app", "q", "limit", "node"}},
		{method: "GET", path: "/infobases", access: read, handle: s.listInfobases, query: []string{"app", "node"}},
		{method: "GET", path: "/explain", access: read, handle: s.explain,
			query: []string{"app", "ib", "user", "group", "node"}},
		{method: "GET", path: "/logs", access: read, handle: s.listLogs,
			query: []string{"level", "q", "message", "since", "tail", "follow"}},
		{method: "PUT", path: "/log-level", access: change, handle: s.changeLogLevel},
		{method: "GET", path: "/events", access: read, handle: s.listEvents,
			query: []string{"event", "app", "q", "tail", "follow"}},
		{method: "GET", path: "/history", access: read, handle: s.pastOf, query: []string{"app", "span"}},
		{method: "GET", path: "/metrics", access: read, handle: s.metrics},
		{method: "POST", path: "/reload", access: change, handle: s.reload},
		{method: "POST", path: "/upgrade", access: change, handle: s.upgrade},
		{method: "POST", path: "/cluster/join", access: change, handle: s.joinCluster, slow: true},
		{method: "POST", path: "/cluster/restore", access: change, handle: s.restoreCluster, slow: true},
		{method: "DELETE", path: "/cluster/nodes/{id}", access: change, handle: s.forgetNode, query: []string{"node"}},
		{method: "GET", path: "/backup", access: read, handle: s.backup, slow: true},
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
			s.writeError(w, r, refuse(http.StatusMethodNotAllowed, control.CodeMethodNotAllowed,
				"the method is not allowed here, only "+allow))
		})
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.writeError(w, r, refuse(http.StatusNotFound, control.CodeNotFound, "there is no such route"))
	})
	return router
}

// handler serves a row of the table.
func (s *Server) handler(row route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node, err := s.elsewhere(r, row)
		switch {
		case err != nil:
			s.writeError(w, r, err)
			return
		case node != "":
			s.forward(w, r, node, row, s.patience(row))
			return
		}
		defer func() {
			if p := recover(); p != nil {
				s.writeError(w, r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		if row.access == change && s.handingOver() {
			s.writeError(w, r, app.ErrHandingOver)
			return
		}
		answer, err := ask(w, r, row)
		if err == nil {
			err = answer(w, r)
		}
		if err != nil {
			s.writeError(w, r, err)
		}
	})
}

// ask reads a request whole and hands it to the row's handler. The body is read even
// where none is expected: one that is too large is refused everywhere, and a
// client that is still writing gets to see the answer.
func ask(w http.ResponseWriter, r *http.Request, row route) (reply, error) {
	if err := onlyParameters(r, row.query); err != nil {
		return nil, err
	}
	body, err := readBody(w, r, row.bodyLimit())
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(bytes.TrimPrefix(body, []byte("\uFEFF"))))
	return row.handle(r)
}

// readBody reads the whole body of a request.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); err != nil && !tooLarge {
		err = badRequest("the body broke off: %v", err)
	}
	return body, err
}

// pathID is the id in the request's path.
func pathID(r *http.Request) string {
	id, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return "" // nothing has this id
	}
	return id
}
