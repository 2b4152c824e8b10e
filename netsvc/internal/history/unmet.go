package history

import (
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// KindUnmet is the kind of the events of messages that reached no session.
const KindUnmet hub.EventKind = "message_without_recipient"

// Bounds of what is remembered of messages without a recipient. A recipient takes some
// 500 bytes: there is room for 16 000.
const (
	maxUnmetBytes = 8 << 20
	maxSpans      = 8                         // of one recipient, which are told apart
	spanGap       = time.Minute               // of silence, after which a message begins another span
	tellAgain     = time.Minute               // how often a recipient is told of
	tellASecond   = 10                        // recipients
	maxUnmetID    = wire.MaxRegistrationBytes // no session can have a longer id
)

// Recipient is whom a message was for: an infobase, and in it a user, a group, or all.
type Recipient struct {
	AppID, IbID string
	Type        wire.RecipientType
	Name        string // id of the user, or the group; empty with all
}

// Span is a time in which messages came one soon after the other.
type Span struct {
	First, Last time.Time
	Count       uint64
}

// Unmet is what is remembered of the messages for a recipient that reached nobody: when
// and how many, and nothing of what was in them.
type Unmet struct {
	Recipient
	Count uint64
	Spans []Span // the oldest first; it may stand for several
}

// First is when the first of them came.
func (u *Unmet) First() time.Time { return u.Spans[0].First }

// Last is when the last of them came.
func (u *Unmet) Last() time.Time { return u.Spans[len(u.Spans)-1].Last }

// add counts n messages.
func (u *Unmet) add(s Span) {
	u.Count += s.Count
	if n := len(u.Spans); n > 0 && s.First.Sub(u.Spans[n-1].Last) < spanGap {
		u.Spans[n-1].Last = s.Last
		u.Spans[n-1].Count += s.Count
		return
	}
	if len(u.Spans) == maxSpans {
		u.Spans[1].First = u.Spans[0].First
		u.Spans[1].Count += u.Spans[0].Count
		u.Spans = slices.Delete(u.Spans, 0, 1)
	}
	u.Spans = append(u.Spans, s)
}

// unmetEntry is an Unmet, and what has been told of it.
type unmetEntry struct {
	Unmet
	told   time.Time
	untold uint64
}

// bytes is what an entry takes, with the caches' own share.
func (u *unmetEntry) bytes() int {
	const fixed, span = 420, 56
	return fixed + len(u.IbID) + len(u.Name) + maxSpans*span/4 + span*len(u.Spans)
}

// unmetMemory remembers the recipients of messages that reached nobody, those of the
// latest messages.
type unmetMemory struct {
	entries *lru.LRU[Recipient, *unmetEntry]
	bytes   int

	second time.Time // in which so many recipients were told of
	told   int
}

func newUnmetMemory() unmetMemory {
	// Each entry takes more than this, so that the bound on bytes comes first.
	return unmetMemory{entries: newLRU[Recipient, *unmetEntry](maxUnmetBytes / 100)}
}

// remember adds messages for a recipient, and returns the entry.
func (m *unmetMemory) remember(r Recipient, s Span) *unmetEntry {
	e, known := m.entries.Get(r)
	if !known {
		r.IbID, r.Name = strings.Clone(r.IbID), strings.Clone(r.Name) // parts of a request so far
		e = &unmetEntry{Unmet: Unmet{Recipient: r}}
		m.entries.Add(r, e)
	} else {
		m.bytes -= e.bytes()
	}
	e.add(s)
	m.bytes += e.bytes()
	for m.bytes > maxUnmetBytes && m.entries.Len() > 1 {
		_, oldest, _ := m.entries.RemoveOldest()
		m.bytes -= oldest.bytes()
	}
	return e
}

// tell reports whether a recipient is told of now, and of how many messages.
func (m *unmetMemory) tell(e *unmetEntry, now time.Time) (count uint64, due bool) {
	e.untold++
	if now.Sub(m.second) >= time.Second {
		m.second, m.told = now, 0
	}
	if m.told >= tellASecond || !e.told.IsZero() && now.Sub(e.told) < tellAgain {
		return 0, false
	}
	m.told++
	count, e.untold, e.told = e.untold, 0, now
	return count, true
}

// Unmet remembers that a message reached no session. It reports whether that is worth
// telling, and how many messages for this recipient there were since it was told last;
// then followers of events are told.
func (h *History) Unmet(appID string, to wire.Recipient) (count uint64, tell bool) {
	if len(to.IbID)+len(to.UserID)+len(to.UserGroup) > maxUnmetID {
		return 0, false
	}
	now := time.Now()
	r := Recipient{AppID: appID, IbID: to.IbID, Type: to.Type}
	switch to.Type {
	case wire.ToUser:
		r.Name = to.UserID
	case wire.ToGroup:
		r.Name = to.UserGroup
	}
	h.mu.Lock()
	e := h.unmet.remember(r, Span{now, now, 1})
	count, tell = h.unmet.tell(e, now)
	r = e.Recipient
	h.mu.Unlock()
	if tell {
		session := hub.Session{AppID: r.AppID, IbID: r.IbID}
		switch r.Type {
		case wire.ToUser:
			session.UserID = r.Name
		case wire.ToGroup:
			session.UserGroup = r.Name
		}
		h.events.Append(Event{Event: hub.Event{Time: now, Kind: KindUnmet, Session: session}, To: r.Type, Count: count})
	}
	return count, tell
}

// UnmetOf returns what is remembered of the recipients of an app that match, the latest
// first.
func (h *History) UnmetOf(appID string, match func(Recipient) bool) []Unmet {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []Unmet
	for _, e := range h.unmet.entries.Values() {
		if e.AppID == appID && match(e.Recipient) {
			u := e.Unmet
			u.Spans = slices.Clone(u.Spans)
			found = append(found, u)
		}
	}
	slices.Reverse(found)
	return found
}

// AllUnmet returns all that is remembered, for RememberUnmet of the process that comes
// next: the oldest first.
func (h *History) AllUnmet() []Unmet {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Unmet, 0, h.unmet.entries.Len())
	for _, e := range h.unmet.entries.Values() {
		u := e.Unmet
		u.Spans = slices.Clone(u.Spans)
		all = append(all, u)
	}
	return all
}

// RememberUnmet takes over what another process remembered.
func (h *History) RememberUnmet(all []Unmet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range all {
		if len(u.IbID)+len(u.Name) > maxUnmetID {
			continue
		}
		for _, s := range u.Spans[:min(len(u.Spans), maxSpans)] {
			h.unmet.remember(u.Recipient, s)
		}
	}
}

// User is somebody of whom the history knows something.
type User struct{ AppID, IbID, UserID string }

// Users calls visit for each user of whose sessions, refusals or messages something is
// remembered; some may come twice.
func (h *History) Users(visit func(User)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, keys := range [][]who{h.ended.Keys(), h.refused.Keys()} {
		for _, k := range keys {
			visit(User{k.app, k.ib, k.user})
		}
	}
	for _, e := range h.unmet.entries.Values() {
		if e.Type == wire.ToUser {
			visit(User{e.AppID, e.IbID, e.Name})
		}
	}
}
