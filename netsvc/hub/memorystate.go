package hub

import (
	"cmp"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// SavedMemories are the remembered sessions of a hub: what one hub hands over beside a State, and
// another one takes over with it. They hold secrets: of sessions, and of client keys that frames
// are under.
type SavedMemories struct {
	At       int64          `json:"at"`      // Unix nanoseconds; since then nothing was forgotten
	Secrets  map[int]string `json:"secrets"` // of State.Keys, by place
	Memories []SavedMemory  `json:"memories"`
	Ended    []SavedEnd     `json:"ended"`

	// Numbers for people of those in State.Sessions, by place, whose own have gone with remembered sessions.
	Numbers map[int]uint64 `json:"numbers,omitempty"`
}

// SavedMemory is a remembered session.
type SavedMemory struct {
	Place int `json:"place"` // of the connection that has it, in State.Sessions; -1: none
	// Without a connection:
	Session    *SavedSession `json:"session,omitempty"`
	Attributes []byte        `json:"attributes,omitempty"`
	Addr       string        `json:"addr,omitempty"`
	Away       int64         `json:"away,omitempty"` // Unix nanoseconds

	ID      uint64      `json:"id"`
	Since   int64       `json:"since"`
	Turn    uint64      `json:"turn"`
	Begun   uint64      `json:"begun"`
	Base    uint64      `json:"base"`
	Written uint64      `json:"written"`
	Again   int         `json:"again,omitempty"`
	Cut     bool        `json:"cut,omitempty"` // of the frames to be sent again the last has never been sent whole
	Handed  uint64      `json:"handed"`
	Buffer  uint64      `json:"buffer"`
	Missed  uint64      `json:"missed,omitempty"`
	Resumed uint64      `json:"resumed,omitempty"`
	Foreign bool        `json:"foreign,omitempty"` // the first frame of the queue is none of them
	Kept    []SavedKept `json:"kept,omitempty"`

	Line *SavedLine `json:"line,omitempty"` // nil: there are no other nodes; versions before 27 November 2026 say nothing
}

// SavedLine is what a remembered session has in a cluster.
type SavedLine struct {
	Frozen bool   `json:"frozen,omitempty"` // another node goes on with it, perhaps
	Cover  []byte `json:"cover,omitempty"`  // moving.Cover: what it has, though it was not queued here
	Lapse  int64  `json:"lapse,omitempty"`  // Unix nanoseconds; until then the cover matters; 0: as long as it is frozen
	// Lost are lives of nodes of which it takes nothing until Back, Unix nanoseconds: moving.Lost.
	Lost    []seal.Epoch `json:"lost,omitempty"`
	Back    int64        `json:"back,omitempty"`
	Origins []byte       `json:"origins,omitempty"` // moving.Origin of each frame of the queue that was never sent
}

// SavedKept is a frame that is kept.
type SavedKept struct {
	Frame int    `json:"frame"` // place in State.Frames
	At    int64  `json:"at"`    // Unix nanoseconds
	End   uint64 `json:"end,omitempty"`
}

// SavedEnd is a session of which only the last turn is remembered.
type SavedEnd struct {
	Digest []byte `json:"digest,omitempty"` // of whose session it was
	Turn   uint64 `json:"turn"`
	At     int64  `json:"at"`

	// What there was in place of Digest up to 27 November 2026; it is only read.
	AppID   string `json:"app_id,omitempty"`
	IbID    string `json:"ib_id,omitempty"`
	UserID  string `json:"user_id,omitempty"`
	Session string `json:"session,omitempty"`
}

// digest is that of whose session it was.
func (e *SavedEnd) digest() memoryDigest {
	if len(e.Digest) == 0 {
		return memoryKey{infobaseKey{e.AppID, e.IbID}, e.UserID, e.Session}.digest()
	}
	return memoryDigest(e.Digest)
}

// saveMemories adds the remembered sessions to a state. places are those of the connections.
func (h *Hub) saveMemories(v *saving, places map[*session]int) {
	all := h.memories
	if len(all.holders) == 0 && all.ends.Len() == 0 && len(v.numbers) == 0 {
		return
	}
	saved := &SavedMemories{At: h.frozenAt.UnixNano(), Secrets: make(map[int]string), Numbers: v.numbers}
	for _, own := range all.holders {
		s := own.session.Load()
		out, r := &s.out, s.registration
		m := out.memory
		one := SavedMemory{
			Place: -1, ID: m.id, Since: m.since, Turn: m.turn, Begun: m.begun, Base: m.base, Written: m.written,
			Again:  m.again,
			Handed: m.handed, Buffer: uint64(m.buffer), Missed: m.missed, Resumed: uint64(m.resumed), Foreign: out.foreign,
			Line: m.line.saved(),
		}
		first := out.head
		if out.written > 0 {
			first++
		}
		one.Cut = m.again > 0 && out.queue[first+m.again-1].delivery != nil
		if place, connected := places[s]; connected {
			one.Place = place
		} else {
			session := v.session(s)
			session.Conn = nil
			one.Session, one.Attributes = &session, wire.AppendAttributes(nil, session.Attributes.List())
			one.Addr, one.Away = s.peer().String(), m.away.UnixNano()
		}
		saved.Secrets[v.key(r.key)] = r.key.Secret.Reveal() // none of its own frames is under another
		for _, k := range m.kept {
			one.Kept = append(one.Kept, SavedKept{Frame: v.frame(k.frame), At: k.at.unixNano(), End: k.end})
		}
		saved.Memories = append(saved.Memories, one)
	}
	// The order in which they are forgotten.
	slices.SortFunc(saved.Memories, func(a, b SavedMemory) int { return cmp.Compare(a.Away, b.Away) })
	for e := all.ends.Front(); e != nil; e = e.Next() {
		key := e.Value.(memoryDigest)
		end := all.ended[key]
		saved.Ended = append(saved.Ended, SavedEnd{Digest: key[:], Turn: end.turn, At: end.at.UnixNano()})
	}
	v.state.Memories = saved
}

// whole reports whether what was read can be that of a hub with that state.
func (saved *SavedMemories) whole(state *State) bool {
	for place := range saved.Secrets {
		if place < 0 || place >= len(state.Keys) {
			return false
		}
	}
	for place := range saved.Numbers {
		if place < 0 || place >= len(state.Sessions) {
			return false
		}
	}
	for _, e := range saved.Ended {
		if n := len(e.Digest); n != len(memoryDigest{}) && (n != 0 || e.Session == "") {
			return false
		}
	}
	for i := range saved.Memories {
		m := &saved.Memories[i]
		if m.Place < -1 || m.Place >= len(state.Sessions) || (m.Place < 0) != (m.Session != nil) {
			return false
		}
		s := m.Session
		if s == nil {
			s = &state.Sessions[m.Place]
		} else if !state.wholeSession(s) {
			return false
		}
		first := 0
		if s.Written > 0 {
			first = 1
		}
		if s.Key < 0 || m.Again < 0 || m.Again > len(s.Queue)-first {
			return false
		}
		if !m.Line.whole(len(s.Queue) - first - m.Again) {
			return false
		}
		for n, k := range m.Kept {
			if k.Frame < 0 || k.Frame >= len(state.Frames) || (k.End == 0) && (n < len(m.Kept)-1 || s.Written == 0) {
				return false
			}
		}
	}
	return true
}

// taking is a State while a hub takes it over.
type taking struct {
	*State
	keys, gone []*key     // by place; nil: not in force, or not known
	frames     []*frame   // nil: their app is gone
	copies     []int      // of frames, that wait
	sessions   []*session // that go on, with their connections; nil: the others
}

// recall goes on with the remembered sessions of another hub.
func (h *Hub) recall(t *taking) {
	if t.Memories == nil {
		return
	}
	stood := time.Since(time.Unix(0, t.Memories.At)) // no process served meanwhile, and nothing grew older
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	for i := range t.Memories.Memories {
		saved := &t.Memories.Memories[i]
		s, secret, away := h.recalled(t, saved)
		if s == nil {
			continue // its key has ended, or its app is gone
		}
		r := s.registration
		key := memoryKey{r.infobase.infobaseKey, r.user, secret}
		own := hold(s, key)
		r.more.holder = own
		all.holders[key.digest()] = own
		s.out.memory, s.out.foreign = t.memory(saved, s, stood), saved.Foreign
		if away {
			since := time.Now() // its connection did not come
			if saved.Away != 0 {
				since = time.Unix(0, saved.Away).Add(stood)
			}
			s.out.memory.away = &since
			own.away = all.detached.PushBack(own)
			s.out.state = outDetached
			r.key.sessions.Add(-1)
			h.counters.sessions.Add(-1)
			h.counters.detached.Add(1)
		}
		s.out.memory.line = saved.Line.restored(stood, &s.out)
		h.budget.recount(s)
	}
	for place, number := range t.Memories.Numbers {
		if s := t.sessions[place]; s != nil {
			s.mu.Lock()
			s.number = number
			s.mu.Unlock()
		}
	}
	for _, e := range t.Memories.Ended {
		all.bury(e.digest(), e.Turn, time.Unix(0, e.At).Add(stood))
	}
}

// recalled returns the session that a memory belongs to, nil if it is to be forgotten, what it
// goes on with, and whether it has no connection. Such a one is made here.
func (h *Hub) recalled(t *taking, saved *SavedMemory) (s *session, secret string, away bool) {
	was, said, addr := saved.Session, wire.ParseAttributes(saved.Attributes), addrOf(saved.Addr)
	if was == nil {
		was = &t.Sessions[saved.Place]
		said = was.Attributes
	}
	if said == nil || said.Session == "" {
		return nil, "", false
	}
	if saved.Place >= 0 && was.Conn != nil {
		return t.sessions[saved.Place], said.Session, false
	}
	k := t.keys[was.Key]
	if k == nil {
		k = t.gone[was.Key]
	}
	if k == nil || k.Secret == nil {
		return nil, "", false
	}
	var queue []*frame
	for _, at := range was.Queue {
		if t.frames[at] == nil {
			return nil, "", false
		}
		queue = append(queue, t.frames[at])
	}
	for _, at := range was.Queue {
		t.copies[at]++
	}
	s = &session{id: h.lastID.Add(1), conn: goneConn{remote: addr}, since: was.Since}
	s.out.delivered, s.out.bytes, s.out.lastDelivery = was.Delivered, was.Bytes, was.LastDelivery
	s.out.restore(queue, was.Written)
	h.mu.Lock()
	h.sessions[s.id] = s
	h.mu.Unlock()
	h.register(newRegistration(s, k, was.UserID, was.UserGroup, said), infobaseKey{k.tenant.id, was.IbID})
	return s, said.Session, true
}

// memory is that of a session whose outbox has its queue already. What was delivered before is
// not delivered again.
func (t *taking) memory(saved *SavedMemory, s *session, stood time.Duration) *memory {
	m := &memory{
		id: saved.ID, since: saved.Since, turn: saved.Turn, begun: saved.Begun, base: saved.Base, written: saved.Written,
		again: saved.Again, handed: saved.Handed, buffer: uint32(min(saved.Buffer, math.MaxUint32)),
		missed: saved.Missed, resumed: uint32(min(saved.Resumed, math.MaxUint32)),
	}
	places := t.placesOf(saved)
	first := 0
	if s.out.written > 0 {
		first = 1
	}
	for n := range saved.Again {
		f := s.out.queue[first+n]
		m.againSize += len(f.bytes)
		if n == saved.Again-1 && saved.Cut {
			break
		}
		s.out.queue[first+n] = f.copied()
		t.copies[places[first+n]]--
	}
	for _, k := range saved.Kept {
		f := t.frames[k.Frame]
		if f == nil {
			continue // under the key of an app that is gone: nobody can have it
		}
		kept := keptFrame{frame: s.out.queue0(), at: momentOf(time.Unix(0, k.At).Add(stood)), end: k.End}
		if k.End != 0 {
			kept.frame = f.copied()
		} else {
			kept.holding().need()
		}
		m.kept = append(m.kept, kept)
		m.keptBytes += len(kept.bytes)
	}
	return m
}

// placesOf are the places of the frames that wait.
func (t *taking) placesOf(saved *SavedMemory) []int {
	if saved.Session != nil {
		return saved.Session.Queue
	}
	return t.Sessions[saved.Place].Queue
}

// queue0 is the first frame of a queue, nil: it is empty.
func (o *outbox) queue0() *frame {
	if o.head == len(o.queue) {
		return nil
	}
	return o.queue[o.head]
}

// stand has what is remembered grow no older for the time that no process served.
func (h *Hub) stand(d time.Duration) {
	all := h.memories
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, own := range all.holders {
		s := own.session.Load()
		s.mu.Lock()
		m := s.out.memory
		if m.away != nil {
			*m.away = m.away.Add(d)
		}
		for i := range m.kept {
			m.kept[i].at += moment(d)
		}
		s.mu.Unlock()
	}
	for key, e := range all.ended {
		e.at = e.at.Add(d)
		all.ended[key] = e
	}
}

// addrOf reads what Session.Addr shows.
func addrOf(text string) net.Addr {
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(addr)
	}
	return &net.TCPAddr{}
}
