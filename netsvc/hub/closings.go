package hub

import (
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxClosings is how many changes are remembered for those who made them and are about
// to ask.
const maxClosings = 1024

// closings remembers how many sessions the latest changes of client keys closed.
type closings struct {
	mu   *sync.Mutex
	last *lru.LRU[renewal, int]
}

// renewal is a change that gave an app another current client key: no other change
// gives it the same generation. 0: the app was removed.
type renewal struct {
	app        string
	generation int
}

func newClosings() closings {
	last, err := lru.NewLRU[renewal, int](maxClosings, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return closings{new(sync.Mutex), last}
}

// note remembers, and returns, the number of sessions that a change closed. The end of
// an old key leaves the current one as it is, and is nobody's to ask for.
func (c closings) note(app string, before, now, closed int) int {
	if before == now {
		return closed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if this := (renewal{app, now}); closed > 0 {
		c.last.Add(this, closed)
	} else {
		c.last.Remove(this) // of an app that was imported again after its end
	}
	return closed
}

// ClosedBy is how many sessions of an app were closed as it got the client key of this
// generation or, with 0, as it was removed. It is remembered for the last 1024 changes
// that closed any.
func (h *Hub) ClosedBy(app string, generation int) int {
	c := h.closings
	c.mu.Lock()
	defer c.mu.Unlock()
	closed, _ := c.last.Get(renewal{strings.ToLower(app), generation})
	return closed
}

// generation is that of the current one of an app's keys; 0: it has none.
func generation(keys []*key) int {
	if len(keys) == 0 {
		return 0
	}
	return keys[0].Generation
}
