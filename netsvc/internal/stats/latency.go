package stats

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Latency keeps how long messages took from being accepted to their last write.
// Its methods may be called concurrently; Observe takes no lock.
type Latency struct {
	histogram prometheus.Histogram

	mu sync.Mutex
	// samples are the counts as they were at the last few readings, oldest first.
	samples [][]bucket
}

// bucket is the number of messages that took up to a time.
type bucket struct {
	most  float64 // seconds
	count uint64  // with those of the buckets before
}

// Quantiles are how long most messages took, during Window.
type Quantiles struct {
	Window        time.Duration
	Messages      uint64
	P50, P95, P99 time.Duration // of no meaning if there were no messages
}

// NewLatency returns one that nothing was reported to yet.
func NewLatency() *Latency {
	return &Latency{histogram: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pns4ones_delivery_duration_seconds",
		Help: "Time from accepting a message to writing it to the last of its sessions.",
		// From 20 µs to a minute, each bucket half as wide again as the one before:
		// that is what the error of a quantile can be.
		Buckets: prometheus.ExponentialBuckets(20e-6, 1.5, 37),
	})}
}

// Observe counts a message that took d.
func (l *Latency) Observe(d time.Duration) { l.histogram.Observe(d.Seconds()) }

// sample is called once in sampleEvery, and returns the counts as they are.
func (l *Latency) sample() []bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.read()
	l.samples = append(l.samples, now)
	if most := int(latencyWindow/sampleEvery) + 1; len(l.samples) > most {
		l.samples = append(l.samples[:0], l.samples[1:]...)
	}
	return now
}

// read returns the buckets as they are now, with one for those beyond.
func (l *Latency) read() []bucket {
	var metric dto.Metric
	if err := l.histogram.Write(&metric); err != nil {
		panic(err) // a histogram always can
	}
	h := metric.GetHistogram()
	buckets := make([]bucket, 0, len(h.GetBucket())+1)
	for _, b := range h.GetBucket() {
		buckets = append(buckets, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
	}
	last := buckets[len(buckets)-1].most
	return append(buckets, bucket{last, h.GetSampleCount()})
}

// Quantiles returns how long messages took since the oldest reading, at most
// latencyWindow ago.
func (l *Latency) Quantiles() Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first []bucket
	if len(l.samples) > 0 {
		first = l.samples[0]
	}
	q := between(first, l.read())
	q.Window = latencyWindow
	return q
}

// between are the quantiles of the messages between two readings; before may be nil, for
// none.
func between(before, now []bucket) Quantiles {
	counts := slices.Clone(now)
	for i, b := range before {
		counts[i].count -= b.count
	}
	return Quantiles{
		Messages: counts[len(counts)-1].count,
		P50:      quantile(counts, 0.50), P95: quantile(counts, 0.95), P99: quantile(counts, 0.99),
	}
}

// quantile finds the time that the share q of messages took at most, taking them
// for evenly spread within a bucket.
func quantile(buckets []bucket, q float64) time.Duration {
	rank := q * float64(buckets[len(buckets)-1].count)
	if rank == 0 {
		return 0
	}
	var below bucket
	for _, b := range buckets {
		if float64(b.count) < rank {
			below = b
			continue
		}
		share := (rank - float64(below.count)) / float64(b.count-below.count)
		return time.Duration((below.most + share*(b.most-below.most)) * float64(time.Second))
	}
	return time.Duration(below.most * float64(time.Second))
}
