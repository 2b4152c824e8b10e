// Package netsvc assembles the daemon: it opens the database, the listeners and
// the control channel, connects them to the hub, and owns their life cycle.
//
// cmd/pns4ones runs one Server; tests run as many as they like in one process.
// What the parts do is theirs: wire knows the protocol, hub the sessions,
// httpapi the senders, control the administrators.
package netsvc

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/internal/listen"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

const (
	// After the end was asked for, requests under way may take requestTime to
	// finish, and then queued messages the rest of drainTime to be delivered.
	drainTime   = 5 * time.Second
	requestTime = 2 * time.Second
	// portPatience is how long a start waits for a port that an outgoing connection holds.
	portPatience = 10 * time.Second
	// databaseName is the database's file in the data folder.
	databaseName = "pns4ones.db"
)

// Options are what a Server needs.
type Options struct {
	Config  config.Config
	Version string
	// OldKeys are the places where the old product's keys file may be. The first that
	// is there is imported when the database is new. None need exist.
	OldKeys []string
	// NotRead are files that somebody may take for the settings, for the status.
	NotRead []string
	// Log receives the records that log_level lets through, which can change while
	// the daemon runs; it should let all of them through itself. nil: nobody does.
	Log slog.Handler
	// Load reads the settings again, as they were read for Config; Explain says
	// what is wrong with them, or with what they name, in a language. r is what was
	// loaded, nil if that failed.
	Load    func() (*config.Result, error)
	Explain func(lang locale.Lang, r *config.Result, err error) string
	// Inherited is what a server of another process has left; nil: nothing. Run goes
	// on with it. If Open fails it is still the caller's.
	Inherited *Estate
	// UpgradeFailed is why another process has not taken the place of this one, for
	// the status; nil: none was to.
	UpgradeFailed error
	// Upgrade has the program on disk take the place of this process; nil: it cannot.
	Upgrade func() error
}

// OpenCertificate reads and checks the certificate that the settings name; it is
// nil if they ask for plain HTTP.
func OpenCertificate(c *config.Config, logger *slog.Logger) (*httpapi.Certificate, error) {
	if c.SSLMode == config.SSLNone {
		return nil, nil
	}
	return httpapi.OpenCertificate(httpapi.TLSOptions{
		Mode: httpapi.TLSMode(c.SSLMode), Certificate: c.SSLCertificate, Key: c.SSLCertificateKey, Password: c.SSLCertificatePassword,
	}, logger)
}

// Server is the daemon: everything is open and bound when Open returns, and
// served while Run runs.
type Server struct {
	options      Options
	level        *slog.LevelVar
	log          *logring.Log
	logger       *slog.Logger
	history      *history.History
	stats        *stats.Recorder
	started      time.Time
	ballast      []byte
	certificate  atomic.Pointer[httpapi.Certificate] // nil: plain HTTP
	senders      *listen.Service
	sessions     *listen.Service
	metrics      *listen.Service // nil: off
	apps         *app.Registry
	hub          *hub.Hub
	http         *httpapi.Server
	control      *control.Server
	controlLn    net.Listener
	keysChanged  chan struct{} // wakes the keeper of key expiry
	oldKeys      oldKeys
	newFolder    bool           // the data folder did not exist
	accepting    sync.WaitGroup // services that accept connections
	keepSessions atomic.Bool
	notUpgraded  atomic.Pointer[error] // why; nil: nothing went wrong
	left         *Estate               // after Run
	// known are the apps as they were last told of; appChanged alone uses it.
	known map[string]*app.App

	reloading     sync.Mutex // held while settings change
	settings      atomic.Pointer[config.Config]
	restartNeeded atomic.Pointer[[]string]
	notRead       atomic.Pointer[[]string]
}

// Open checks and opens everything in an order that leaves nothing changed on
// disk if the settings, the certificate or an address are wrong. The errors of
// its parts can be told apart: *httpapi.CertificateError, *ListenError, *DatabaseError,
// *OldKeysError, *ControlError.
func Open(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Log == nil {
		o.Log = slog.DiscardHandler
	}
	level := new(slog.LevelVar)
	level.Set(o.Config.LogLevel.Slog())
	log := logring.New(o.Log, level)
	s := &Server{
		options: o, level: level, log: log, logger: slog.New(log), history: history.New(), started: time.Now(), ballast: newBallast(),
		keysChanged: make(chan struct{}, 1), known: make(map[string]*app.App),
	}
	s.settings.Store(&o.Config)
	if o.UpgradeFailed != nil {
		s.notUpgraded.Store(&o.UpgradeFailed)
	}
	s.restartNeeded.Store(new([]string))
	s.notRead.Store(&o.NotRead)
	defer func() {
		if err != nil {
			s.closeAll()
			s.removeNewDatabase()
		}
	}()
	c := &s.options.Config
	certificate, err := OpenCertificate(c, s.logger)
	if err != nil {
		return nil, err
	}
	s.certificate.Store(certificate)
	latency := stats.NewLatency()
	s.hub = hub.New(hub.Options{Limits: hubLimits(c), Logger: s.logger, Observe: s.history.Observe, Latency: latency.Observe})
	if s.senders, err = s.listen(ctx, "listen", c.Listen); err != nil {
		return nil, err
	}
	if s.sessions, err = s.listen(ctx, "service", c.Service); err != nil {
		return nil, err
	}
	if c.MetricsListen != nil {
		if s.metrics, err = s.listen(ctx, "metrics_listen", *c.MetricsListen); err != nil {
			return nil, err
		}
	}
	if err = s.openApps(); err != nil {
		return nil, err
	}
	if s.controlLn, err = control.Listen(c.Control); err != nil {
		return nil, &ControlError{Path: c.Control, Err: err}
	}
	s.http = httpapi.New(httpapi.Options{
		Apps: s.apps, Hub: s.hub, Certificate: certificate, Logger: s.logger, Limits: httpLimits(c), Observe: s.history.RequestRefused,
	})
	s.stats = stats.New(s.sources(latency))
	s.control = control.New(control.Options{
		Apps: s.apps, Hub: s.hub, Log: s.log, History: s.history, Stats: s.stats, Logger: s.logger,
		Info: s.info, Reload: s.reloadForControl, SetLogLevel: s.setLogLevel, Upgrade: s.upgrade(),
	})
	return s, nil
}

func (s *Server) listen(ctx context.Context, setting string, address config.Address) (*listen.Service, error) {
	options := listen.Options{Service: setting, Exhausted: s.evict, Patience: portPatience, Logger: s.logger}
	if e := s.options.Inherited; e != nil {
		options.Patience = 0 // the sessions of the process before are waiting
		sockets, err := e.takeSockets(setting, address)
		if err != nil {
			return nil, &ListenError{Setting: setting, Address: address, Err: err}
		}
		if len(sockets) > 0 {
			return listen.Adopt(sockets, address, options), nil
		}
	}
	service, err := listen.Open(ctx, address, options)
	if err != nil {
		return nil, &ListenError{Setting: setting, Address: address, Err: err}
	}
	return service, nil
}

// evict frees a descriptor if it can: one of a connection that has not registered, or of
// a sender that is idle.
func (s *Server) evict() bool {
	return s.hub.EvictUnregistered() || s.http.EvictIdle()
}

// openApps opens the database, imports the old keys into a new one, and tells
// the hub of every app.
func (s *Server) openApps() error {
	path := s.DatabasePath()
	if err := s.readOldKeys(path); err != nil {
		return err
	}
	_, err := os.Lstat(s.options.Config.DataDir)
	s.newFolder = errors.Is(err, fs.ErrNotExist)
	if config.Exposed(path) {
		return &DatabaseError{Path: path, Err: ErrExposed}
	}
	s.apps, err = app.Open(path, app.Options{Changed: s.appChanged})
	if err != nil {
		return &DatabaseError{Path: path, Err: errors.Unwrap(err)} // the path is said once
	}
	if _, err := s.apps.Expire(); err != nil {
		return &DatabaseError{Path: path, Err: err}
	}
	for _, a := range s.apps.List() {
		s.known[a.ID] = a
		s.tellHub(a.ID, a)
	}
	if !s.apps.Created() {
		return nil
	}
	return s.importOldKeys()
}

// Apps is the number of apps.
func (s *Server) Apps() int { return len(s.apps.List()) }

// DatabasePath is the file of the database.
func (s *Server) DatabasePath() string { return filepath.Join(s.options.Config.DataDir, databaseName) }

// SendersAddress is where senders connect, SessionsAddress where 1C sessions
// do, as a person writes it, with the actual port.
func (s *Server) SendersAddress() string { return s.senders.String() }

// SessionsAddress: see SendersAddress.
func (s *Server) SessionsAddress() string { return s.sessions.String() }

// SendersPort and SessionsPort are the actual TCP ports.
func (s *Server) SendersPort() int { return s.senders.Port() }

// SessionsPort: see SendersPort.
func (s *Server) SessionsPort() int { return s.sessions.Port() }

// Run serves until ctx ends, then finishes requests under way, lets the queues
// drain for up to 5 s, and closes everything. It returns nil after an orderly
// end, and the cause if a service failed. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	s.adopt()
	serve := func(service *listen.Service, serve func(net.Listener) error) {
		for _, ln := range service.Listeners() {
			s.accepting.Add(1)
			group.Go(func() error {
				defer s.accepting.Done()
				return serve(ln)
			})
		}
	}
	serve(s.senders, s.http.Serve)
	serve(s.sessions, s.hub.Serve)
	group.Go(func() error { return s.control.Serve(s.controlLn) })
	if s.metrics != nil {
		group.Go(func() error { return s.serveMetrics(ctx) })
	}
	group.Go(func() error { return s.keepKeys(ctx) })
	group.Go(func() error { return s.stats.Run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		if s.keepSessions.Load() {
			s.leave()
		} else {
			s.drain()
		}
		return nil
	})
	err := group.Wait()
	if closeErr := s.apps.Close(); err == nil {
		err = closeErr
	}
	return err
}

// drain ends the services in the order in which a message passes them.
func (s *Server) drain() {
	deadline, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	s.senders.Close()
	s.sessions.Close()
	requests, cancelRequests := context.WithTimeout(deadline, requestTime)
	defer cancelRequests()
	if err := s.http.Shutdown(requests); err != nil {
		s.logger.Warn("requests were cut off at the end", slog.Any("error", err))
	}
	if err := s.control.Shutdown(requests); err != nil {
		s.logger.Warn("control requests were cut off at the end", slog.Any("error", err))
	}
	if err := s.hub.Shutdown(deadline); err != nil {
		s.logger.Warn("messages were still queued at the end", slog.Any("error", err))
	}
}

// closeAll undoes an Open that failed half-way.
func (s *Server) closeAll() {
	if s.controlLn != nil {
		s.controlLn.Close()
	}
	if s.apps != nil {
		s.apps.Close()
	}
	if s.senders != nil {
		s.senders.Close()
	}
	if s.sessions != nil {
		s.sessions.Close()
	}
	if s.metrics != nil {
		s.metrics.Close()
	}
	if s.hub != nil {
		s.hub.Shutdown(context.Background())
	}
}

// removeNewDatabase takes back the database that a failed Open made: with it
// there, the next start would not import the old keys.
func (s *Server) removeNewDatabase() {
	if s.apps == nil || !s.apps.Created() {
		return
	}
	if err := os.Remove(s.DatabasePath()); err != nil {
		s.logger.Error("the new database could not be removed again", slog.Any("error", err))
	}
	if s.newFolder {
		os.Remove(s.options.Config.DataDir) // fails if something else is in it by now
	}
}
