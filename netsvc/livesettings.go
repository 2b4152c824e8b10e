package netsvc

import (
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// liveSetting is a setting that can change while the daemon runs.
type liveSetting struct {
	name string
	// apply puts a new value into force. It cannot fail: what can be wrong was found
	// before, and then nothing is applied.
	apply func(s *Server, next *nextSettings)
}

// nextSettings are settings about to come into force, with what was opened for them.
type nextSettings struct {
	config.Config
	certificate *certificate.Certificate // nil: plain HTTP
	clusterKeys *seal.Keys               // nil: a single node
}

// liveSettings are all of them, in the order of config's table. There, the column
// live says which changes are possible; here is how.
var liveSettings = []liveSetting{
	{"listen", func(s *Server, next *nextSettings) { s.senders.SetNetwork(next.Listen.Network) }},
	{"service", func(s *Server, next *nextSettings) { s.sessions.SetNetwork(next.Service.Network) }},
	{"log_level", func(s *Server, next *nextSettings) { s.level.Set(next.LogLevel.Slog()) }},
	{"ssl_mode", (*Server).applyCertificate},
	{"ssl_certificate", (*Server).applyCertificate},
	{"ssl_certificate_key", (*Server).applyCertificate},
	{"ssl_certificate_password", (*Server).applyCertificate},
	{"token_lifetime", (*Server).applySenderLimits},
	{"expires_in_epoch", (*Server).applySenderLimits},
	{"max_message_size", (*Server).applySenderLimits},
	{"trusted_proxies", (*Server).applySenderLimits},
	{"registration_timeout", (*Server).applySessionLimits},
	{"max_unregistered", (*Server).applySessionLimits},
	{"max_sessions_per_user", (*Server).applySessionLimits},
	{"max_senders", (*Server).applySenderLimits},
	{"session_queue_size", (*Server).applySessionLimits},
	{"queue_memory", (*Server).applySessionLimits},
	{"write_timeout", (*Server).applySessionLimits},
	{"peer_timeout", (*Server).applySessionLimits},
	{"resume_window", (*Server).applySessionLimits},
	{"resume_bytes", (*Server).applySessionLimits},
	{"keepalive", (*Server).applySessionLimits},
	{"metrics_listen", func(s *Server, next *nextSettings) { s.metrics.SetNetwork(next.MetricsListen.Network) }},
	{"cluster_key", func(*Server, *nextSettings) {}}, // the file may change while the setting does not
	{"cluster_wait", func(s *Server, next *nextSettings) { s.membership.setWait(next.ClusterWait) }},
}

func (s *Server) applyCertificate(next *nextSettings) {
	s.certificate.Store(next.certificate)
	s.http.SetCertificate(next.certificate)
}

func (s *Server) applySenderLimits(next *nextSettings) { s.http.SetLimits(senderLimits(&next.Config)) }

func (s *Server) applySessionLimits(next *nextSettings) { s.hub.SetLimits(sessionLimits(&next.Config)) }

// senderLimits are what the settings allow to senders.
func senderLimits(c *config.Config) httpapi.Limits {
	return httpapi.Limits{
		TokenLifetime:   c.TokenLifetime,
		ExpiresIn:       c.ExpiresInEpoch,
		MaxMessageBytes: c.MaxMessageSize,
		MaxSenders:      maxSenders(c.MaxSenders),
		TrustedProxies:  c.TrustedProxies,
	}
}

// sessionLimits are what the settings allow to sessions.
func sessionLimits(c *config.Config) hub.Limits {
	return hub.Limits{
		QueueBytes:          int(c.SessionQueueSize),
		QueueMemory:         queueMemory(c.QueueMemory),
		WriteTimeout:        c.WriteTimeout,
		RegistrationTimeout: c.RegistrationTimeout,
		PeerTimeout:         c.PeerTimeout,
		ResumeWindow:        c.ResumeWindow,
		ResumeBytes:         int(c.ResumeBytes),
		KeepAlive:           c.KeepAlive,
		MaxUnregistered:     c.MaxUnregistered,
		MaxSessionsPerUser:  c.MaxSessionsPerUser,
	}
}

// applyChanges puts into force what changed and can change while the daemon runs.
func (s *Server) applyChanges(changes []config.Change, next *nextSettings) {
	for _, change := range changes {
		if !change.Live {
			continue
		}
		for _, setting := range liveSettings {
			if setting.name == change.Setting {
				setting.apply(s, next)
			}
		}
	}
	s.settings.Store(&next.Config)
	if next.clusterKeys != nil {
		s.membership.useKeys(next.clusterKeys)
	}
}
