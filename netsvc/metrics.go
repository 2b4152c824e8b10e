package netsvc

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

// Time limits of the listener for metrics, and the size of a request's header.
const (
	metricsHeaderTimeout = 10 * time.Second
	metricsWriteTimeout  = 30 * time.Second
	metricsIdleTimeout   = 2 * time.Minute
	metricsHeaderBytes   = 16 << 10
)

// sources shows the statistics where to look.
func (s *Server) sources(latency *stats.Latency) stats.Sources {
	return stats.Sources{
		Version:  s.options.Version,
		Hub:      s.hub.Stats,
		Apps:     func() []*app.App { return s.apps.List() },
		AppStats: func() map[string]hub.AppStats { return s.hub.AppStats() },
		TokenUse: func(a *app.App) []app.TokenUse { return s.apps.TokenUse(a) },
		HTTP:     s.http.Stats,
		Rejected: s.rejected,
		TLSExpiresAt: func() time.Time {
			if certificate := s.certificate.Load(); certificate != nil {
				return certificate.NotAfter()
			}
			return time.Time{}
		},
		TLSFailed: func() bool {
			certificate := s.certificate.Load()
			return certificate != nil && certificate.Failure() != ""
		},
		LastHandover:  s.lastHandOver,
		UpgradeFailed: func() bool { return s.notUpgraded.Load() != nil },
		Database:      func() bool { return s.apps.Unavailable() == nil },
		Latency:       latency,
		Cluster:       s.clusterStats,
	}
}

// rejected counts the peers from outside the allowed networks, by setting.
func (s *Server) rejected() map[string]uint64 {
	counts := map[string]uint64{"listen": s.senders.Rejected(), "service": s.sessions.Rejected()}
	if s.metrics != nil {
		counts["metrics_listen"] = s.metrics.Rejected()
	}
	return counts
}

// newMetricsServer answers Prometheus at /metrics, and monitors at /healthz.
func (s *Server) newMetricsServer() *http.Server {
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", s.stats.Handler())
	routes.HandleFunc("GET /healthz",
		func(w http.ResponseWriter, r *http.Request) {
			status, good := s.health(server.AsPart(r))
			server.WriteHealth(w, status, good)
		})
	return &http.Server{
		Handler: routes, MaxHeaderBytes: metricsHeaderBytes, ReadHeaderTimeout: metricsHeaderTimeout,
		ReadTimeout:  metricsHeaderTimeout,
		WriteTimeout: metricsWriteTimeout, IdleTimeout: metricsIdleTimeout,
		ErrorLog: slog.NewLogLogger(s.log, slog.LevelDebug),
	}
}

// serveMetrics answers on a listener until that is closed or detached.
func (s *Server) serveMetrics(ln net.Listener) error { return ignoreClosed(s.metricsHTTP.Serve(ln)) }

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// MetricsAddress is where Prometheus asks, as a person writes it; empty: nowhere.
func (s *Server) MetricsAddress() string {
	if s.metrics == nil {
		return ""
	}
	return s.metrics.String()
}

// MetricsPort is the actual TCP port of MetricsAddress; 0: nowhere.
func (s *Server) MetricsPort() int {
	if s.metrics == nil {
		return 0
	}
	return s.metrics.Port()
}
