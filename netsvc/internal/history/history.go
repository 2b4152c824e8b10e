// Package history remembers what has happened to sessions and apps: the last
// events, for those who follow, and for each user the last end of a session, the
// last refusal and the messages that found nobody, for those who ask why a message did
// not arrive.
//
// The hub reports sessions to it, httpapi refused requests, netsvc apps, and
// control shows it. All of it is bounded and in memory; a start forgets it, but for the
// messages that found nobody where another process has handed them over.
package history

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/ring"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// How much is remembered. At some 500 bytes each, all of it takes 16 MB, and 8 MiB
// more for messages that found nobody (unmet.go).
const (
	maxEvents   = 10_000
	maxEnded    = 20_000 // users whose session has ended
	maxRefused  = 2_000  // users in whose name a registration was refused
	maxNameless = 500    // addresses and reasons of refusals without a name
	maxRequests = 2_000  // apps, addresses and reasons of refused requests of senders
)

// KindAppChanged is the kind of the events of an app; the others are
// the hub's.
const KindAppChanged hub.EventKind = "app_changed"

// KindNode is the kind of the events of other nodes of the cluster.
const KindNode hub.EventKind = "node"

// Change says what changed about an app, or what became of a node: a stable word.
type Change string

// What can change about an app.
const (
	AppCreated     Change = "created"
	AppRemoved     Change = "removed"
	AppRenamed     Change = "renamed"
	AppServerKey   Change = "server_key"
	AppClientKey   Change = "client_key"
	AppOldKeysGone Change = "old_keys_gone"
	AppTokensReset Change = "tokens_reset"
	AppNames       Change = "names"
)

// Event is something that happened.
type Event struct {
	hub.Event        // of an app, only Time and Kind, and the session's AppID; of a node neither
	Title     string // of the app, or the node's name
	Change    Change // of the app or the node
	// Of messages without a recipient, who is in the session: to whom, and how many since
	// the last such event of the same recipient.
	To    wire.RecipientType
	Count uint64
}

// Refusal is the last of several refused registrations that were alike.
type Refusal struct {
	hub.Event
	Count uint64    // how many there were
	First time.Time // when the first of them was
}

// Request is the last of several refused requests of senders that were alike.
type Request struct {
	httpapi.Refused
	Count uint64    // how many there were
	First time.Time // when the first of them was
}

// request is what makes them alike.
type request struct {
	app, reason string
	peer        netip.Addr
}

// who is a user of an infobase of an app.
type who struct{ app, ib, user string }

func whoIs(s *hub.Session) who { return who{strings.ToLower(s.AppID), s.IbID, s.UserID} }

// nameless is a refusal that does not say whose it was.
type nameless struct {
	peer   netip.Addr
	reason string
}

// History is what is remembered. Its methods may be called concurrently.
type History struct {
	events *ring.Ring[Event]

	mu       sync.Mutex
	ended    *lru.LRU[who, hub.Event]
	refused  *lru.LRU[who, Refusal]
	nameless *lru.LRU[nameless, Refusal]
	requests *lru.LRU[request, Request]
	unmet    unmetMemory
}

// New returns an empty history.
func New() *History {
	return &History{
		events:   ring.New[Event](maxEvents),
		ended:    newLRU[who, hub.Event](maxEnded),
		refused:  newLRU[who, Refusal](maxRefused),
		nameless: newLRU[nameless, Refusal](maxNameless),
		requests: newLRU[request, Request](maxRequests),
		unmet:    newUnmetMemory(),
	}
}

func newLRU[K comparable, V any](size int) *lru.LRU[K, V] {
	cache, err := lru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return cache
}

// Events is the ring of the last events.
func (h *History) Events() *ring.Ring[Event] { return h.events }

// Observe remembers an event of the hub.
func (h *History) Observe(e hub.Event) {
	h.remember(e)
	h.events.Append(Event{Event: e})
}

func (h *History) remember(e hub.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Kind {
	case hub.SessionClosed:
		h.ended.Add(whoIs(&e.Session), e)
	case hub.RegistrationRefused:
		if e.Session.AppID != "" {
			count(h.refused, whoIs(&e.Session), e)
			return
		}
		// The port is another one each time.
		addr, _ := netip.ParseAddrPort(e.Session.Addr)
		count(h.nameless, nameless{addr.Addr(), e.Reason}, e)
	}
}

func count[K comparable](refusals *lru.LRU[K, Refusal], k K, e hub.Event) {
	r, known := refusals.Get(k)
	if !known {
		r.First = e.Time
	}
	r.Event = e
	r.Count++
	refusals.Add(k, r)
}

// RequestRefused remembers a refused request of a sender whose app is known.
func (h *History) RequestRefused(r httpapi.Refused) {
	if r.AppID == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	k := request{r.AppID, string(r.Reason), r.Peer}
	last, known := h.requests.Get(k)
	if !known {
		last.First = r.Time
	}
	last.Refused = r
	last.Count++
	h.requests.Add(k, last)
}

// Requests returns the refused requests of senders of that app, the latest first.
func (h *History) Requests(appID string) []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []Request
	for _, k := range h.requests.Keys() {
		if k.app == appID {
			r, _ := h.requests.Peek(k)
			found = append(found, r)
		}
	}
	slices.Reverse(found)
	return found
}

// AppChanged remembers that an app changed.
func (h *History) AppChanged(id, title string, change Change) {
	h.events.Append(Event{
		Event: hub.Event{Time: time.Now(), Kind: KindAppChanged, Session: hub.Session{AppID: id}},
		Title: title, Change: change,
	})
}

// NodeChanged remembers what has become of another node.
func (h *History) NodeChanged(name string, change Change) {
	h.events.Append(Event{Event: hub.Event{Time: time.Now(), Kind: KindNode}, Title: name, Change: change})
}

// LastClosed returns the last end of a session of that user.
func (h *History) LastClosed(appID, ibID, userID string) (hub.Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended.Peek(who{appID, ibID, userID})
}

// LastRefused returns the last registration in the name of that user that was
// refused.
func (h *History) LastRefused(appID, ibID, userID string) (Refusal, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused.Peek(who{appID, ibID, userID})
}

// Nameless returns the refused registrations that did not say whose they were,
// the latest first.
func (h *History) Nameless() []Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.nameless.Values()
	slices.Reverse(all)
	return all
}

// RefusedElsewhere returns the refused registrations in the name of that user for
// another infobase, or for an app that does not exist; the latest first.
func (h *History) RefusedElsewhere(appID, ibID, userID string) []Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []Refusal
	for _, k := range h.refused.Keys() {
		if k.user == userID && (k.app != appID || k.ib != ibID) {
			r, _ := h.refused.Peek(k)
			found = append(found, r)
		}
	}
	slices.Reverse(found)
	return found
}
