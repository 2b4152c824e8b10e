package hub

import (
	"sync/atomic"
	"time"
)

// delivery follows a message from being accepted to its last copy being written.
type delivery struct {
	accepted time.Duration // since the hub was made
	// open counts the copies that are queued. As long as the publisher is still
	// counting them it is too high by publishing.
	open atomic.Int64
}

// publishing is more than there can be sessions.
const publishing = 1 << 40

// begin starts following a message.
func (h *Hub) begin() *delivery {
	d := &delivery{accepted: time.Since(h.started)}
	d.open.Store(publishing)
	return d
}

// counted ends the publisher's counting of copies. It reports that all of them
// are written already.
func (d *delivery) counted(copies int) bool {
	return d.open.Add(int64(copies)-publishing) == 0 && copies > 0
}

// closed takes a copy off, written or not, and reports that it was the last.
func (d *delivery) closed() bool { return d.open.Add(-1) == 0 }

// finished lets the observer know how long a message took. One whose last copy was
// dropped with its session is left out: that says nothing of the service.
func (h *Hub) finished(d *delivery) {
	if h.options.Latency != nil {
		h.options.Latency(time.Since(h.started) - d.accepted)
	}
}
