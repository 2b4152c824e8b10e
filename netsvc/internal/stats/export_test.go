package stats

import "time"

// NewPast returns a timeline, and what has it record all since it was called last, as of a
// time: a day is long where each second is waited for.
func NewPast(s Sources) (past *Timeline, record func(now time.Time)) {
	past = newTimeline()
	var before sample
	return past, func(at time.Time) {
		now := sample{at: at, hub: s.Hub(), apps: s.AppStats(), http: s.HTTP()}
		if before.at.IsZero() {
			before.at = at.Add(-time.Second)
		}
		past.record(&before, &now, s.Latency.read())
		before = now
	}
}
