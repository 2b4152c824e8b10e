package stats_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// daemon is something to measure.
type daemon struct {
	mu   sync.Mutex
	hub  hub.Stats
	apps map[string]hub.AppStats
	http httpapi.Stats
	// These two are set before the recorder is made.
	handover *stats.Handover
	database bool
}

// set changes what there is while a recorder may be reading.
func (d *daemon) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// read returns a source that reads under the lock.
func read[T any](d *daemon, field *T) func() T {
	return func() T {
		d.mu.Lock()
		defer d.mu.Unlock()
		return *field
	}
}

func (d *daemon) sources() stats.Sources {
	return stats.Sources{
		Version: "1.0",
		Hub:     read(d, &d.hub),
		Apps: func() []*app.App {
			return []*app.App{{
				ID: "a", Title: `Склад "1"`,
				ServerKeys: []app.ServerKey{{Since: time.Now().Add(-time.Hour)}, {}, {}},
				ClientKeys: []app.ClientKey{{Since: time.Now().Add(-48 * time.Hour)}, {}},
			}}
		},
		TokenUse:     func(*app.App) []app.TokenUse { return []app.TokenUse{{Recent: 5}, {Recent: 2}, {Recent: 1}} },
		AppStats:     read(d, &d.apps),
		HTTP:         read(d, &d.http),
		Rejected:     func() map[string]uint64 { return map[string]uint64{"listen": 3} },
		TLSExpiresAt: func() time.Time { return time.Unix(1_800_000_000, 0) },
		TLSFailed:    func() bool { return true },
		LastHandover: func() *stats.Handover { return d.handover },
		Database:     func() bool { return d.database },

		UpgradeFailed: func() bool { return true },
		Latency:       stats.NewLatency(),
	}
}

func newDaemon() *daemon {
	return &daemon{
		hub: hub.Stats{Refused: map[wire.Reason]uint64{hub.ReasonWrongHMAC: 0},
			Closed: map[string]uint64{"closed_by_peer": 0}},
		apps: map[string]hub.AppStats{"a": {}},
		http: httpapi.Stats{Status: map[int]uint64{}, Refused: map[httpapi.Reason]uint64{}},
	}
}

// run runs the recorder until the test's bubble is left.
func run(t *testing.T, r *stats.Recorder) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestRatesAreThoseOfTheLastSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		r := stats.New(d.sources())
		defer run(t, r)()
		sampled := r.Sampled()
		d.set(func() {
			d.hub.Messages, d.hub.Delivered = 100, 1000
			d.hub.Refused = map[wire.Reason]uint64{hub.ReasonWrongHMAC: 3, hub.ReasonUnknownApp: 4}
			d.http.Status = map[int]uint64{200: 90, 401: 10}
			d.apps = map[string]hub.AppStats{"a": {Traffic: hub.Traffic{Messages: 60}},
				"new": {Traffic: hub.Traffic{Messages: 40}}}
		})
		time.Sleep(time.Second + time.Millisecond)
		<-sampled
		got := r.Rates()
		if got.Messages != 100 || got.Delivered != 1000 || got.Refused != 7 || got.Requests != 100 ||
			got.DroppedAsSlow != 0 {
			t.Errorf("rates are %+v", got)
		}
		if apps := r.AppRates(); apps["a"].Messages != 60 || apps["new"].Messages != 40 {
			t.Errorf("rates of the apps are %+v", apps)
		}
		// it was removed and came back
		d.set(func() { d.apps = map[string]hub.AppStats{"a": {Traffic: hub.Traffic{Messages: 5}}} })
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.Rates(); got.Messages != 0 || got.Delivered != 0 {
			t.Errorf("a second without anything has rates %+v", got)
		}
		if got := r.AppRates()["a"].Messages; got != 0 {
			t.Errorf("an app that came back has a rate of %v", got)
		}
	})
}

func TestQuantilesLookBackOneMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		s := d.sources()
		r := stats.New(s)
		defer run(t, r)()
		for range 98 {
			s.Latency.Observe(time.Millisecond)
		}
		s.Latency.Observe(time.Second)
		s.Latency.Observe(time.Hour)
		near := func(got, want time.Duration) bool { return got > want*2/3 && got < want*3/2 }
		q := r.Quantiles()
		if q.Messages != 100 || !near(q.P50, time.Millisecond) || !near(q.P95, time.Millisecond) ||
			!near(q.P99, time.Second) {
			t.Errorf("quantiles are %+v", q)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if q := r.Quantiles(); q.Messages != 100 {
			t.Errorf("after 59 s, %d messages are known", q.Messages)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if q := r.Quantiles(); q.Messages != 0 || q.P99 != 0 {
			t.Errorf("after more than a minute, quantiles are %+v", q)
		}
	})
}

func TestMetricsKeepToTheConventions(t *testing.T) {
	t.Parallel()
	d := newDaemon()
	d.hub.Sessions, d.hub.Messages = 7, 11
	d.http.Status[200], d.http.Refused["bad_token"] = 5, 2
	d.apps["a"] = hub.AppStats{Sessions: 7, Traffic: hub.Traffic{Delivered: 13}}
	d.database = true
	d.handover = &stats.Handover{
		Way: "upgrade", From: "0.9", To: "1.0", At: time.UnixMilli(1_790_000_000_250), Took: 35 * time.Millisecond,
		Sessions: 6, Lost: 1, Done: true,
	}
	r := stats.New(d.sources())
	problems, err := testutil.GatherAndLint(r.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	answer := httptest.NewRecorder()
	r.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`pns4ones_build_info{version="1.0"} 1`,
		`pns4ones_sessions 7`,
		`pns4ones_messages_total 11`,
		`pns4ones_registrations_refused_total{reason="wrong_hmac"} 0`,
		`pns4ones_http_requests_total{code="200"} 5`,
		`pns4ones_http_requests_refused_total{reason="bad_token"} 2`,
		`pns4ones_connections_rejected_total{setting="listen"} 3`,
		`pns4ones_tls_certificate_expiry_timestamp_seconds 1.8e+09`,
		`pns4ones_tls_certificate_renewal_failed 1`,
		`pns4ones_database_available 1`,
		`pns4ones_last_handover_timestamp_seconds 1.79000000025e+09`,
		`pns4ones_last_handover_duration_seconds 0.035`,
		`pns4ones_last_handover_sessions 6`,
		`pns4ones_last_handover_sessions_lost 1`,
		`pns4ones_last_handover_info{done="true",from="0.9",to="1.0",way="upgrade"} 1`,
		`pns4ones_app_info{app="a",title="Склад \"1\""} 1`,
		`pns4ones_app_deliveries_total{app="a"} 13`,
		`pns4ones_app_old_keys{app="a",key="server"} 2`,
		`pns4ones_app_old_keys{app="a",key="client"} 1`,
		`pns4ones_app_tokens_last_hour{app="a",key="current"} 5`,
		`pns4ones_app_tokens_last_hour{app="a",key="old"} 3`,
		`pns4ones_upgrade_failed 1`,
		`pns4ones_delivery_duration_seconds_count 0`,
	} {
		if !strings.Contains(answer.Body.String(), line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	// seconds; some pass meanwhile
	for key, age := range map[string]string{"server": `3[6-9]\d\d`, "client": `172[89]\d\d`} {
		if !regexp.MustCompile(`pns4ones_app_key_age_seconds{app="a",key="` + key + `"} ` + age +
			`(\.|\n)`).MatchString(answer.Body.String()) {
			t.Errorf("the age of the %s key is wrong", key)
		}
	}
}

func TestMetricsAreSilentOnAHandoverThatWasNot(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	stats.New(newDaemon().sources()).Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if text := answer.Body.String(); strings.Contains(text, "handover") ||
		!strings.Contains(text, "pns4ones_database_available 0\n") {
		t.Errorf("without a hand-over and a database:\n%s", text)
	}
}

func BenchmarkObserve(b *testing.B) {
	l := stats.NewLatency()
	b.ReportAllocs()
	for b.Loop() {
		l.Observe(300 * time.Microsecond)
	}
}
