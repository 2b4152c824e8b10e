package hub

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Session is a registered session as it was when it was asked for.
type Session struct {
	ID             uint64
	AppID          string
	IbID           string
	UserID         string
	UserGroup      string
	Addr           string // of the peer, with its port
	Since          time.Time
	Delivered      uint64    // messages written whole
	Bytes          uint64    // written
	Queued         int       // bytes waiting
	LastDeliveryAt time.Time // zero: none
	KeyGeneration  int
}

// Query selects sessions. The zero value selects the first page of all of them.
type Query struct {
	// An empty filter admits all. AppID is compared in lower case, the others
	// exactly.
	AppID, IbID, UserID, UserGroup string
	// Text must be part of the infobase, user, group or address, in any letter case.
	Text string
	// Sort is one of SortKeys, with a leading «-» for the reverse; empty: by id.
	Sort string
	// Limit is the size of a page, 1 to MaxPage; 0: MaxPage.
	Limit int
	// After is Page.Next of the page before.
	After string
}

// MaxPage is the largest page of Sessions.
const MaxPage = 1000

// Page is a part of the sessions that match.
type Page struct {
	Sessions []Session
	Total    int    // that match, on all pages
	Next     string // for Query.After; empty: this was the last page
}

// ErrBadQuery is wrapped by the errors of Sessions.
var ErrBadQuery = errors.New("bad query")

// sortKey tells what sessions are ordered by: a text or a number.
type sortKey func(*Session) (string, int64)

var sortKeys = map[string]sortKey{
	"id":        func(*Session) (string, int64) { return "", 0 },
	"app":       func(s *Session) (string, int64) { return s.AppID, 0 },
	"ib":        func(s *Session) (string, int64) { return s.IbID, 0 },
	"user":      func(s *Session) (string, int64) { return s.UserID, 0 },
	"group":     func(s *Session) (string, int64) { return s.UserGroup, 0 },
	"addr":      func(s *Session) (string, int64) { return s.Addr, 0 },
	"since":     func(s *Session) (string, int64) { return "", s.Since.UnixNano() },
	"delivered": func(s *Session) (string, int64) { return "", int64(s.Delivered) },
	"bytes":     func(s *Session) (string, int64) { return "", int64(s.Bytes) },
	"queued":    func(s *Session) (string, int64) { return "", int64(s.Queued) },
}

// SortKeys returns the words that Query.Sort takes.
func SortKeys() []string {
	names := make([]string, 0, len(sortKeys))
	for name := range sortKeys {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// place is where a page ends in its order, and what a cursor holds. The id
// makes it unique.
type place struct {
	Text   string `json:"t,omitempty"`
	Number int64  `json:"n,omitempty"`
	ID     uint64 `json:"id"`
}

func (p place) compare(q place) int {
	return cmp.Or(strings.Compare(p.Text, q.Text), cmp.Compare(p.Number, q.Number), cmp.Compare(p.ID, q.ID))
}

// Sessions returns a page of the registered sessions that match. Its errors
// wrap ErrBadQuery and tell which values are allowed.
func (h *Hub) Sessions(q Query) (Page, error) {
	name, descending := strings.CutPrefix(cmp.Or(q.Sort, "id"), "-")
	key, known := sortKeys[name]
	if !known {
		return Page{}, fmt.Errorf("%w: sort %q: expected one of %s, with - before it for the reverse", ErrBadQuery, q.Sort, strings.Join(SortKeys(), ", "))
	}
	if q.Limit < 0 || q.Limit > MaxPage {
		return Page{}, fmt.Errorf("%w: limit %d: expected 1 to %d", ErrBadQuery, q.Limit, MaxPage)
	}
	after, err := parseCursor(q.After)
	if err != nil {
		return Page{}, err
	}
	q.AppID, q.Text = strings.ToLower(q.AppID), strings.ToLower(q.Text)

	var found []Session
	for _, s := range h.snapshot() {
		if view, ok := s.view(&q); ok {
			found = append(found, view)
		}
	}
	placeOf := func(s *Session) place {
		text, number := key(s)
		return place{text, number, s.ID}
	}
	direction := 1
	if descending {
		direction = -1
	}
	slices.SortFunc(found, func(a, b Session) int { return direction * placeOf(&a).compare(placeOf(&b)) })

	page := Page{Total: len(found)}
	if after != nil {
		found = found[afterPlace(found, placeOf, *after, direction):]
	}
	limit := cmp.Or(q.Limit, MaxPage)
	if len(found) > limit {
		found = found[:limit]
		page.Next = placeOf(&found[limit-1]).cursor()
	}
	page.Sessions = found
	return page, nil
}

// afterPlace returns the index of the first session beyond a place.
func afterPlace(sorted []Session, placeOf func(*Session) place, p place, direction int) int {
	at, _ := slices.BinarySearchFunc(sorted, p, func(s Session, p place) int {
		if direction*placeOf(&s).compare(p) <= 0 {
			return -1
		}
		return 1
	})
	return at
}

func (p place) cursor() string {
	text, _ := json.Marshal(p) // a struct of plain fields
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(cursor string) (*place, error) {
	if cursor == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, fmt.Errorf("%w: after: expected what the page before gave", ErrBadQuery)
	}
	var p place
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%w: after: expected what the page before gave", ErrBadQuery)
	}
	return &p, nil
}

// view describes a session if it is open, registered and matches.
func (s *session) view(q *Query) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.registration
	if s.closed != "" || r == nil {
		return Session{}, false
	}
	if q.AppID != "" && q.AppID != r.infobase.app || q.IbID != "" && q.IbID != r.infobase.ib ||
		q.UserID != "" && q.UserID != r.user || q.UserGroup != "" && q.UserGroup != r.group {
		return Session{}, false
	}
	addr := s.peer().String()
	if q.Text != "" && !slices.ContainsFunc([]string{r.infobase.ib, r.user, r.group, addr}, func(field string) bool {
		return strings.Contains(strings.ToLower(field), q.Text)
	}) {
		return Session{}, false
	}
	view := Session{
		ID: s.id, AppID: r.infobase.app, IbID: r.infobase.ib, UserID: r.user, UserGroup: r.group,
		Addr: addr, Since: time.Unix(0, s.since), Delivered: s.delivered, Bytes: s.bytes,
		Queued: max(s.queuedBytes-s.written, 0), KeyGeneration: r.key.Generation,
	}
	if s.lastDelivery != 0 {
		view.LastDeliveryAt = time.Unix(0, s.lastDelivery)
	}
	return view, true
}

// CloseSession ends a session at an administrator's wish and returns what it
// was. It reports false if there is no such session.
func (h *Hub) CloseSession(id uint64) (Session, bool) {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	if s == nil {
		return Session{}, false
	}
	last, open := s.view(&Query{})
	return last, open && h.closeSession(s, closedByAdmin)
}
