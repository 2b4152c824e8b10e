package stats

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pns4ones/pns4ones/app"
)

// Gatherer returns the metrics of the daemon, its runtime and its process.
func (r *Recorder) Gatherer() prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{r}, r.sources.Latency.histogram,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// Handler answers with the metrics in Prometheus's text format.
func (r *Recorder) Handler() http.Handler {
	return promhttp.HandlerFor(r.Gatherer(), promhttp.HandlerOpts{})
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pns4ones_"+name, help, labels, nil)
}

// The metrics. What they count is explained in hub.Stats and httpapi.Stats.
var (
	descBuild       = describe("build_info", "The version of the daemon; always 1.", "version")
	descApps        = describe("apps", "Apps.")
	descSessions    = describe("sessions", "Registered sessions.")
	descDetached    = describe("sessions_detached", "Sessions without a connection, which may come back.")
	descResumed     = describe("sessions_resumed_total", "Times that a session came back.")
	descQueueMemory = describe("queue_memory_bytes",
		"Bytes taken by all that waits for sessions, or is kept for those that may come back.")
	descQueueMax = describe("queue_memory_max_bytes",
		"How many of these there may be, by the setting queue_memory; beyond it sessions are dropped.")
	descMissed = describe("messages_missed_total",
		"Messages that could not be kept for a session that lost its connection.")
	descUnregistered  = describe("unregistered_connections", "Connections that have not registered yet.")
	descOpened        = describe("sessions_opened_total", "Sessions that have registered.")
	descClosed        = describe("sessions_closed_total", "Sessions that have ended, by reason.", "reason")
	descRegistrations = describe("registrations_total", "Accepted registrations, repeated ones of a session included.")
	descRefused       = describe("registrations_refused_total", "Refused registrations, by reason.", "reason")
	descMessages      = describe("messages_total", "Messages accepted from senders and administrators.")
	descNoRecipient   = describe("messages_without_recipient_total", "Messages for which no session was connected.")
	descDeliveries    = describe("deliveries_total", "Messages written whole to a session.")
	descBytes         = describe("delivered_bytes_total", "Bytes written to sessions.")
	descRequests      = describe("http_requests_total",
		"Requests of senders that were answered, by HTTP status.", "code")
	descRefusedHTTP = describe("http_requests_refused_total", "Requests of senders that were refused, by reason.",
		"reason")
	descHandshakes   = describe("tls_handshake_failures_total", "TLS handshakes of senders that failed.")
	descHealthChecks = describe("http_health_checks_total",
		"Connections without a byte, and requests of / and /healthz.")
	descRejected = describe("connections_rejected_total",
		"Connections from outside the allowed network, by the setting of the address.", "setting")
	descTLSExpiry = describe("tls_certificate_expiry_timestamp_seconds",
		"When the certificate expires, as Unix time. Absent without TLS.")
	descTLSFailed = describe("tls_certificate_renewal_failed",
		"1 while the files hold a certificate that cannot be used, and the one before is served. Absent without TLS.")
	descDatabase = describe("database_available",
		"Whether the database is open: 1, or 0 while the apps are served from memory and cannot be changed.")

	descUpgradeFailed = describe("upgrade_failed", "1 if the latest upgrade failed, and this version went on instead.")

	descHandoverTime = describe("last_handover_timestamp_seconds",
		"When the sessions were last frozen for another process, as Unix time. Absent, like the next four, before the first time.")
	descHandoverDuration = describe("last_handover_duration_seconds", "How long the sessions were not served then.")
	descHandoverSessions = describe("last_handover_sessions", "Sessions that were handed over.")
	descHandoverLost     = describe("last_handover_sessions_lost", "Sessions that were lost.")
	descHandoverInfo     = describe("last_handover_info",
		"The way, restart or upgrade, the versions, and whether another process took over; always 1.", "way", "from",
		"to", "done")

	descAppInfo     = describe("app_info", "The title of an app; always 1.", "app", "title")
	descAppSessions = describe("app_sessions", "Registered sessions of an app.", "app")
	descAppOldKey   = describe("app_sessions_on_old_key",
		"Of these, the ones under a key that is not the current one.", "app")
	descAppKeyAge = describe("app_key_age_seconds", "Age of the current key of an app: server or client.",
		"app", "key")
	descAppOldKeys = describe("app_old_keys",
		"Keys of an app that still work beside the current one: server or client.", "app", "key")
	descAppTokens = describe("app_tokens_last_hour",
		"Tokens given out to senders of an app during the last hour, by the key they had: current or old.",
		"app", "key")
	descAppRegistrations = describe("app_registrations_total", "Accepted registrations of an app.", "app")
	descAppRefused       = describe("app_registrations_refused_total",
		"Registrations of an app with a wrong key.", "app")
	descAppRefusedHTTP = describe("app_http_requests_refused_total",
		"Refused requests of an app's senders, as far as they told whose they are.", "app")
	descAppMessages    = describe("app_messages_total", "Messages accepted for an app.", "app")
	descAppNoRecipient = describe("app_messages_without_recipient_total",
		"Messages of an app for which no session was connected.", "app")
	descAppDeliveries = describe("app_deliveries_total", "Messages of an app written whole to a session.", "app")
	descAppBytes      = describe("app_delivered_bytes_total",
		"Bytes of messages of an app written to sessions.", "app")
	descAppTooSlow = describe("app_sessions_dropped_as_slow_total",
		"Sessions of an app dropped because they did not read.", "app")
)

// collector reads the counters when it is asked.
type collector struct{ *Recorder }

// Describe is part of prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, descs) }

// Collect is part of prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	s := &c.sources
	gauge(descBuild, 1, s.Version)
	if at := s.TLSExpiresAt(); !at.IsZero() {
		gauge(descTLSExpiry, float64(at.Unix()))
		failed := 0.0
		if s.TLSFailed() {
			failed = 1
		}
		gauge(descTLSFailed, failed)
	}
	database := 0.0
	if s.Database() {
		database = 1
	}
	gauge(descDatabase, database)
	upgradeFailed := 0.0
	if s.UpgradeFailed() {
		upgradeFailed = 1
	}
	gauge(descUpgradeFailed, upgradeFailed)
	if o := s.LastHandover(); o != nil {
		gauge(descHandoverTime, float64(o.At.UnixMilli())/1000)
		gauge(descHandoverDuration, o.Took.Seconds())
		gauge(descHandoverSessions, float64(o.Sessions))
		gauge(descHandoverLost, float64(o.Lost))
		gauge(descHandoverInfo, 1, o.Way, o.From, o.To, strconv.FormatBool(o.Done))
	}
	apps := s.Apps()
	gauge(descApps, float64(len(apps)))

	h := s.Hub()
	gauge(descSessions, float64(h.Sessions))
	gauge(descDetached, float64(h.Detached))
	gauge(descUnregistered, float64(h.Unregistered))
	gauge(descQueueMemory, float64(h.QueueMemory.Bytes))
	gauge(descQueueMax, float64(h.QueueMemory.MaxBytes))
	counter(descResumed, h.Resumed)
	counter(descMissed, h.Missed)
	counter(descOpened, h.Opened)
	counter(descRegistrations, h.Registrations)
	counter(descMessages, h.Messages)
	counter(descNoRecipient, h.NoRecipient)
	counter(descDeliveries, h.Delivered)
	counter(descBytes, h.DeliveredBytes)
	for reason, n := range h.Closed {
		counter(descClosed, n, reason)
	}
	for reason, n := range h.Refused {
		counter(descRefused, n, string(reason))
	}

	answered := s.HTTP()
	counter(descHandshakes, answered.TLSHandshakes)
	counter(descHealthChecks, answered.HealthChecks)
	for status, n := range answered.Status {
		counter(descRequests, n, strconv.Itoa(status))
	}
	for reason, n := range answered.Refused {
		counter(descRefusedHTTP, n, string(reason))
	}
	for setting, n := range s.Rejected() {
		counter(descRejected, n, setting)
	}

	if s.Cluster != nil {
		s.Cluster().collect(metrics)
	}

	counts := s.AppStats()
	for _, a := range apps {
		n := counts[a.ID]
		gauge(descAppInfo, 1, a.ID, a.Title)
		gauge(descAppSessions, float64(n.Sessions), a.ID)
		gauge(descAppOldKey, float64(n.SessionsOnOldKey), a.ID)
		gauge(descAppKeyAge, time.Since(a.ServerKeys[0].Since).Seconds(), a.ID, "server")
		gauge(descAppKeyAge, time.Since(a.ClientKeys[0].Since).Seconds(), a.ID, "client")
		gauge(descAppOldKeys, float64(len(a.ServerKeys)-1), a.ID, "server")
		gauge(descAppOldKeys, float64(len(a.ClientKeys)-1), a.ID, "client")
		tokens := s.TokenUse(a)
		gauge(descAppTokens, float64(tokens[0].Recent), a.ID, "current")
		gauge(descAppTokens, float64(recent(tokens[1:])), a.ID, "old")
		counter(descAppRegistrations, n.Registrations, a.ID)
		counter(descAppRefused, n.Refused, a.ID)
		counter(descAppRefusedHTTP, answered.RefusedByApp[a.ID], a.ID)
		counter(descAppMessages, n.Messages, a.ID)
		counter(descAppNoRecipient, n.NoRecipient, a.ID)
		counter(descAppDeliveries, n.Delivered, a.ID)
		counter(descAppBytes, n.DeliveredBytes, a.ID)
		counter(descAppTooSlow, n.DroppedAsSlow, a.ID)
	}
}

// recent counts tokens of several keys.
func recent(uses []app.TokenUse) (tokens int) {
	for _, use := range uses {
		tokens += use.Recent
	}
	return tokens
}
