package hub

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxInfobases bounds the infobases whose messages are counted apart: whoever has a token
// can invent as many as he likes.
const maxInfobases = 10_000

// Infobase is what the hub knows of an infobase: who is connected, and what was sent since
// New. One that has neither sessions nor messages is not known.
type Infobase struct {
	AppID, IbID   string
	Sessions      int
	Users, Groups int       // that sessions have
	Messages      uint64    // published
	Unmatched     uint64    // of these, those that reached no session
	LastMessageAt time.Time // zero: none
}

// infobaseTraffic counts the messages of an infobase, whether it has sessions or not.
type infobaseTraffic struct {
	messages, unmatched atomic.Uint64
	last                atomic.Int64 // Unix nanoseconds; 0: none
}

func (t *infobaseTraffic) count(at time.Time, reached int) {
	t.messages.Add(1)
	if reached == 0 {
		t.unmatched.Add(1)
	}
	t.last.Store(at.UnixNano())
}

// infobaseTraffics are the counts of all infobases; those of one stay when its sessions go.
type infobaseTraffics struct {
	mu   sync.RWMutex
	byID map[infobaseKey]*infobaseTraffic
}

// of returns the counts of an infobase. Beyond maxInfobases they are kept no longer than
// the caller keeps them.
func (all *infobaseTraffics) of(k infobaseKey) *infobaseTraffic {
	all.mu.RLock()
	t := all.byID[k]
	all.mu.RUnlock()
	if t != nil {
		return t
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if t = all.byID[k]; t != nil {
		return t
	}
	t = new(infobaseTraffic)
	if all.byID == nil {
		all.byID = make(map[infobaseKey]*infobaseTraffic)
	}
	if len(all.byID) < maxInfobases {
		k.ib = strings.Clone(k.ib) // a part of the sender's request, perhaps
		all.byID[k] = t
	}
	return t
}

// forget drops the counts of an app that is gone.
func (all *infobaseTraffics) forget(appID string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for k := range all.byID {
		if k.app == appID {
			delete(all.byID, k)
		}
	}
}

// Infobases returns the infobases of an app in no order; of all apps, if appID is empty.
func (h *Hub) Infobases(appID string) []Infobase {
	found := make(map[infobaseKey]*Infobase)
	add := func(k infobaseKey, t *infobaseTraffic) *Infobase {
		ib := &Infobase{AppID: k.app, IbID: k.ib, Messages: t.messages.Load(), Unmatched: t.unmatched.Load()}
		if last := t.last.Load(); last != 0 {
			ib.LastMessageAt = time.Unix(0, last)
		}
		found[k] = ib
		return ib
	}
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.RLock()
		for k, one := range sh.infobases {
			if appID == "" || k.app == appID {
				ib := add(k, one.traffic)
				ib.Sessions, ib.Users, ib.Groups = len(one.all), len(one.users), len(one.groups)
			}
		}
		sh.mu.RUnlock()
	}
	h.traffic.mu.RLock()
	for k, t := range h.traffic.byID {
		if found[k] == nil && (appID == "" || k.app == appID) && t.messages.Load() > 0 {
			add(k, t)
		}
	}
	h.traffic.mu.RUnlock()
	all := make([]Infobase, 0, len(found))
	for _, ib := range found {
		all = append(all, *ib)
	}
	return all
}
