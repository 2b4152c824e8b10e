package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

const (
	// maxBodyBytes bounds a request, but for an import (app.MaxImportBytes).
	maxBodyBytes = 1 << 20

	headerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
)

// Info is the part of the status that only the whole daemon knows.
type Info struct {
	Version                  string
	Uptime                   time.Duration
	Listen, Service, Control string    // addresses
	TLSExpiresAt             time.Time // zero: no TLS
}

// Options are what a Server needs.
type Options struct {
	Apps   *app.Registry // tells the hub itself of what changes
	Hub    *hub.Hub
	Info   func() Info
	Logger *slog.Logger
}

// Server answers administrators. Its methods may be called concurrently. End it
// with Shutdown.
type Server struct {
	apps   *app.Registry
	hub    *hub.Hub
	info   func() Info
	logger *slog.Logger
	http   *http.Server

	mu       sync.Mutex
	listener net.Listener // what Serve serves
}

// New returns a server that waits for Serve.
func New(o Options) *Server {
	s := &Server{apps: o.Apps, hub: o.Hub, info: o.Info, logger: o.Logger}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnContext:       func(ctx context.Context, conn net.Conn) context.Context { return withPeer(ctx, peerFrom(conn)) },
	}
	return s
}

// Serve answers on ln, which Listen opened, until Shutdown; then it returns nil.
// It is called once.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.listener = ln
	s.mu.Unlock()
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops listening and waits for requests under way until ctx ends; what
// is left then is cut off, and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

// route is a row of the table of all that can be asked.
type route struct {
	method, path string
	handle       func(w http.ResponseWriter, r *http.Request) (any, error)
	maxBody      int64 // bytes; 0: maxBodyBytes
}

// table lists the routes. A handler returns the object to answer with, or an
// error; one that has answered itself returns neither.
func (s *Server) table() []route {
	return []route{
		{method: "GET", path: "/status", handle: s.status},
		{method: "GET", path: "/apps", handle: s.listApps},
		{method: "POST", path: "/apps", handle: s.createApp},
		{method: "GET", path: "/apps/{id}", handle: s.showApp},
		{method: "PATCH", path: "/apps/{id}", handle: s.renameApp},
		{method: "DELETE", path: "/apps/{id}", handle: s.removeApp},
		{method: "POST", path: "/apps/{id}/server-key", handle: s.rotateServerKey},
		{method: "POST", path: "/apps/{id}/client-key", handle: s.rotateClientKey},
		{method: "POST", path: "/apps/{id}/reset-token", handle: s.resetToken},
		{method: "GET", path: "/sessions", handle: s.listSessions},
		{method: "DELETE", path: "/sessions/{id}", handle: s.closeSession},
		{method: "POST", path: "/messages", handle: s.sendMessage},
		{method: "POST", path: "/import", handle: s.importKeys, maxBody: app.MaxImportBytes},
		{method: "GET", path: "/export", handle: s.exportKeys},
	}
}

// routes builds the handler: the table, and for each of its paths the methods
// that it does not take.
func (s *Server) routes() http.Handler {
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	methods := make(map[string][]string)
	var paths []string
	for _, r := range s.table() {
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
			s.writeError(w, r, &Error{http.StatusMethodNotAllowed, CodeMethodNotAllowed, "the method is not allowed here, only " + allow})
		})
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.writeError(w, r, &Error{http.StatusNotFound, CodeNotFound, "there is no such route"})
	})
	return s.guard(router)
}

// guard admits only those who may call, and no browsers: a page cannot reach a
// Unix socket, but what it relays to one would carry an Origin.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		ln := s.listener
		s.mu.Unlock()
		p := peerOf(r.Context())
		switch {
		case !allowed(ln, p):
			s.logger.Warn("control request refused", slog.Int("uid", p.uid), slog.String("user", p.name()), slog.String("method", r.Method))
			s.writeError(w, r, &Error{http.StatusForbidden, CodeForbidden,
				"user " + p.name() + " may not administer this daemon: only root, the daemon's own user and members of the socket's group may"})
		case r.Header.Get("Origin") != "":
			s.writeError(w, r, &Error{http.StatusForbidden, CodeForbidden, "requests from web pages are refused"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) handler(row route) http.Handler {
	limit := row.maxBody
	if limit == 0 {
		limit = maxBodyBytes
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		object, err := row.handle(w, r)
		switch {
		case err != nil:
			s.writeError(w, r, err)
		case object != nil:
			writeJSON(w, http.StatusOK, object)
		}
	})
}

// readJSON reads a request's body into object. An empty body leaves it as it is
// if that is allowed.
func readJSON(r *http.Request, object any, mayBeEmpty bool) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(object)
	if errors.Is(err, io.EOF) && mayBeEmpty {
		return nil
	}
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON")
		}
	}
	return bodyError(err)
}

// bodyError keeps the error of a body that is too large, and makes every other
// one a bad request.
func bodyError(err error) error {
	if err == nil {
		return nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	return badRequest("the body is not what is expected: %v", err)
}

// audit logs an administrative change with who made it.
func (s *Server) audit(r *http.Request, action string, attrs ...slog.Attr) {
	p := peerOf(r.Context())
	s.logger.LogAttrs(r.Context(), slog.LevelInfo, "administration",
		append([]slog.Attr{slog.String("action", action), slog.Int("uid", p.uid), slog.String("user", p.name())}, attrs...)...)
}
