package server

import (
	"net/http"
	"os"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
)

func (s *Server) status(r *http.Request) (reply, error) {
	info, counts, answered := s.info(), s.hub.Stats(), s.stats.HTTP()
	now := control.Status{
		Version: s.version, PID: os.Getpid(), UptimeSeconds: int64(info.Uptime.Seconds()),
		Listen: info.Listen, Service: info.Service, Control: info.Control, MetricsListen: info.MetricsListen,
		LogLevel: info.LogLevel.String(), TLSFailure: info.TLSFailure,
		Apps: len(s.apps.List()), Sessions: counts.Sessions, Unregistered: counts.Unregistered,
		Detached: counts.Detached, Resumed: counts.Resumed, Missed: counts.Missed,
		Registrations: counts.Registrations, Traffic: control.Traffic[uint64](counts.Traffic),
		DroppedAsSlow: counts.DroppedAsSlow,
		QueueMemory:   control.QueueMemory(counts.QueueMemory),
		Refused:       byWord(counts.Refused), Opened: counts.Opened, Closed: counts.Closed,
		HTTP: control.HTTPStatus{
			Status: make(map[string]uint64), Refused: byWord(answered.Refused),
			TLSHandshakeFailures: answered.TLSHandshakes, HealthChecks: answered.HealthChecks,
		},
		Rejected: s.stats.Rejected(), Rates: s.stats.Rates(), Latency: latencyOf(s.stats.Quantiles()),
		Followers: s.followers.count(), MemoryBytes: memory() - info.BallastBytes, RestartNeeded: []string{},
	}
	for status, n := range answered.Status {
		now.HTTP.Status[strconv.Itoa(status)] = n
	}
	now.RestartNeeded = append(now.RestartNeeded, info.RestartNeeded...)
	now.SettingsNotRead = info.SettingsNotRead
	if info.UpgradeFailed != nil {
		now.UpgradeFailed = info.UpgradeFailed.Error()
	}
	now.LastHandover = info.LastHandover
	if info.DatabaseUnavailable != nil {
		now.DatabaseUnavailable = info.DatabaseUnavailable.Error()
	}
	now.LastChangeInDoubt, now.Cluster = info.LastChangeInDoubt, info.Cluster
	if !info.TLSExpiresAt.IsZero() {
		at := info.TLSExpiresAt.UTC()
		now.TLSExpiresAt = &at
	}
	switch r.URL.Query().Get("by_app") {
	case "", "false", "0":
	case "true", "1":
		now.ByApp = s.statusByApp()
	default:
		return nil, badRequest("by_app: expected true or false")
	}
	return object(now), nil
}

// byWord turns the keys of counts into plain strings.
func byWord[K ~string](counts map[K]uint64) map[string]uint64 {
	words := make(map[string]uint64, len(counts))
	for word, n := range counts {
		words[string(word)] = n
	}
	return words
}

func (s *Server) statusByApp() []control.AppStatus {
	counts, rates, refused := s.hub.AppStats(), s.stats.AppRates(), s.stats.HTTP().RefusedByApp
	objects := []control.AppStatus{}
	for _, a := range s.apps.List() {
		n := counts[a.ID]
		objects = append(objects, control.AppStatus{
			ID: a.ID, Title: a.Title, Sessions: n.Sessions, SessionsOnOldKey: n.SessionsOnOldKey,
			Registrations: n.Registrations, Refused: n.Refused,
			Traffic: control.Traffic[uint64](n.Traffic), DroppedAsSlow: n.DroppedAsSlow, Rates: rates[a.ID],
			RequestsRefused: refused[a.ID],
		})
	}
	return objects
}

// pastOf answers what a time up to now was like.
func (s *Server) pastOf(r *http.Request) (reply, error) {
	values, span := r.URL.Query(), time.Hour
	if text := values.Get("span"); text != "" {
		var err error
		if span, err = config.ParseDuration(text); err != nil || span < time.Second || span > stats.Longest {
			return nil, badRequest(`span: expected a duration up to 24h, such as "10m"`)
		}
	}
	var id string
	if wanted := values.Get("app"); wanted != "" {
		a, there := s.apps.Get(wanted)
		if !there {
			return nil, app.ErrNotFound
		}
		id = a.ID
	}
	return object(s.stats.Timeline().History(id, span, time.Now())), nil
}

// statistics is what followers of events get each second.
func (s *Server) statistics() *control.Statistics {
	counts := s.hub.Stats()
	return &control.Statistics{
		Sessions: counts.Sessions, Unregistered: counts.Unregistered, Apps: len(s.apps.List()),
		MemoryBytes: memory() - s.info().BallastBytes,
		Rates:       s.stats.Rates(), Latency: latencyOf(s.stats.Quantiles()),
	}
}

func latencyOf(q stats.Quantiles) control.Latency {
	object := control.Latency{WindowSeconds: int(q.Window.Seconds()), Messages: q.Messages}
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

func (s *Server) metrics(r *http.Request) (reply, error) {
	return answerOf(s.metricsHandler), nil
}
