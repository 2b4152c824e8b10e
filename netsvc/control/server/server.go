package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

const (
	maxHeaderBytes = 16 << 10
	headerTimeout  = 10 * time.Second
	idleTimeout    = time.Minute
)

// Info is the part of the status that only the whole daemon knows.
type Info struct {
	Uptime                   time.Duration
	Listen, Service, Control string    // addresses
	MetricsListen            string    // empty: nowhere
	TLSExpiresAt             time.Time // zero: no TLS
	TLSFailure               string    // why a renewed certificate is not in use; empty: there is none such
	LogLevel                 config.Level
	UpgradeFailed            error             // nil: none has
	LastHandover             *control.Handover // nil: there was none; not changed any more
	DatabaseUnavailable      error             // why the apps are served from memory; nil: they are not
	LastChangeInDoubt        bool              // see app.Registry.LastChangeInDoubt
	Stopping                 bool              // nobody is accepted any more, and the queues drain
	RestartNeeded            []string          // settings that wait for a restart
	SettingsNotRead          []string          // files that somebody may take for the settings
	BallastBytes             uint64            // of memory that is never touched
	Cluster                  *control.Cluster  // nil: the daemon is alone; not changed any more
}

// Options are what a Server needs, all of it.
type Options struct {
	Version string
	Apps    *app.Registry // lets the hub itself know of what changes
	Hub     *hub.Hub
	Publish hub.Publisher
	Log     *logring.Log
	History *history.History
	Stats   *stats.Recorder
	Info    func() Info
	// Reload reads the settings again. Its error is an *Error, in that language.
	Reload      func(locale.Lang) (control.ReloadReport, error)
	SetLogLevel func(config.Level)
	// HandingOver reports whether nothing can be done with sessions at present.
	HandingOver func() bool
	// Upgrade begins to have the program on disk take the place of this one, and
	// returns what Handover.ID will be; its error says to the person why that is not
	// possible. nil: never.
	Upgrade func(context.Context) (id string, err error)
	// Nodes and Membership are nil if this node is alone.
	Nodes      *Nodes
	Membership *Membership
	Logger     *slog.Logger
}

// Server answers administrators. Its methods may be called concurrently. End it
// with Shutdown.
type Server struct {
	version        string
	apps           *app.Registry
	hub            *hub.Hub
	publish        hub.Publisher
	log            *logring.Log
	history        *history.History
	stats          *stats.Recorder
	metricsHandler http.Handler
	info           func() Info
	reloadSettings func(locale.Lang) (control.ReloadReport, error)
	setLogLevel    func(config.Level)
	handingOver    func() bool
	beginUpgrade   func(context.Context) (id string, err error)
	nodes          *Nodes
	membership     *Membership
	logger         *slog.Logger
	http           *http.Server

	followers followers
	ending    context.Context // ends when Shutdown begins
	end       context.CancelFunc

	mu       sync.Mutex
	listener net.Listener // what Serve serves
}

// New returns a server that waits for Serve.
func New(o Options) *Server {
	s := &Server{
		version: o.Version, apps: o.Apps, hub: o.Hub, publish: o.Publish, log: o.Log, history: o.History, stats: o.Stats,
		metricsHandler: o.Stats.Handler(),
		info:           o.Info, reloadSettings: o.Reload, setLogLevel: o.SetLogLevel, beginUpgrade: o.Upgrade,
		handingOver: o.HandingOver, nodes: o.Nodes, membership: o.Membership, logger: o.Logger,
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.guard(s.router()),
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			if carried, ok := conn.(NodeConn); ok {
				return withPeer(ctx, carried.Caller)
			}
			return withPeer(ctx, socket.PeerOf(s.served(), conn))
		},
	}
	return s
}

// Serve answers on ln, which socket.Listen opened, until Shutdown; then it returns nil.
// It returns nil, too, when the listener is detached, and may then be called again.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	s.listener = ln
	s.mu.Unlock()
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// ServeNodes answers what other nodes carry here, by the same routes, until Shutdown or until
// ln is closed; then it returns nil. What ln accepts are NodeConns.
func (s *Server) ServeNodes(ln net.Listener) error {
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s *Server) served() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener
}

// Shutdown stops listening, ends the streams, and waits for other requests under
// way until ctx ends; what is left then is cut off, and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

// guard admits only those who may call, and no browsers: a page cannot reach a
// Unix socket, but what it relays to one would carry an Origin. Whoever calls is told
// which version answers.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(control.VersionHeader, s.version)
		p := peerOf(r.Context())
		why := p.Refusal
		if why == "" && len(r.Header["Origin"]) > 0 {
			why = "requests from web pages are refused"
		}
		if why != "" {
			s.logger.LogAttrs(r.Context(), slog.LevelWarn, "control request refused",
				append(peerAttrs(p), slog.String("reason", why))...)
			s.writeError(w, r, refuse(http.StatusForbidden, control.CodeForbidden, why))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// audit logs an administrative change with who made it.
func (s *Server) audit(r *http.Request, action string, attrs ...slog.Attr) {
	who := append([]slog.Attr{slog.String("action", action)}, peerAttrs(peerOf(r.Context()))...)
	s.logger.LogAttrs(r.Context(), slog.LevelInfo, "administration", append(who, attrs...)...)
}

// auditApp logs a change of an app, or on its behalf.
func (s *Server) auditApp(r *http.Request, action string, a *app.App, more ...slog.Attr) {
	s.audit(r, action, append([]slog.Attr{slog.String("app", a.ID), slog.String("title", a.Title)}, more...)...)
}
