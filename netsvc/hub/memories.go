package hub

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// maxDetached is how many sessions without a connection are remembered at most, and how many
// of which only the last turn is.
const maxDetached = 65536

// memories are all there are. Who registers a remembered session, detaches or forgets it holds
// mu, taken before a shard's and a session's; who publishes or writes does not.
type memories struct {
	mu       sync.Mutex
	holders  map[memoryDigest]*holder
	detached *list.List // of *holder, the one that has been away longest first
	ended    map[memoryDigest]endedSession
	ends     *list.List // of memoryDigest, in the order of their end
}

// memoryKey is who may go on with a memory: the same session of the same user.
type memoryKey struct {
	infobaseKey
	user, session string
}

// memoryDigest stands for a memoryKey, which takes four times as much in a map, and holds on to
// texts of any length.
type memoryDigest [16]byte

// digest is that of a key. None of its texts has a NUL, for they come from registrations.
func (key memoryKey) digest() memoryDigest {
	var room [256]byte
	text := room[:0]
	for _, part := range []string{key.app, key.ib, key.user, key.session} {
		text = append(append(text, part...), 0)
	}
	sum := sha256.Sum256(text)
	return memoryDigest(sum[:])
}

// find returns the holder of a memory, nil: there is none.
func (all *memories) find(key memoryKey) *holder { return all.holders[key.digest()] }

// holder leads from a memory to the session that has it, at any time.
type holder struct {
	session      atomic.Pointer[session] // nil: it is forgotten
	away         *list.Element           // in memories.detached; nil: it is connected
	replacements *replacements           // nil: there were none
	secret       [wire.SessionIDBytes]byte
}

// hold has a session hold what is remembered under a key. It is found when it is in holders.
func hold(s *session, key memoryKey) *holder {
	own := &holder{secret: [wire.SessionIDBytes]byte([]byte(key.session))}
	own.session.Store(s)
	return own
}

// memoryKey is who may go on with what is remembered of the session that r is of.
func (r *registration) memoryKey() memoryKey {
	return memoryKey{r.infobase.infobaseKey, r.user, string(r.more.holder.secret[:])}
}

// key is that of a memory that is not forgotten. The caller holds memories.mu.
func (own *holder) key() memoryKey { return own.session.Load().registered().memoryKey() }

// endedSession is what stays known of a session that was forgotten.
type endedSession struct {
	turn uint64 // of the last packet that was taken
	at   time.Time
	in   *list.Element // of ends
}

func newMemories() *memories {
	return &memories{
		holders: make(map[memoryDigest]*holder), detached: list.New(), ended: make(map[memoryDigest]endedSession),
		ends: list.New(),
	}
}

// bury remembers the last turn of a session that was forgotten then, after all others.
func (all *memories) bury(key memoryDigest, turn uint64, at time.Time) {
	end, known := all.ended[key]
	if known {
		all.ends.MoveToBack(end.in)
	} else {
		end.in = all.ends.PushBack(key)
	}
	end.turn, end.at = turn, at
	all.ended[key] = end
	if all.ends.Len() > maxDetached {
		delete(all.ended, all.ends.Remove(all.ends.Front()).(memoryDigest))
	}
}

// tidyEvery is how often it is looked at whether something is to be forgotten: at least so often that
// no window is longer by more than an eighth.
func (l *Limits) tidyEvery() time.Duration {
	if l.ResumeWindow == 0 {
		return time.Second
	}
	return max(min(time.Second, l.ResumeWindow/8), time.Millisecond)
}

// tidyMemories forgets what has been remembered for long enough, until the hub stops.
func (h *Hub) tidyMemories() {
	for {
		select {
		case <-time.After(h.limits.Load().tidyEvery()):
			h.forgetOld(time.Now())
			h.relieve()
			h.sayEnough(time.Now())
		case <-h.tidy:
			return
		}
	}
}

func (h *Hub) forgetOld(now time.Time) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() {
		return
	}
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	window := h.limits.Load().ResumeWindow
	for first := all.detached.Front(); first != nil; first = all.detached.Front() {
		own := first.Value.(*holder)
		if now.Sub(*own.session.Load().remembered().away) < window {
			break
		}
		h.end(own, closedNotResumed)
	}
	for first := all.ends.Front(); first != nil &&
		now.Sub(all.ended[first.Value.(memoryDigest)].at) >= window; first = all.ends.Front() {
		delete(all.ended, all.ends.Remove(first).(memoryDigest))
	}
	old := momentOf(now.Add(-h.limits.Load().keptFor()))
	for _, own := range all.holders {
		s := own.session.Load()
		s.mu.Lock()
		if s.out.state != outDetached { // else it all waits to be sent again, and grows no older
			s.out.memory.expire(old)
			h.budget.recount(s)
		}
		s.mu.Unlock()
	}
}
