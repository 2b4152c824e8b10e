package httpapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/failurelog"
)

// Fixed limits of protocol.md section 5, and those it leaves to us.
const (
	// MaxHeaderBytes bounds a request line with its header fields.
	MaxHeaderBytes = 16 << 10
	// headerSlop is what net/http reads beyond http.Server.MaxHeaderBytes.
	headerSlop = 4096

	headerTimeout = 10 * time.Second // from the first byte to the end of the header; also for a TLS handshake
	bodyTimeout   = 60 * time.Second // from the end of the header to the end of the body
	writeTimeout  = 30 * time.Second // for the answer, which is a few hundred bytes
	// idleTimeout is longer than the minute for which nginx keeps a connection
	// to a backend, so that it is nginx that closes, not we under a request.
	idleTimeout = 2 * time.Minute
)

// Limits are the settings that may change while the server runs. What they are when
// nobody says anything is said in package config.
type Limits struct {
	TokenLifetime   time.Duration  // how long a token works
	ExpiresIn       config.Epoch   // what expires_in of /auth counts from
	MaxMessageBytes int64          // of the body of /sendmessage
	MaxSenders      int            // connections of senders; 0: 10 000
	TrustedProxies  []netip.Prefix // whose X-Forwarded-For is believed, beside loopback's; none
}

// Options are what a Server needs.
type Options struct {
	Apps        *app.Registry
	Publish     hub.Publisher
	Limits      Limits
	Certificate *certificate.Certificate // nil: plain HTTP
	Logger      *slog.Logger             // slog.Default()
	// Observe is told of every refused request; nil: nobody is. It is called from
	// many goroutines and must return soon.
	Observe func(Refused)
	// Health is what a balancer is told, and whether it is good; nil: "ok", always. asPart: the
	// balancer has other nodes of a cluster to choose from.
	Health func(asPart bool) (status string, good bool)
}

// Refused is a request that was refused. It has no secrets.
type Refused struct {
	Time   time.Time
	Peer   netip.Addr // see protocol.md section 3.3
	Reason Reason
	AppID  string // of the app whose sender it is; empty: not known
	Detail string // what is wrong with the request; empty: Reason says it all
}

// Server answers senders. All methods may be called concurrently. End it with
// Shutdown, also if Serve was never called.
type Server struct {
	apps        *app.Registry
	publish     hub.Publisher
	log         *slog.Logger
	observe     func(Refused) // nil: nobody is told
	health      func(asPart bool) (status string, good bool)
	limits      atomic.Pointer[Limits]
	certificate atomic.Pointer[certificate.Certificate]
	tls         *tls.Config                 // nil: plain HTTP
	http        atomic.Pointer[http.Server] // another one after Resume
	bodies      bodyPool
	counters    *counters
	failures    *failurelog.Log
	unusable    onceByApp // has been told of keys in Data that 1C cannot hold
	timeouts    timeouts
	patience    time.Duration // with an idle connection that has had no success
	crowd       crowd
	leaving     atomic.Bool // see Leaving

	mu       sync.Mutex
	busy     map[net.Conn]http.ConnState // those new or active
	lastDone chan struct{}               // is closed when busy gets empty; nil: nobody waits
	closing  bool                        // those new are closed at once
}

// New returns a server that waits for listeners.
func New(o Options) *Server {
	return newServer(o, timeouts{headerTimeout, bodyTimeout, drainTime})
}

// timeouts are those a test would not wait for.
type timeouts struct{ header, body, drain time.Duration }

func newServer(o Options, t timeouts) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{
		apps:     o.Apps,
		publish:  o.Publish,
		log:      o.Logger,
		observe:  o.Observe,
		health:   o.Health,
		counters: newCounters(),
		failures: failurelog.New(o.Logger, "request refused"),
		timeouts: t,
		patience: min(idleWithoutSuccess, t.header),
		busy:     make(map[net.Conn]http.ConnState),
	}
	s.SetLimits(o.Limits)
	if o.Certificate != nil {
		s.certificate.Store(o.Certificate)
		s.tls = o.Certificate.TLSConfig()
		s.tls.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.certificate.Load().GetCertificate(hello)
		}
	}
	s.http.Store(s.newHTTP(s.routes()))
	return s
}

// newHTTP is a server of net/http, which can be ended once.
func (s *Server) newHTTP(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	t := s.timeouts
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		MaxHeaderBytes:    MaxHeaderBytes - headerSlop,
		ReadHeaderTimeout: t.header,
		ReadTimeout:       t.header + t.body,     // counts from the start of the header
		WriteTimeout:      t.body + writeTimeout, // counts from the end of the header
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.New(serverLog{s}, "", 0),
		ConnState:         s.connState,
		ConnContext:       withConn,
		// «OPTIONS *» would be answered with 200 instead of by our routes.
		DisableGeneralOptionsHandler: true,
	}
}

// SetLimits replaces the limits. Requests under way keep those they began with.
func (s *Server) SetLimits(l Limits) {
	l.MaxSenders = cmp.Or(l.MaxSenders, 10_000)
	l.TrustedProxies = slices.Clone(l.TrustedProxies)
	s.limits.Store(&l)
}

// SetCertificate serves another certificate from the next handshake on, as when
// the settings name other files. It has no effect on a server that was made
// without one: that speaks plain HTTP for good.
func (s *Server) SetCertificate(c *certificate.Certificate) {
	if c != nil && s.tls != nil {
		s.certificate.Store(c)
	}
}

// Serve accepts senders until the listener is closed or Shutdown is called, and
// then returns nil; requests under way go on. It may be called for several
// listeners at once. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	err := s.http.Load().Serve(listener{ln, s})
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Shutdown accepts nobody any more, waits for requests under way, and at the
// end of ctx cuts them off: then it returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	var silent []net.Conn
	for conn, state := range s.busy {
		if state == http.StateNew {
			silent = append(silent, conn)
		}
	}
	s.mu.Unlock()
	for _, conn := range silent {
		conn.Close()
	}
	defer s.failures.Close()
	return s.end(ctx)
}

// Leaving has each connection end with its next answer, which says so: a sender that asks
// often has no idle connection by the time Finish closes those, which could be in the moment
// of its next request. With false they are kept again, as they are after Resume.
func (s *Server) Leaving(leaving bool) { s.leaving.Store(leaving) }

// Finish is Shutdown with patience for those who have connected, but not asked
// yet: they are about to. All calls of Serve must have returned. Resume undoes it.
func (s *Server) Finish(ctx context.Context) error {
	s.http.Load().SetKeepAlivesEnabled(false)
	// Shutdown of net/http drops requests that it reads after it was called.
	select {
	case <-s.idle():
	case <-ctx.Done():
	}
	return s.end(ctx)
}

// Resume has Serve accept again after Finish.
func (s *Server) Resume() {
	s.Leaving(false)
	s.http.Store(s.newHTTP(s.Handler()))
}

func (s *Server) end(ctx context.Context) error {
	server := s.http.Load()
	err := server.Shutdown(ctx)
	if err != nil {
		server.Close()
	}
	return err
}

// connState knows the connections on which a request is expected or under way. On
// some of them none ever comes: net/http would let each hold up Shutdown for 5 s.
func (s *Server) connState(conn net.Conn, state http.ConnState) {
	if s.noteState(conn, state) && state == http.StateNew {
		conn.Close()
	}
}

// noteState notes the state of a connection, and reports whether the server is closing.
func (s *Server) noteState(conn net.Conn, state http.ConnState) (closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		s.busy[conn] = state
	} else {
		delete(s.busy, conn)
	}
	if len(s.busy) == 0 && s.lastDone != nil {
		close(s.lastDone)
		s.lastDone = nil
	}
	return s.closing
}

// idle returns a channel that is closed when no connection is busy any more.
func (s *Server) idle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := make(chan struct{})
	if len(s.busy) == 0 {
		close(done)
	} else {
		s.lastDone = done
	}
	return done
}

// Handler returns what answers the requests, for tests without a connection.
func (s *Server) Handler() http.Handler { return s.http.Load().Handler }

// routes is all there is (protocol.md section 3).
func (s *Server) routes() http.Handler {
	router := mux.NewRouter()
	// Without this, //auth would be answered with 301: the 1C extension does
	// not follow it, and the place it leads to holds the query with the key.
	router.SkipClean(true)
	allowed := make(map[string]string)
	for _, route := range []struct {
		path, method string
		handler      http.HandlerFunc
	}{
		{"/sendmessage", http.MethodPost, s.sendMessage}, // the first is found soonest
		{"/auth", http.MethodGet, s.auth},
	} {
		router.HandleFunc(route.path, route.handler).Methods(route.method)
		allowed[route.path] = route.method
	}
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := allowed[r.URL.Path]
		w.Header().Set("Allow", method)
		s.refuse(w, r, refusal{status: http.StatusMethodNotAllowed, reason: ReasonWrongMethod,
			text: "only " + method + " is answered here"})
	})
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if checksHealth(r) {
			s.healthCheck(w, r)
			return
		}
		s.refuse(w, r, refusal{status: http.StatusNotFound, reason: ReasonUnknownPath,
			text: "there are only /auth and /sendmessage here"})
	})
	// Router.ServeHTTP would make two copies of the request, to put into its context
	// what nobody looks for here.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer begin(r).end()
		if s.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		r = asRouted(r, allowed)
		var match mux.RouteMatch
		router.Match(r, &match)
		match.Handler.ServeHTTP(w, r)
	})
}

// serverLog receives what net/http has to say: lines of text, each in one
// Write. None of them holds a URL, a header field or a body.
type serverLog struct{ server *Server }

func (l serverLog) Write(line []byte) (int, error) {
	const (
		panicked = "http: panic serving "
		accept   = "http: Accept error: "
	)
	text := strings.TrimSpace(string(line))
	level := slog.LevelDebug
	switch {
	case strings.HasPrefix(text, panicked):
		level = slog.LevelError
	case strings.HasPrefix(text, accept):
		level = slog.LevelWarn
	}
	l.server.log.Log(context.Background(), level, "http server", slog.String("text", text))
	return len(line), nil
}
