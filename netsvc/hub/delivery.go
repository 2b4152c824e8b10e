package hub

import (
	"sync/atomic"
	"time"
)

// delivery follows a message from being accepted to its last copy being written, and what its
// frames take until nobody needs them.
type delivery struct {
	accepted time.Duration // since the hub was made
	// open counts the copies that are queued. As long as the publisher is still
	// counting them it is too high by publishing.
	open atomic.Int64
	held holding // of all its frames that none of them has for itself
}

// publishing is more than there can be sessions.
const publishing = 1 << 40

// begin starts following a message.
func begin(accepted time.Duration) *delivery {
	d := &delivery{accepted: accepted}
	d.open.Store(publishing)
	d.held.needs.Store(1)
	return d
}

// counted ends the publisher's counting of copies of frames that take so many bytes together.
// It reports that all of them are written already.
func (d *delivery) counted(copies int, bytes int64, b *budget) bool {
	d.held.bytes.Store(bytes)
	b.used.Add(bytes)
	if d.open.Add(int64(copies)-publishing) != 0 {
		return false
	}
	d.held.free(b)
	return copies > 0
}

// closed takes a copy off, written or not, and reports that it was the last.
func (d *delivery) closed(b *budget) bool {
	if d.open.Add(-1) != 0 {
		return false
	}
	d.held.free(b)
	return true
}

// finished lets the observer know how long a message took. One whose last copy was
// dropped with its session is left out: that says nothing of the service.
func (h *Hub) finished(d *delivery) {
	if h.options.Latency != nil {
		h.options.Latency(time.Since(h.started) - d.accepted)
	}
}
