package hub

import (
	"sync"
	"sync/atomic"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Stats are the hub's counts. All but the first two only grow, from 0 at New.
type Stats struct {
	Sessions      int    // registered now
	Unregistered  int    // connections not registered yet
	Registrations uint64 // accepted, repeated ones included
	Published     uint64 // messages
	NoRecipient   uint64 // messages that reached no session
	Delivered     uint64 // frames written whole
	Bytes         uint64 // written
	TooSlow       uint64 // sessions dropped because they did not read
	Refused       map[wire.Reason]uint64
}

type counters struct {
	sessions                                                         atomic.Int64
	registrations, published, noRecipient, delivered, bytes, tooSlow atomic.Uint64

	mu      sync.Mutex
	refused map[wire.Reason]uint64
}

func (c *counters) countRefused(reason wire.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = make(map[wire.Reason]uint64)
	}
	c.refused[reason]++
}

func (c *counters) countClosed(why closeReason) {
	if why == closedQueueFull || why == closedWriteTimeout {
		c.tooSlow.Add(1)
	}
}

// Stats returns the counts as they are now; each is exact, but they are not all
// of the same instant.
func (h *Hub) Stats() Stats {
	c := &h.counters
	st := Stats{
		Sessions:      int(c.sessions.Load()),
		Unregistered:  h.pending.len(),
		Registrations: c.registrations.Load(),
		Published:     c.published.Load(),
		NoRecipient:   c.noRecipient.Load(),
		Delivered:     c.delivered.Load(),
		Bytes:         c.bytes.Load(),
		TooSlow:       c.tooSlow.Load(),
		Refused:       make(map[wire.Reason]uint64),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, n := range c.refused {
		st.Refused[reason] = n
	}
	return st
}
