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

	// What a newer add-in says of itself (protocol.md section 4.4), of the others empty.
	// The names are for people, and anything.
	Groups           []string // further ones, beside UserGroup; not to be changed
	Host, Agent      string
	UserName, IbName string

	// Away is since when a remembered session has had no connection; zero: it has one.
	Away    time.Time
	Waiting int    // messages that wait for it, if it is away
	Resumed uint64 // times that it came back
	Missed  uint64 // messages that it could not be kept
}

// InGroup reports whether a message to that group, which has a name, reaches the session.
func (s *Session) InGroup(group string) bool {
	return s.UserGroup == group || slices.Contains(s.Groups, group)
}

// Query selects sessions. The zero value selects the first page of all of them.
type Query struct {
	// An empty filter admits all. AppID is compared in lower case, the others exactly;
	// IbID and UserID may be names as well, in any letter case.
	AppID, IbID, UserID, UserGroup string
	// Text are words that all must match, in any letter case, see parseSearch.
	Text string
	// Names is what people call a user and an infobase, empty: nobody has said so. It
	// wins over what a session says of itself. It must return soon, and must not call the
	// hub. nil: there are no names.
	Names func(appID, ibID, userID string) (user, ib string)
	// Title is what people call an app, empty: there is none such. It must return soon,
	// and must not call the hub. nil: there are no titles.
	Title func(appID string) string
	// Sort is one of SortKeys, with a leading «-» for the reverse; empty: by id.
	Sort string
	// Limit is the size of a page, 1 to MaxPage; 0: MaxPage.
	Limit int
	// Node is the name of this node in a cluster, whose nodes' pages are merged; empty: it is
	// alone.
	Node string
	// After is Page.Next of the page before.
	After string
	// Offset skips that many; for who shows a part of the list as it is now. It
	// excludes After.
	Offset int

	search []term // of Text
}

// MaxPage is the largest page of Sessions.
const MaxPage = 1000

// Page is a part of the sessions that match.
type Page struct {
	Sessions []Session
	Places   []Place // of each of them
	Total    int     // that match, on all pages
	Next     string  // for Query.After; empty: this was the last page
}

// ErrBadQuery is wrapped by the errors of Sessions.
var ErrBadQuery = errors.New("bad query")

// sortKey is what sessions are ordered by: a text or a number. The caller
// holds the session's lock, and the session is registered.
type sortKey func(*session, *Query) (string, int64)

var sortKeys = map[string]sortKey{
	"id":   func(*session, *Query) (string, int64) { return "", 0 },
	"app":  func(s *session, _ *Query) (string, int64) { return s.registration.infobase.app, 0 },
	"ib":   func(s *session, _ *Query) (string, int64) { return s.registration.infobase.ib, 0 },
	"user": func(s *session, _ *Query) (string, int64) { return s.registration.user, 0 },
	"user_name": func(s *session, q *Query) (string, int64) {
		user, _ := q.called(s.registration)
		return byName(user, s.registration.user)
	},
	"ib_name": func(s *session, q *Query) (string, int64) {
		_, ib := q.called(s.registration)
		return byName(ib, s.registration.infobase.ib)
	},
	"group":     func(s *session, _ *Query) (string, int64) { return s.registration.group, 0 },
	"addr":      func(s *session, _ *Query) (string, int64) { return s.peer().String(), 0 },
	"since":     func(s *session, _ *Query) (string, int64) { return "", s.since },
	"delivered": func(s *session, _ *Query) (string, int64) { return "", int64(s.out.delivered) },
	"bytes":     func(s *session, _ *Query) (string, int64) { return "", int64(s.out.bytes) },
	"queued":    func(s *session, _ *Query) (string, int64) { return "", int64(s.out.waiting()) },
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

// Place is where a session stands in the order of a query, and what a cursor holds. Where
// texts, numbers and nodes are equal, the id makes it unique. Reversed orders are the same,
// read backwards.
type Place struct {
	Text   string `json:"t,omitempty"`
	Number int64  `json:"n,omitempty"`
	Node   string `json:"node,omitempty"` // Query.Node
	ID     uint64 `json:"id"`
}

func (p Place) compare(q Place) int {
	return cmp.Or(strings.Compare(p.Text, q.Text), cmp.Compare(p.Number, q.Number), strings.Compare(p.Node, q.Node),
		cmp.Compare(p.ID, q.ID))
}

// Compare orders places of several nodes as the query asks for, like cmp.Compare.
func (q *Query) Compare(a, b Place) int {
	if strings.HasPrefix(q.Sort, "-") {
		return b.compare(a)
	}
	return a.compare(b)
}

// Sessions returns a page of the registered sessions that match. Its errors
// wrap ErrBadQuery and say which values are allowed.
func (h *Hub) Sessions(q Query) (Page, error) {
	if q.Limit < 0 || q.Limit > MaxPage {
		return Page{}, fmt.Errorf("%w: limit %d: expected 1 to %d", ErrBadQuery, q.Limit, MaxPage)
	}
	if q.Offset < 0 || q.Offset > 0 && q.After != "" {
		return Page{}, fmt.Errorf("%w: offset %d: expected 0 or more, and no after beside it", ErrBadQuery, q.Offset)
	}
	limit := cmp.Or(q.Limit, MaxPage)
	found, total, err := h.first(&q, limit)
	if err != nil {
		return Page{}, err
	}
	page := Page{Total: total}
	if len(found) > limit {
		found = found[:limit]
		page.Next = found[limit-1].Cursor()
	}
	for _, c := range found {
		if view, _, registered := c.session.describe(); registered {
			page.Sessions, page.Places = append(page.Sessions, view), append(page.Places, c.Place)
		}
	}
	return page, nil
}

// Places returns the places of the first Limit sessions that match, which may be as many as
// one likes, without the sessions. After and Offset must be zero. Its errors are those of
// Sessions.
func (h *Hub) Places(q Query) (places []Place, total int, err error) {
	found, total, err := h.first(&q, q.Limit)
	if err != nil {
		return nil, 0, err
	}
	places = make([]Place, min(len(found), q.Limit))
	for i := range places {
		places[i] = found[i].Place
	}
	return places, total, nil
}

// first finds the sessions behind After and Offset, limit of them and one more to know
// whether there is another page, and counts all that match.
func (h *Hub) first(q *Query, limit int) (found []candidate, total int, err error) {
	key, known := sortKeys[strings.TrimPrefix(cmp.Or(q.Sort, "id"), "-")]
	if !known {
		return nil, 0, fmt.Errorf("%w: sort %q: expected one of %s, with - before it for the reverse", ErrBadQuery,
			q.Sort, strings.Join(SortKeys(), ", "))
	}
	after, err := ParseCursor(q.After)
	if err != nil {
		return nil, 0, err
	}
	q.AppID, q.search = strings.ToLower(q.AppID), parseSearch(q.Text)
	all := h.snapshot()
	limit = min(limit, len(all)) // there are no more
	offset := min(q.Offset, len(all))
	first := selection{order: q.Compare, limit: offset + limit + 1}
	for _, s := range all {
		at, ok := s.matches(q, key)
		if !ok {
			continue
		}
		total++
		if after == nil || q.Compare(at, *after) > 0 {
			first.add(candidate{at, s})
		}
	}
	found = first.sorted()
	return found[min(offset, len(found)):], total, nil
}

// candidate is a session that may be on the page, and its place in the order.
type candidate struct {
	Place
	session *session
}

// selection finds the first few of many candidates without sorting them all.
type selection struct {
	order func(a, b Place) int
	limit int
	found []candidate // the first limit of them are in order once full is set
	full  bool
}

func (f *selection) add(c candidate) {
	if f.full && f.order(c.Place, f.found[f.limit-1].Place) > 0 {
		return // behind all those that there is room for
	}
	f.found = append(f.found, c)
	if len(f.found) >= 2*f.limit {
		f.found = f.sorted()
		f.full = true
	}
}

// sorted returns the first ones in order.
func (f *selection) sorted() []candidate {
	slices.SortFunc(f.found, func(a, b candidate) int { return f.order(a.Place, b.Place) })
	return f.found[:min(len(f.found), f.limit)]
}

// Cursor is the place as Query.After takes it.
func (p Place) Cursor() string {
	text, _ := json.Marshal(p) // a struct of plain fields
	return base64.RawURLEncoding.EncodeToString(text)
}

// ParseCursor is the reverse of Cursor; nil: the cursor is empty. Its errors wrap
// ErrBadQuery.
func ParseCursor(cursor string) (*Place, error) {
	if cursor == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, fmt.Errorf("%w: after: expected what the page before gave", ErrBadQuery)
	}
	var p Place
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%w: after: expected what the page before gave", ErrBadQuery)
	}
	return &p, nil
}

// matches reports whether a session is open, registered and asked for, and its place
// in the order.
func (s *session) matches(q *Query, key sortKey) (Place, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.registration
	if s.closed != "" || r == nil {
		return Place{}, false
	}
	if q.AppID != "" && q.AppID != r.infobase.app ||
		q.UserGroup != "" && q.UserGroup != r.group && !r.inFurther(q.UserGroup) {
		return Place{}, false
	}
	if q.IbID != "" && q.IbID != r.infobase.ib || q.UserID != "" && q.UserID != r.user {
		user, ib := q.called(r)
		if q.IbID != "" && q.IbID != r.infobase.ib && !strings.EqualFold(q.IbID, ib) ||
			q.UserID != "" && q.UserID != r.user && !strings.EqualFold(q.UserID, user) {
			return Place{}, false
		}
	}
	for _, t := range q.search {
		if s.has(q, t) == t.not {
			return Place{}, false
		}
	}
	text, number := key(s, q)
	return Place{text, number, q.Node, s.shown()}, true
}

// called is what people call a session's user and infobase.
func (q *Query) called(r *registration) (user, ib string) {
	if q.Names != nil {
		user, ib = q.Names(r.infobase.app, r.infobase.ib, r.user)
	}
	if said := r.more; said != nil {
		user, ib = cmp.Or(user, said.user), cmp.Or(ib, said.ib.Value())
	}
	return user, ib
}

// byName orders by a name in any letter case; ids that have none come last.
func byName(name, id string) (string, int64) {
	if name == "" {
		return "\U0010ffff" + id, 0
	}
	return strings.ToLower(name) + "\x00" + id, 0
}

// describe returns what a session is, or was when it was closed, and why that was.
// It reports false for one that never registered.
func (s *session) describe() (view Session, closed closeReason, registered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view()
}

// view is describe for a caller that holds mu.
func (s *session) view() (view Session, closed closeReason, registered bool) {
	r := s.registration
	if r == nil {
		return Session{}, s.closed, false
	}
	view = Session{
		ID: s.shown(), AppID: r.infobase.app, IbID: r.infobase.ib, UserID: r.user, UserGroup: r.group,
		Addr: s.peer().String(), Since: time.Unix(0, s.since), Delivered: s.out.delivered, Bytes: s.out.bytes,
		Queued: s.out.waiting(), KeyGeneration: r.key.Generation,
	}
	if said := r.more; said != nil {
		view.Groups, view.Host, view.Agent = r.groups(), said.host, said.agent.Value()
		view.UserName, view.IbName = said.user, said.ib.Value()
	}
	if s.out.lastDelivery != 0 {
		view.LastDeliveryAt = time.Unix(0, s.out.lastDelivery)
	}
	if m := s.out.memory; m != nil {
		view.Since, view.Resumed, view.Missed = time.Unix(0, m.since), uint64(m.resumed), m.missed
		if s.out.state == outDetached {
			view.Away, view.Waiting = *m.away, s.out.awaited()
		}
	}
	return view, s.closed, true
}

// Walk calls visit for each session there is, in no order, until it returns
// false. Sessions that come or go meanwhile may be missed.
func (h *Hub) Walk(visit func(*Session) bool) {
	for _, s := range h.snapshot() {
		view, closed, registered := s.describe()
		if registered && closed == "" && !visit(&view) {
			return
		}
	}
}

// CloseSession ends a session at an administrator's wish and returns what it
// was. It reports false if there is no such session, or if since is not zero and
// the session is another one: numbers begin anew with each run.
func (h *Hub) CloseSession(id uint64, since time.Time) (Session, bool) {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	if s == nil || s.shownID() != id || s.closeReason() != "" {
		// It goes on on another connection, perhaps.
		if s = h.returned(id); s == nil {
			return Session{}, false
		}
	}
	last, closed, registered := s.describe()
	if !since.IsZero() && !since.Equal(last.Since) {
		return Session{}, false
	}
	return last, registered && closed == "" && h.closeSession(s, closedByAdmin)
}

// shownID is the session's number for people: that of its first connection.
func (s *session) shownID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown()
}

// shown is shownID for a caller that holds mu.
func (s *session) shown() uint64 {
	if m := s.out.memory; m != nil {
		return m.id
	}
	return cmp.Or(s.number, s.id)
}

// returned finds a session that has come back on another connection by its number.
func (h *Hub) returned(id uint64) *session {
	for _, s := range h.snapshot() {
		if s.shownID() == id && s.closeReason() == "" {
			return s
		}
	}
	return nil
}
