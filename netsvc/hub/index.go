package hub

import (
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"unique"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// shardCount spreads the infobases over that many locks.
const shardCount = 64

// shard holds the infobases whose key hashes to it.
type shard struct {
	mu        sync.RWMutex
	infobases map[infobaseKey]*infobase
}

type infobaseKey struct{ app, ib string }

// infobase holds the registrations of one infobase of one app, three times: as
// recipients of «all», by user and by group. The shard's lock guards it.
type infobase struct {
	infobaseKey
	tenant  *tenant // its app
	traffic *infobaseTraffic
	shard   int
	all     []*registration
	users   map[string][]*registration
	groups  map[string][]*registration
}

// registration is what a session has said it is. It never changes: a session
// that registers again gets a new one, and what was collected for the old one
// finds that it is no longer the session's (see offer).
type registration struct {
	session     *session
	infobase    *infobase
	key         *key
	user, group string
	more        *additions // nil: the session says nothing of itself
	// Places in the infobase's three lists, guarded by the shard's lock.
	inAll, inUser, inGroup int32
}

// additions are what a newer add-in says of itself (protocol.md section 4.4). What thousands
// say alike is there once.
type additions struct {
	user, host string // names
	ib, agent  unique.Handle[string]
	groups     []furtherGroup
	holder     *holder // leads to who has the session at present; nil: it is not remembered
}

// furtherGroup is one of several groups of a user, and not the registration's.
type furtherGroup struct {
	name  unique.Handle[string]
	place int32 // in the infobase's list of the group, guarded by the shard's lock
}

// newRegistration is a session's registration as a user in a group, with what it says of itself,
// which may be nil. It keeps the texts alone of what it is given: not the packet they lie in.
func newRegistration(s *session, k *key, user, group string, said *wire.Attributes) *registration {
	r := &registration{session: s, key: k, user: user, group: group}
	if said == nil {
		ownText(&r.user, &r.group)
		return r
	}
	r.more = &additions{user: said.User, host: said.Host, ib: unique.Make(said.Ib), agent: unique.Make(said.Agent)}
	ownText(&r.user, &r.group, &r.more.user, &r.more.host)
	for _, further := range said.Groups {
		if further != group {
			r.more.groups = append(r.more.groups, furtherGroup{name: unique.Make(further)})
		}
	}
	return r
}

// ownText has texts lie in memory that is theirs alone, all of them together.
func ownText(texts ...*string) {
	var all strings.Builder
	size := 0
	for _, text := range texts {
		size += len(*text)
	}
	all.Grow(size)
	for _, text := range texts {
		at := all.Len()
		all.WriteString(*text)
		*text = all.String()[at:]
	}
}

// attributes are what was said of a session, without what is remembered of it; nil: nothing.
func (r *registration) attributes() *wire.Attributes {
	if r.more == nil {
		return nil
	}
	return &wire.Attributes{User: r.more.user, Host: r.more.host, Ib: r.more.ib.Value(), Agent: r.more.agent.Value(),
		Groups: r.groups()}
}

// groups are the names of the further groups. Their places are not looked at, for which the
// shard's lock would have to be held.
func (r *registration) groups() (names []string) {
	further := r.further()
	for i := range further {
		names = append(names, further[i].name.Value())
	}
	return names
}

// further are the further groups.
func (r *registration) further() []furtherGroup {
	if r.more == nil {
		return nil
	}
	return r.more.groups
}

// inFurther reports whether a group is one of the further ones.
func (r *registration) inFurther(group string) bool {
	further := r.further()
	for i := range further {
		if further[i].name.Value() == group {
			return true
		}
	}
	return false
}

// place is where r notes its place in the list of one of its groups.
func (r *registration) place(group string) *int32 {
	if group == r.group {
		return &r.inGroup
	}
	at := slices.IndexFunc(r.more.groups, func(further furtherGroup) bool { return further.name.Value() == group })
	return &r.more.groups[at].place
}

func (h *Hub) shardOf(k infobaseKey) int {
	var hash maphash.Hash
	hash.SetSeed(h.seed)
	hash.WriteString(k.app)
	hash.WriteByte(0)
	hash.WriteString(k.ib)
	return int(hash.Sum64() % shardCount)
}

// register makes r, of the infobase k, the session's registration, in one step
// for whoever looks for recipients. It reports false if the session is closed.
func (h *Hub) register(r *registration, k infobaseKey) bool {
	return h.registerWithin(r, k, math.MaxInt) == registered
}

// admission is what became of a registration.
type admission int

const (
	registered admission = iota
	sessionClosed
	tooMany // sessions of the user; the session stays what it was
)

// registerWithin is register for a user who may have that many sessions. A session that
// registers again as the same user goes on whatever their number is.
func (h *Hub) registerWithin(r *registration, k infobaseKey, most int) admission {
	s := r.session
	at := h.shardOf(k)
	// Only the session's own goroutine registers it, so what it was until now
	// cannot change here; closing is excluded by s.mu below.
	before := s.registered()
	unlock := h.lockShards(at, before)
	defer unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != "" {
		return sessionClosed
	}
	sh := &h.shards[at]
	ib := sh.infobases[k]
	same := before != nil && before.infobase.infobaseKey == k && before.user == r.user
	if ib != nil && len(ib.users[r.user]) >= most && !same { // who has no id is in no list, and exempt
		return tooMany
	}
	if before != nil {
		h.remove(before)
	} else {
		h.counters.sessions.Add(1)
	}
	h.enlist(r, k)
	s.registration = r
	s.out.dropForeign(r.key)
	h.budget.recount(s)
	return registered
}

// enlist puts r into its infobase. The caller holds the shard's lock.
func (h *Hub) enlist(r *registration, k infobaseKey) {
	at := h.shardOf(k)
	ib := h.shards[at].infobases[k]
	if ib == nil {
		k.ib = strings.Clone(k.ib) // a part of the packet
		ib = &infobase{infobaseKey: k, traffic: h.traffic.of(k), shard: at,
			users: make(map[string][]*registration), groups: make(map[string][]*registration)}
		h.shards[at].infobases[k] = ib
	}
	ib.tenant = r.key.tenant // another one if the app was removed and came back
	r.infobase = ib
	ib.add(r)
}

// lockShards locks the shard at, and the one of the earlier registration if
// there is one, always in the same order.
func (h *Hub) lockShards(at int, before *registration) (unlock func()) {
	if before == nil || before.infobase.shard == at {
		h.shards[at].mu.Lock()
		return h.shards[at].mu.Unlock
	}
	low, high := min(at, before.infobase.shard), max(at, before.infobase.shard)
	h.shards[low].mu.Lock()
	h.shards[high].mu.Lock()
	return func() {
		h.shards[high].mu.Unlock()
		h.shards[low].mu.Unlock()
	}
}

// unregister takes the registration of a closed session out of the index.
func (h *Hub) unregister(r *registration) {
	sh := &h.shards[r.infobase.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	h.remove(r)
}

// remove takes r out of its infobase, and the infobase out of its shard if it
// was the last. The caller holds the shard's lock.
func (h *Hub) remove(r *registration) {
	ib := r.infobase
	ib.drop(r)
	if len(ib.all) == 0 {
		delete(h.shards[ib.shard].infobases, ib.infobaseKey)
	}
}

func (ib *infobase) add(r *registration) {
	r.inAll = int32(len(ib.all))
	ib.all = append(ib.all, r)
	if r.user != "" {
		r.inUser = int32(len(ib.users[r.user]))
		ib.users[r.user] = append(ib.users[r.user], r)
	}
	if r.group != "" {
		ib.addTo(r.group, r)
	}
	for _, further := range r.further() {
		ib.addTo(further.name.Value(), r)
	}
	r.key.sessions.Add(1)
}

func (ib *infobase) addTo(group string, r *registration) {
	*r.place(group) = int32(len(ib.groups[group]))
	ib.groups[group] = append(ib.groups[group], r)
}

func (ib *infobase) drop(r *registration) {
	ib.all = without(ib.all, r.inAll, func(moved *registration) { moved.inAll = r.inAll })
	if r.user != "" {
		dropFrom(ib.users, r.user, r.inUser, func(moved *registration) { moved.inUser = r.inUser })
	}
	if r.group != "" {
		ib.dropFromGroup(r.group, r)
	}
	for _, further := range r.further() {
		ib.dropFromGroup(further.name.Value(), r)
	}
	r.key.sessions.Add(-1)
}

func (ib *infobase) dropFromGroup(group string, r *registration) {
	at := *r.place(group)
	dropFrom(ib.groups, group, at, func(moved *registration) { *moved.place(group) = at })
}

func dropFrom(lists map[string][]*registration, name string, at int32, moved func(*registration)) {
	rest := without(lists[name], at, moved)
	if len(rest) == 0 {
		delete(lists, name)
		return
	}
	lists[name] = rest
}

// without removes the entry at a place by moving the last one there.
func without(list []*registration, at int32, moved func(*registration)) []*registration {
	last := len(list) - 1
	list[at] = list[last]
	moved(list[at])
	list[last] = nil
	return list[:last]
}

// collect appends the registrations that match the recipient to dst, and returns
// whose they are, and where the infobase's messages are counted; nil if nobody of that
// infobase is there.
func (h *Hub) collect(dst []*registration, k infobaseKey, to wire.Recipient) ([]*registration, *tenant,
	*infobaseTraffic) {
	sh := &h.shards[h.shardOf(k)]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	ib := sh.infobases[k]
	if ib == nil {
		return dst, nil, nil
	}
	switch to.Type {
	case wire.ToUser:
		dst = append(dst, ib.users[to.UserID]...)
	case wire.ToGroup:
		dst = append(dst, ib.groups[to.UserGroup]...)
	case wire.ToAll:
		dst = append(dst, ib.all...)
	}
	return dst, ib.tenant, ib.traffic
}
