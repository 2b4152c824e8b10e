// Package netsvc assembles the daemon: it opens the database, the listeners and
// the control channel, connects them to the hub, and owns their life cycle.
//
// cmd/pns4ones runs one Server; tests run as many as they like in one process.
// What the parts do is theirs: wire knows the protocol, hub the sessions,
// httpapi the senders, control the administrators.
package netsvc

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
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
	// Load reads the settings again, as they were read for Config; ErrorText says
	// what is wrong with them, or with what they name, in a language. r is what was
	// loaded, nil if that failed.
	Load      func() (*config.Result, error)
	ErrorText func(lang locale.Lang, r *config.Result, err error) string
	// Succession is how sessions come from the process before this one and go to the
	// one after it; nil: they do not.
	Succession *Succession
	// Serving is called by Run when senders and sessions are served.
	Serving func()
	// RetryEvery is how often it is tried again to open what could not be opened when
	// the sessions were taken over, and looked whether the control channel is there; 10 s.
	RetryEvery time.Duration
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
	certificate  atomic.Pointer[certificate.Certificate] // nil: plain HTTP
	senders      *listen.Service
	sessions     *listen.Service
	metrics      *listen.Service // nil: off
	metricsHTTP  *http.Server
	apps         *app.Registry
	hub          *hub.Hub
	membership   *membership                  // nil: a single node
	node         atomic.Pointer[cluster.Node] // nil: it is no part of a cluster at present
	http         *httpapi.Server
	control      *server.Server
	keysChanged  chan struct{} // wakes the keeper of key expiry
	databaseAway chan struct{} // wakes the keeper of the database
	controlAway  chan struct{} // wakes the keeper of the control channel
	oldKeys      oldKeys
	newFolder    bool // the data folder did not exist

	services  *errgroup.Group // while Run runs
	accepting sync.WaitGroup  // those that accept connections
	stopping  atomic.Bool     // the end has begun, and nobody takes the sessions over
	takeover  *takeover       // what Run is going to take over; nil: nothing
	hander    *hander
	// handedOver is the latest hand-over, notUpgraded why the latest upgrade failed;
	// nil: there was none, or it has not failed.
	handedOver  atomic.Pointer[control.Handover]
	notUpgraded atomic.Pointer[error]

	controlMu sync.Mutex
	controlLn net.Listener // nil: it is not open; guarded by controlMu
	// controlShut: it is not to be opened, for a hand-over has begun; guarded by controlMu.
	controlShut bool

	// telling is held while the hub and the history are told of apps. known are the
	// apps as they were last told of, guarded by it.
	telling sync.Mutex
	known   map[string]*app.App
	closed  map[string]int // sessions by app, while applyAgreed runs; guarded by telling

	reloading     sync.Mutex // held while settings change
	settings      atomic.Pointer[config.Config]
	restartNeeded atomic.Pointer[[]string]
	notRead       atomic.Pointer[[]string]
}

// Open checks and opens everything in an order that leaves nothing changed on
// disk if the settings, the certificate or an address are wrong. The errors of
// its parts can be told apart: *certificate.Error, *ClusterError, *ListenError,
// *DatabaseError, *OldKeysError, *ControlError.
func Open(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Log == nil {
		o.Log = slog.DiscardHandler
	}
	o.RetryEvery = cmp.Or(o.RetryEvery, 10*time.Second)
	level := new(slog.LevelVar)
	level.Set(o.Config.LogLevel.Slog())
	log := logring.New(o.Log, level)
	s := &Server{
		options: o, level: level, log: log, logger: slog.New(log), history: history.New(), started: time.Now(),
		ballast:     newBallast(),
		keysChanged: make(chan struct{}, 1), databaseAway: make(chan struct{}, 1), controlAway: make(chan struct{}, 1),
		known: make(map[string]*app.App),
	}
	s.settings.Store(&o.Config)
	s.hander = newHander(s)
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
	if s.membership, err = newMembership(s, c); err != nil {
		return nil, err
	}
	latency := stats.NewLatency()
	s.hub = hub.New(hub.Options{Limits: sessionLimits(c), Logger: s.logger, Observe: s.history.Observe,
		Latency: latency.Observe, Unmet: s.unmet})
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if s.membership != nil { // what was imported into a new database is this node's own
		s.apps.AgreeBy(s.membership.agree)
		s.hub.AskElsewhere(elsewhere{s.membership})
	}
	s.http = httpapi.New(httpapi.Options{
		Apps: s.apps, Publish: s.publish, Certificate: certificate, Logger: s.logger, Limits: senderLimits(c),
		Observe: s.history.RequestRefused, Health: s.health,
	})
	s.stats = stats.New(s.sources(latency))
	s.metricsHTTP = s.newMetricsServer()
	var upgrade func(context.Context) (string, error)
	if o.Succession != nil {
		upgrade = s.hander.Upgrade
	}
	s.control = server.New(server.Options{
		Version: s.options.Version, Apps: s.apps, Hub: s.hub, Publish: s.publish, Log: s.log,
		History: s.history, Stats: s.stats, Logger: s.logger,
		Info: s.info, Reload: s.reloadForControl, SetLogLevel: s.setLogLevel, Upgrade: upgrade,
		HandingOver: s.hub.Frozen, Membership: s.membership.forControl(), Nodes: s.membership.nodes(),
	})
	return s, nil
}

// evict frees a descriptor if it can: one of a connection that has not registered, or of
// a sender that is idle.
func (s *Server) evict() bool {
	return s.hub.EvictUnregistered() || s.http.EvictIdle()
}

// Apps is the number of apps.
func (s *Server) Apps() int { return len(s.apps.List()) }

// Node is the name of this node and of its cluster; empty: it is a single one.
func (s *Server) Node() (name, cluster string) {
	if s.membership == nil {
		return "", ""
	}
	return s.membership.name, s.options.Config.ClusterName
}

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

// Run serves until ctx ends. Then the sessions are handed over, if a service manager keeps
// them for the process that comes next; else it finishes requests under way, lets the
// queues drain for up to 5 s, and closes everything. It returns nil after an orderly end,
// ErrTakenOver if a successor has the sessions, and the cause if a service failed. A Server
// runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.takeover.awaitTurn(); err != nil {
		s.closeAll()
		return err
	}
	s.services, ctx = errgroup.WithContext(ctx)
	if s.takeover == nil {
		s.accept()
	} else {
		s.takeOver()
	}
	// Not before: who is to be stopped takes over first, and then hands over.
	s.services.Go(func() error { return s.end(ctx) })
	s.services.Go(func() error { return s.keepControl(ctx) })
	s.services.Go(func() error { return s.keepDatabase(ctx) })
	s.services.Go(func() error { return s.keepKeys(ctx) })
	s.services.Go(func() error { return s.stats.Run(ctx) })
	if s.membership != nil {
		s.services.Go(func() error { return s.membership.keep(ctx) })
	}
	if s.options.Serving != nil {
		s.options.Serving()
	}
	err := s.services.Wait()
	if closeErr := s.apps.Close(); err == nil {
		err = closeErr
	}
	return err
}

// end waits until the end is asked for or a service fails, and brings it about.
func (s *Server) end(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.hander.taken:
	}
	asked := time.Now()
	taken := s.hander.stop()
	switch {
	case taken:
		s.dismiss()
		return ErrTakenOver
	case s.options.Succession.Managed(): // also when a service fails: systemd starts it again
		err := s.hander.restart(asked)
		s.dismiss()
		return err
	}
	s.drain()
	return nil
}

// dismiss ends what is left after the sessions were handed over.
func (s *Server) dismiss() {
	at, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	s.membership.dismiss()
	s.metricsHTTP.Close()
	s.control.Shutdown(at)
	s.hub.Shutdown(at) // which leaves the sessions alone
}

// front is an address that is listened on, with what serves those who connect there.
type front struct {
	setting string
	service *listen.Service
	serve   func(net.Listener) error
}

func (s *Server) fronts() []front {
	all := []front{{"listen", s.senders, s.http.Serve}, {"service", s.sessions, s.hub.Serve}}
	if s.metrics != nil {
		all = append(all, front{"metrics_listen", s.metrics, s.serveMetrics})
	}
	return all
}

// accept has connections accepted, until stopAccepting or the end.
func (s *Server) accept() {
	for _, f := range s.fronts() {
		for _, ln := range f.service.Listeners() {
			s.acceptOn(func() error { return f.serve(ln) })
		}
	}
	if ln := s.currentControl(); ln != nil {
		s.acceptOn(func() error { return s.control.Serve(ln) })
	}
}

func (s *Server) acceptOn(serve func() error) {
	s.accepting.Add(1)
	s.services.Go(func() error {
		defer s.accepting.Done()
		return serve()
	})
}

// drain ends the services in the order in which a message passes them.
func (s *Server) drain() {
	deadline, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	s.stopping.Store(true)
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
	s.membership.leave()
	if err := s.hub.Shutdown(deadline); err != nil {
		s.logger.Warn("messages were still queued at the end", slog.Any("error", err))
	}
	s.metricsHTTP.Close() // monitors see until the end that it is one
}
