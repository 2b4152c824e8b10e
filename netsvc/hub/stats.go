package hub

import (
	"sync/atomic"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Stats are the hub's counts. All but the first two only grow, from 0 at New.
type Stats struct {
	Sessions      int                    // registered now
	Unregistered  int                    // connections not registered yet
	Detached      int                    // remembered sessions without a connection, in none of the other two
	Resumed       uint64                 // times that one came back
	Missed        uint64                 // messages that remembered sessions could not be kept
	Opened        uint64                 // sessions
	Registrations uint64                 // accepted, repeated ones included
	Traffic                              // of all apps
	DroppedAsSlow uint64                 // sessions that did not read
	QueueMemory   QueueMemory            // of all queues, and what is kept
	Refused       map[wire.Reason]uint64 // registrations; has all RefusalReasons
	Closed        map[string]uint64      // sessions; has all CloseReasons
}

// QueueMemory is what all that waits for sessions and is kept for remembered ones takes (see
// budget), and what came of it.
type QueueMemory struct {
	Bytes     int64  // now
	MaxBytes  int64  // that it may; math.MaxInt64: no bound
	Forgotten uint64 // detached sessions
	Dropped   uint64 // connected sessions, which are in DroppedAsSlow as well
}

// AppStats are the counts of one app, since New or since the hub got to know it.
type AppStats struct {
	Sessions         int // registered now
	SessionsOnOldKey int // of these, under a key that is not the current one
	Registrations    uint64
	Traffic
	DroppedAsSlow uint64
	Refused       uint64 // registrations in its name with a wrong HMAC, or of a user with too many sessions
}

// Traffic counts what became of messages.
type Traffic struct {
	Messages       uint64 // published
	NoRecipient    uint64 // messages that reached no session
	Delivered      uint64 // frames written whole
	DeliveredBytes uint64 // written
}

// counters have maps that are complete from the start and only read, so that
// counting takes no lock.
type counters struct {
	appCounters
	sessions atomic.Int64
	detached atomic.Int64
	resumed  atomic.Uint64
	missed   atomic.Uint64
	opened   atomic.Uint64
	refused  map[wire.Reason]*atomic.Uint64
	closed   map[closeReason]*atomic.Uint64
}

// appCounters are those kept for the whole and for each app.
type appCounters struct {
	registrations, published, noRecipient, delivered, bytes, tooSlow atomic.Uint64
}

func (c *appCounters) traffic() Traffic {
	return Traffic{
		Messages:       c.published.Load(),
		NoRecipient:    c.noRecipient.Load(),
		Delivered:      c.delivered.Load(),
		DeliveredBytes: c.bytes.Load(),
	}
}

func (c *counters) init() {
	c.refused = make(map[wire.Reason]*atomic.Uint64)
	for _, reason := range RefusalReasons() {
		c.refused[reason] = new(atomic.Uint64)
	}
	c.closed = make(map[closeReason]*atomic.Uint64)
	for _, why := range closeReasons {
		c.closed[why] = new(atomic.Uint64)
	}
}

// countClosed counts the end of a registered session of that app.
func (h *Hub) countClosed(t *tenant, why closeReason) {
	h.counters.sessions.Add(-1)
	h.counters.closed[why].Add(1)
	h.countSlow(t, why)
}

// countSlow counts a session of that app that ends, or is detached, because it did not read.
func (h *Hub) countSlow(t *tenant, why closeReason) {
	if why == closedQueueFull || why == closedWriteTimeout || why == closedSlowForRoom {
		h.counters.tooSlow.Add(1)
		t.counters.tooSlow.Add(1)
	}
}

// Stats returns the counts as they are now; each is exact, but they are not all
// of the same instant.
func (h *Hub) Stats() Stats {
	c := &h.counters
	st := Stats{
		Sessions:      int(c.sessions.Load()),
		Unregistered:  h.pending.len(),
		Detached:      int(c.detached.Load()),
		Resumed:       c.resumed.Load(),
		Missed:        c.missed.Load(),
		Opened:        c.opened.Load(),
		Registrations: c.registrations.Load(),
		Traffic:       c.traffic(),
		DroppedAsSlow: c.tooSlow.Load(),
		QueueMemory: QueueMemory{
			Bytes: h.budget.used.Load(), MaxBytes: h.limits.Load().QueueMemory,
			Forgotten: c.closed[closedForRoom].Load(), Dropped: c.closed[closedSlowForRoom].Load(),
		},
		Refused: make(map[wire.Reason]uint64, len(c.refused)),
		Closed:  make(map[string]uint64, len(c.closed)),
	}
	for reason, n := range c.refused {
		st.Refused[reason] = n.Load()
	}
	for why, n := range c.closed {
		st.Closed[string(why)] = n.Load()
	}
	return st
}

// AppStats returns the counts of every app the hub knows, by id.
func (h *Hub) AppStats() map[string]AppStats {
	h.appsMu.RLock()
	defer h.appsMu.RUnlock()
	all := make(map[string]AppStats, len(h.apps))
	for id, t := range h.apps {
		all[id] = t.stats()
	}
	return all
}

func (t *tenant) stats() AppStats {
	c := &t.counters
	st := AppStats{
		Registrations: c.registrations.Load(),
		Traffic:       c.traffic(),
		DroppedAsSlow: c.tooSlow.Load(),
		Refused:       t.refused.Load(),
	}
	st.Sessions, st.SessionsOnOldKey = t.sessions()
	return st
}

// sessions counts the app's sessions, and how many live on a key that is not the
// current one.
func (t *tenant) sessions() (total, old int) {
	for i, k := range t.inForce() {
		n := int(k.sessions.Load())
		total += n
		if i > 0 {
			old += n
		}
	}
	return total, old
}

// KeySessions counts the sessions of an app that live on the client key of this
// generation.
func (h *Hub) KeySessions(id string, generation int) (n int) {
	t := h.app(id)
	if t == nil {
		return 0
	}
	for _, k := range t.inForce() {
		if k.Generation == generation {
			n += int(k.sessions.Load())
		}
	}
	return n
}

// AppSessions counts the sessions of an app, and how many of them live on a
// key that is not the current one.
func (h *Hub) AppSessions(id string) (total, old int) {
	t := h.app(id)
	if t == nil {
		return 0, 0
	}
	return t.sessions()
}
