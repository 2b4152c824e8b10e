package app

import (
	"sync"
	"time"
)

// Tokens are not stored, so nobody knows how many there are. But each is got with a
// server key, and how many were got of late tells whether senders still use it.

const (
	// TokensWindow is the time that [TokenUse.Recent] looks back on.
	TokensWindow = time.Hour
	tokenSlot    = TokensWindow / 12
)

// TokenUse is what a server key was used for since the registry was opened.
type TokenUse struct {
	Recent int       // tokens given out for it during the last TokensWindow, to within five minutes
	Last   time.Time // when the last one was; zero: none was
}

// TokenUse returns how each of the app's server keys was used, in the order of
// a.ServerKeys.
func (r *Registry) TokenUse(a *App) []TokenUse {
	now := r.now()
	uses := make([]TokenUse, len(a.ServerKeys))
	for i := range a.ServerKeys {
		if count, used := r.tokens.Load(a.ServerKeys[i].Key); used {
			uses[i] = count.(*tokenCount).use(now)
		}
	}
	return uses
}

// countToken notes that a token was given out.
func (r *Registry) countToken(serverKey string, now time.Time) {
	count, used := r.tokens.Load(serverKey)
	if !used {
		count, _ = r.tokens.LoadOrStore(serverKey, new(tokenCount))
	}
	count.(*tokenCount).add(now)
}

// forgetTokens drops the counts of keys that are gone.
func (r *Registry) forgetTokens() {
	there := r.current.Load().byServerKey
	r.tokens.Range(func(key, _ any) bool {
		if _, ok := there[key.(string)]; !ok {
			r.tokens.Delete(key)
		}
		return true
	})
}

// tokenCount counts tokens of one server key by slots of time.
type tokenCount struct {
	mu    sync.Mutex
	slots [TokensWindow / tokenSlot]uint32 // guarded by mu, like the rest; a ring
	slot  int64                            // number of the latest slot since 1970
	last  time.Time
}

func (c *tokenCount) add(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turnTo(now)
	c.slots[c.slot%int64(len(c.slots))]++
	c.last = now
}

func (c *tokenCount) use(now time.Time) TokenUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turnTo(now)
	use := TokenUse{Last: c.last}
	for _, n := range c.slots {
		use.Recent += int(n)
	}
	return use
}

// turnTo empties the slots whose time is over. A clock that was set back counts into
// the latest slot.
func (c *tokenCount) turnTo(now time.Time) {
	at := now.UnixNano() / int64(tokenSlot)
	if at-c.slot >= int64(len(c.slots)) {
		c.slots, c.slot = [len(c.slots)]uint32{}, at
	}
	for c.slot < at {
		c.slot++
		c.slots[c.slot%int64(len(c.slots))] = 0
	}
}
