package netsvc

import (
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control/server"
)

// info is the part of the status that only the whole knows.
func (s *Server) info() server.Info {
	info := server.Info{
		Uptime:  time.Since(s.started),
		Listen:  s.senders.String(),
		Service: s.sessions.String(),
		Control: s.options.Config.Control,

		MetricsListen: s.MetricsAddress(),
		LogLevel:      s.settings.Load().LogLevel,
		Stopping:      s.stopping.Load(),
		RestartNeeded: *s.restartNeeded.Load(),

		SettingsNotRead: *s.notRead.Load(),
		BallastBytes:    uint64(len(s.ballast)),
	}
	if certificate := s.certificate.Load(); certificate != nil {
		info.TLSExpiresAt, info.TLSFailure = certificate.NotAfter(), certificate.Failure()
	}
	info.LastHandover, info.DatabaseUnavailable = s.handedOver.Load(), s.apps.Unavailable()
	info.LastChangeInDoubt = s.apps.LastChangeInDoubt()
	if err := s.notUpgraded.Load(); err != nil {
		info.UpgradeFailed = *err
	}
	info.Cluster = s.clusterStatus()
	return info
}
