package control

import (
	"net/http"
	"os"
	"runtime/metrics"
)

func (s *Server) status(http.ResponseWriter, *http.Request) (any, error) {
	info, stats := s.info(), s.hub.Stats()
	object := Status{
		Version: info.Version, PID: os.Getpid(), UptimeSeconds: int64(info.Uptime.Seconds()),
		Listen: info.Listen, Service: info.Service, Control: info.Control,
		Apps: len(s.apps.List()), Sessions: stats.Sessions, Unregistered: stats.Unregistered,
		Registrations: stats.Registrations, Messages: stats.Published, NoRecipient: stats.NoRecipient,
		Delivered: stats.Delivered, DeliveredBytes: stats.Bytes, DroppedAsSlow: stats.TooSlow,
		Refused: make(map[string]uint64), MemoryBytes: memory(), RestartNeeded: []string{},
	}
	for reason, n := range stats.Refused {
		object.Refused[string(reason)] = n
	}
	if !info.TLSExpiresAt.IsZero() {
		at := info.TLSExpiresAt.UTC()
		object.TLSExpiresAt = &at
	}
	return object, nil
}

// memory is what the process has from the system, without what it gave back.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
