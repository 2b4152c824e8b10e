// Package stats measures the daemon: it reads the counters of the parts once a
// second, so that there are rates, keeps the time that messages take, writes
// all of it as Prometheus metrics, and remembers what the last day was like.
//
// netsvc makes one Recorder and runs it; control shows what it knows. The parts
// only count, each for itself and without a lock.
package stats

import (
	"context"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

const (
	// sampleEvery is how often the counters are read.
	sampleEvery = time.Second
	// latencyWindow is the time that the quantiles of Latency look back on.
	latencyWindow = 60 * sampleEvery
)

// Sources is what there is to measure. All of it is called from Run, and by
// those who ask for metrics.
type Sources struct {
	Version      string
	Hub          func() hub.Stats
	Apps         func() []*app.App
	AppStats     func() map[string]hub.AppStats
	TokenUse     func(*app.App) []app.TokenUse
	HTTP         func() httpapi.Stats
	Rejected     func() map[string]uint64 // peers outside the allowed network, by setting
	TLSExpiresAt func() time.Time         // zero: no TLS
	TLSFailed    func() bool              // a renewed certificate cannot be used
	LastHandover func() *Handover         // nil: there was none
	// UpgradeFailed reports whether the latest upgrade failed.
	UpgradeFailed func() bool
	Database      func() bool // whether it is open
	Latency       *Latency    // what the hub reports to
	// Cluster is nil, or returns nil, on a single node.
	Cluster func() *Cluster
}

// Handover is what became of a hand-over of the sessions between processes;
// control.Handover explains its fields.
type Handover struct {
	Way, From, To  string // From and To are versions
	At             time.Time
	Took           time.Duration
	Sessions, Lost int
	Done           bool
}

// sample is what the counters said at a time.
type sample struct {
	at   time.Time
	hub  hub.Stats
	apps map[string]hub.AppStats
	http httpapi.Stats
}

// Recorder knows the rates of the last second. Its methods may be called
// concurrently.
type Recorder struct {
	sources  Sources
	timeline *Timeline

	mu       sync.Mutex
	last     sample
	rates    control.Rates
	appRates map[string]control.AppRates
	sampled  chan struct{} // closed by the next sample
}

// New returns a recorder that waits for Run.
func New(s Sources) *Recorder {
	return &Recorder{sources: s, timeline: newTimeline(), sampled: make(chan struct{})}
}

// Run reads the counters until ctx ends; then it returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	r.sample()
	for {
		select {
		case <-ticker.C:
			r.sample()
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Recorder) sample() {
	now := sample{at: time.Now(), hub: r.sources.Hub(), apps: r.sources.AppStats(), http: r.sources.HTTP()}
	r.sources.TLSExpiresAt() // looks at the certificate, and warns when its end is near
	latency := r.sources.Latency.sample()

	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.last.at.IsZero() {
		r.rates, r.appRates = ratesBetween(&r.last, &now)
		r.timeline.record(&r.last, &now, latency)
	}
	r.last = now
	close(r.sampled)
	r.sampled = make(chan struct{})
}

// ratesBetween divides what was counted by the time it took.
func ratesBetween(a, b *sample) (control.Rates, map[string]control.AppRates) {
	seconds := b.at.Sub(a.at).Seconds()
	rate := func(before, after uint64) float64 {
		if seconds <= 0 || after < before {
			return 0 // an app that was removed and came back counts from 0
		}
		return float64(after-before) / seconds
	}
	traffic := func(before, after hub.Traffic) control.Traffic[float64] {
		return control.Traffic[float64]{
			Messages:       rate(before.Messages, after.Messages),
			NoRecipient:    rate(before.NoRecipient, after.NoRecipient),
			Delivered:      rate(before.Delivered, after.Delivered),
			DeliveredBytes: rate(before.DeliveredBytes, after.DeliveredBytes),
		}
	}
	rates := control.Rates{
		Opened:        rate(a.hub.Opened, b.hub.Opened),
		Closed:        rate(sum(a.hub.Closed), sum(b.hub.Closed)),
		Registrations: rate(a.hub.Registrations, b.hub.Registrations),
		Refused:       rate(sum(a.hub.Refused), sum(b.hub.Refused)),
		Traffic:       traffic(a.hub.Traffic, b.hub.Traffic),
		DroppedAsSlow: rate(a.hub.DroppedAsSlow, b.hub.DroppedAsSlow),
		Requests:      rate(sum(a.http.Status), sum(b.http.Status)),
	}
	apps := make(map[string]control.AppRates, len(b.apps))
	for id, after := range b.apps {
		before := a.apps[id]
		apps[id] = control.AppRates{
			Registrations: rate(before.Registrations, after.Registrations),
			Traffic:       traffic(before.Traffic, after.Traffic),
		}
	}
	return rates, apps
}

func sum[K comparable](counts map[K]uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// Timeline is what the last day was like.
func (r *Recorder) Timeline() *Timeline { return r.timeline }

// Rates returns those of the last second. All are 0 in the first one.
func (r *Recorder) Rates() control.Rates {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rates
}

// AppRates returns those of the apps, by id. The map is not to be changed.
func (r *Recorder) AppRates() map[string]control.AppRates {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.appRates
}

// Sampled returns a channel that is closed when the counters are read next.
func (r *Recorder) Sampled() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sampled
}

// HTTP returns the counts of the senders' requests.
func (r *Recorder) HTTP() httpapi.Stats { return r.sources.HTTP() }

// Rejected returns the peers closed for being outside the allowed network, by
// the name of the address's setting.
func (r *Recorder) Rejected() map[string]uint64 { return r.sources.Rejected() }

// Quantiles returns how long messages took during the last minute.
func (r *Recorder) Quantiles() Quantiles { return r.sources.Latency.Quantiles() }
