package hub

import (
	"hash/maphash"
	"math"
	"slices"
	"sync"

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

// additions are what a newer add-in says of itself (protocol.md section 4.4). Groups has
// the further ones only: none is the registration's group.
type additions struct {
	wire.Attributes
	holder   *holder // leads to who has the session at present; nil: it is not remembered
	inGroups []int32 // places in the lists of Groups, guarded by the shard's lock
}

// addition returns what was said, nil if that is nothing; a may be nil. group is the
// registration's.
func addition(a *wire.Attributes, group string) *additions {
	if a == nil {
		return nil
	}
	more := &additions{Attributes: *a}
	more.Groups = slices.DeleteFunc(slices.Clone(more.Groups), func(further string) bool { return further == group })
	more.inGroups = make([]int32, len(more.Groups))
	return more
}

// groups are the further groups.
func (r *registration) groups() []string {
	if r.more == nil {
		return nil
	}
	return r.more.Groups
}

// place is where r notes its place in the list of one of its groups.
func (r *registration) place(group string) *int32 {
	if group == r.group {
		return &r.inGroup
	}
	return &r.more.inGroups[slices.Index(r.more.Groups, group)]
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
	if r.user != "" && ib != nil && len(ib.users[r.user]) >= most && !same {
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
	for _, group := range r.groups() {
		ib.addTo(group, r)
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
	for _, group := range r.groups() {
		ib.dropFromGroup(group, r)
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
