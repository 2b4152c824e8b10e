package httpapi

import (
	"net/http"
	"sync"
	"time"
)

// idleWithoutSuccess is how long a connection may be idle that has had no successful
// request (protocol.md section 5).
const idleWithoutSuccess = 5 * time.Second

// crowd holds the connections of senders, so that they cannot take all descriptors:
// beyond the bound one that is idle is closed for each new one, first of those that
// have had no successful request, and of these the one that has been idle longest.
type crowd struct {
	mu        sync.Mutex
	n         int
	strangers idleList // without a successful request
	senders   idleList // with one
}

// idleList is of idle connections, the longest idle first, linked by their places: a request
// takes its connection out and puts it in again, which is to allocate nothing.
type idleList struct{ first, last *conn }

// place is where an idle connection stands; guarded by the crowd's lock.
type place struct {
	in            *idleList // nil: it is busy
	before, after *conn     // nil: it is the first, or the last
}

// enter adds an idle connection, and returns one that has to go if there are more than
// most: the new one itself if nobody else is idle.
func (c *crowd) enter(one *conn, most int) (leaves *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.rest(one)
	if c.n <= most {
		return nil
	}
	return c.longestIdle()
}

// evict returns the connection that has been idle longest, nil if none is.
func (c *crowd) evict() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.longestIdle()
}

// longestIdle takes one out of the lists. The caller holds mu and closes it.
func (c *crowd) longestIdle() *conn {
	one := c.strangers.first
	if one == nil {
		one = c.senders.first
	}
	if one != nil {
		c.wake(one)
	}
	return one
}

// rest lists a connection as idle, from now on. The caller holds mu.
func (c *crowd) rest(one *conn) {
	in := &c.strangers
	if one.succeeded.Load() {
		in = &c.senders
	}
	one.place = place{in: in, before: in.last}
	if in.last != nil {
		in.last.place.after = one
	} else {
		in.first = one
	}
	in.last = one
}

// wake takes a connection off the idle ones. The caller holds mu.
func (c *crowd) wake(one *conn) {
	at := one.place
	if at.in == nil {
		return
	}
	if at.before != nil {
		at.before.place.after = at.after
	} else {
		at.in.first = at.after
	}
	if at.after != nil {
		at.after.place.before = at.before
	} else {
		at.in.last = at.before
	}
	one.place = place{}
}

// busy notes that a request of the connection is being answered, idle that it was.
func (c *crowd) busy(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake(one)
}

func (c *crowd) idle(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !one.left {
		c.wake(one)
		c.rest(one)
	}
}

// leave takes a connection out that is closed.
func (c *crowd) leave(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.left {
		return
	}
	one.left = true
	c.n--
	c.wake(one)
}

// Connections is the number of connections of senders.
func (s *Server) Connections() int {
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	return s.crowd.n
}

// EvictIdle closes the connection of a sender that has been idle longest, and reports
// whether there was one. It makes room when descriptors run out.
func (s *Server) EvictIdle() bool {
	victim := s.crowd.evict()
	if victim != nil {
		victim.evicted()
	}
	return victim != nil
}

// evicted closes a connection for want of room, counts and logs it.
func (c *conn) evicted() {
	c.server.note(c.peer(), refusal{reason: ReasonTooManySenders})
	c.Close()
}

// succeeds notes that the request under way was a success.
func succeeds(r *http.Request) {
	if c, _ := r.Context().Value(connKey{}).(*conn); c != nil {
		c.succeeded.Store(true)
	}
}
