package control

import (
	"net/http"
	"os"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

func (s *Server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	info, counts, answered := s.info(), s.hub.Stats(), s.stats.HTTP()
	object := Status{
		Version: info.Version, PID: os.Getpid(), UptimeSeconds: int64(info.Uptime.Seconds()),
		Listen: info.Listen, Service: info.Service, Control: info.Control, MetricsListen: info.MetricsListen,
		LogLevel: info.LogLevel.String(), TLSFailure: info.TLSFailure,
		Apps: len(s.apps.List()), Sessions: counts.Sessions, Unregistered: counts.Unregistered,
		Registrations: counts.Registrations, Messages: counts.Published, NoRecipient: counts.NoRecipient,
		Delivered: counts.Delivered, DeliveredBytes: counts.Bytes, DroppedAsSlow: counts.TooSlow,
		Refused: byWord(counts.Refused), Opened: counts.Opened, Closed: counts.Closed,
		HTTP: HTTPStatus{
			Status: make(map[string]uint64), Refused: byWord(answered.Refused), TLSHandshakeFailures: answered.TLSHandshakes, HealthChecks: answered.HealthChecks,
		},
		Rejected: s.stats.Rejected(), Rates: ratesOf(s.stats.Rates()), Latency: latencyOf(s.stats.Quantiles()),
		Followers: int(s.followers.Load()), MemoryBytes: memory() - info.BallastBytes, RestartNeeded: []string{},
	}
	for status, n := range answered.Status {
		object.HTTP.Status[strconv.Itoa(status)] = n
	}
	object.RestartNeeded = append(object.RestartNeeded, info.RestartNeeded...)
	object.SettingsNotRead = info.SettingsNotRead
	if info.UpgradeFailed != nil {
		object.UpgradeFailed = info.UpgradeFailed.Error()
	}
	if !info.TLSExpiresAt.IsZero() {
		at := info.TLSExpiresAt.UTC()
		object.TLSExpiresAt = &at
	}
	switch r.URL.Query().Get("by_app") {
	case "", "false", "0":
	case "true", "1":
		object.ByApp = s.statusByApp()
	default:
		return nil, badRequest("by_app: expected true or false")
	}
	return object, nil
}

// byWord turns the keys of counts into plain strings.
func byWord[K ~string](counts map[K]uint64) map[string]uint64 {
	words := make(map[string]uint64, len(counts))
	for word, n := range counts {
		words[string(word)] = n
	}
	return words
}

func (s *Server) statusByApp() []AppStatus {
	counts, rates, refused := s.hub.AppStats(), s.stats.AppRates(), s.stats.HTTP().RefusedByApp
	objects := []AppStatus{}
	for _, a := range s.apps.List() {
		n, rate := counts[a.ID], rates[a.ID]
		objects = append(objects, AppStatus{
			ID: a.ID, Title: a.Title, Sessions: n.Sessions, SessionsOnOldKey: n.OldKey, Registrations: n.Registrations, Refused: n.Refused,
			Messages: n.Published, NoRecipient: n.NoRecipient, Delivered: n.Delivered, DeliveredBytes: n.Bytes, DroppedAsSlow: n.TooSlow,
			RequestsRefused: refused[a.ID],
			Rates: AppRates{
				Registrations: rate.Registrations, Messages: rate.Messages, NoRecipient: rate.NoRecipient,
				Delivered: rate.Delivered, DeliveredBytes: rate.Bytes,
			},
		})
	}
	return objects
}

// statistics is what followers of events get each second.
func (s *Server) statistics() *Statistics {
	counts := s.hub.Stats()
	return &Statistics{
		Sessions: counts.Sessions, Unregistered: counts.Unregistered, Apps: len(s.apps.List()), MemoryBytes: memory() - s.info().BallastBytes,
		Rates: ratesOf(s.stats.Rates()), Latency: latencyOf(s.stats.Quantiles()),
	}
}

func ratesOf(r stats.Rates) Rates {
	return Rates{
		Opened: r.Opened, Closed: r.Closed, Registrations: r.Registrations, Refused: r.Refused,
		Messages: r.Messages, NoRecipient: r.NoRecipient, Delivered: r.Delivered, DeliveredBytes: r.Bytes,
		DroppedAsSlow: r.TooSlow, Requests: r.Requests,
	}
}

func latencyOf(q stats.Quantiles) Latency {
	object := Latency{WindowSeconds: int(q.Window.Seconds()), Messages: q.Messages}
	if q.Messages > 0 {
		seconds := func(d time.Duration) *float64 {
			s := d.Seconds()
			return &s
		}
		object.P50, object.P95, object.P99 = seconds(q.P50), seconds(q.P95), seconds(q.P99)
	}
	return object
}

// memory is what the process has from the system, without what it gave back. The
// ballast is in it.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) (any, error) {
	s.metricsHandler.ServeHTTP(w, r)
	return nil, nil
}
