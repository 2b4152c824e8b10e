package hub

import (
	"cmp"
	"net"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// past is a deadline that has gone by: whoever waits is woken.
var past = time.Unix(1, 0)

// HandOver freezes the hub between two bytes: until TakeBack nothing is read, written,
// registered or closed, and no goroutine is left. What is published meanwhile waits. It
// returns all that another hub needs to go on with the sessions (TakeOver). The
// connections in it are still this hub's, which goes on with them after TakeBack.
//
// All calls of Serve must have returned.
func (h *Hub) HandOver() *State {
	h.publishing.Lock() // until TakeBack or Shutdown
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	h.changing.Lock()
	h.frozen.Store(true)
	h.frozenAt = time.Now()
	h.changing.Unlock()
	// Whoever sets a deadline after this looks at frozen again.
	for _, s := range h.snapshot() {
		if s.waits() {
			s.conn.SetDeadline(past)
		}
	}
	h.stop()
	return h.state()
}

// waits reports whether somebody may be waiting for the session's peer.
func (s *session) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.resting || s.out.hasWriter()
}

// state describes a frozen hub. Sessions are in the order of their numbers.
func (h *Hub) state() *State {
	saving := saving{keys: make(map[*key]int), frames: make(map[*frame]int), bytes: make(map[sealed]int), early: h.early,
		numbers: make(map[int]uint64)}
	saving.state.LastID = h.lastID.Load()
	sessions := h.snapshot()
	slices.SortFunc(sessions, func(a, b *session) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	saving.state.Sessions = make([]SavedSession, 0, len(sessions))
	places := make(map[*session]int)
	for _, s := range sessions {
		if s.closeReason() != "" || s.isDetached() {
			continue
		}
		if s.out.memory != nil {
			places[s] = len(saving.state.Sessions)
		} else if s.number != 0 {
			saving.numbers[len(saving.state.Sessions)] = s.number
		}
		saving.state.Sessions = append(saving.state.Sessions, saving.session(s))
	}
	h.saveMemories(&saving, places)
	return &saving.state
}

// TakeBack goes on after HandOver, as if it had not been. Keys that are no longer in
// force close their sessions now.
func (h *Hub) TakeBack() {
	h.mu.Lock()
	h.closing, h.stopped = false, false
	early := h.early
	h.early = make(map[*session][]byte)
	h.mu.Unlock()
	h.writing.Store(0)
	for i := range h.flushers {
		h.flushers[i] = newFlusher(h)
	}
	h.start()
	// Nobody ends a session before it has somebody again who goes on with it.
	h.stand(time.Since(h.frozenAt))
	h.changing.Lock()
	h.frozen.Store(false)
	for _, s := range h.snapshot() {
		h.resume(s, early[s])
	}
	h.changing.Unlock()
	h.closeRevoked()
	h.publishing.Unlock()
}

// resume goes on with a session that was frozen, of which early was read already.
func (h *Hub) resume(s *session, early []byte) {
	s.conn.SetDeadline(time.Time{})
	s.mu.Lock()
	s.next, s.linked, s.resting = nil, false, false
	if s.out.state == outDetached {
		s.mu.Unlock()
		return
	}
	listed, closed, registered := s.out.pass(), s.closed != "", s.registration != nil
	s.mu.Unlock()
	switch {
	case closed: // its end is being told
		return
	case !registered:
		h.goroutines.Go(func() { h.greet(s, early) })
		return
	}
	if listed {
		h.startWriting()
		h.flusherOf(s).push(s, among)
	}
	h.rest(s, early)
}

// keepEarly keeps what was read of a registration when the hub froze.
func (h *Hub) keepEarly(s *session, parts ...[]byte) {
	if !h.frozen.Load() {
		return
	}
	var early []byte
	for _, part := range parts {
		early = append(early, part...)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.early[s] = early
}

// saving collects a State. What sessions share is in it once.
type saving struct {
	state  State
	keys   map[*key]int
	frames map[*frame]int
	bytes  map[sealed]int
	early  map[*session][]byte

	numbers map[int]uint64 // SavedMemories.Numbers
}

// sealed is what frames have in common that are the same message under the same key: each
// session that is sent one again has its own.
type sealed struct {
	bytes *byte
	key   *key
}

func (v *saving) session(s *session) SavedSession {
	saved := SavedSession{ID: s.id, Since: s.since, Early: v.early[s], Key: -1, Conn: s.conn}
	if r := s.registration; r != nil {
		saved.Key = v.key(r.key)
		saved.IbID, saved.UserID, saved.UserGroup = r.infobase.ib, r.user, r.group
		out := &s.out
		saved.Delivered, saved.Bytes, saved.LastDelivery = out.delivered, out.bytes, out.lastDelivery
		for _, f := range out.queue[out.head:] {
			saved.Queue = append(saved.Queue, v.frame(f))
		}
		saved.Written = out.written
		saved.Attributes = r.attributes()
		if m := out.memory; m != nil {
			saved.Attributes.Session, saved.Attributes.Turn = r.memoryKey().session, m.turn
		}
	}
	return saved
}

func (v *saving) key(k *key) int {
	at, saved := v.keys[k]
	if !saved {
		at = len(v.state.Keys)
		v.keys[k] = at
		v.state.Keys = append(v.state.Keys, SavedKey{k.tenant.id, k.Generation, k.fingerprint()})
	}
	return at
}

func (v *saving) frame(f *frame) int {
	at, saved := v.frames[f]
	if saved {
		return at
	}
	same := sealed{&f.bytes[0], f.key}
	at, saved = v.bytes[same]
	if !saved {
		at = len(v.state.Frames)
		v.bytes[same] = at
		v.state.Frames = append(v.state.Frames, SavedFrame{Key: v.key(f.key), Size: len(f.bytes), Bytes: f.bytes,
			Keep: f.keep})
	}
	v.frames[f] = at
	v.state.Frames[at].live = append(v.state.Frames[at].live, f)
	return at
}

// TakenOver is what became of the sessions of a State.
type TakenOver struct {
	Sessions     int // that go on
	Unregistered int // connections that go on and have not registered yet
	Revoked      int // sessions closed, for their key is no longer in force
	Missing      int // sessions and connections that did not come with the state
}

// TakeOver goes on with the sessions of another hub. It is called once, when all apps
// are known, before Serve. A session whose key is no longer in force is closed; one
// whose connection is nil is missing. When it returns, all of them can be published to;
// writing and reading begin in the background, so that senders wait no longer than they
// have to.
func (h *Hub) TakeOver(state *State) (became TakenOver) {
	resumed := make([]resumption, 0, len(state.Sessions))
	var revoked []Session
	h.lastID.Store(max(h.lastID.Load(), state.LastID))
	keys := make([]*key, len(state.Keys))
	for i, saved := range state.Keys {
		keys[i] = h.savedKey(saved)
	}
	gone := make([]*key, len(keys))
	if state.Memories != nil {
		for i, secret := range state.Memories.Secrets {
			gone[i] = h.goneKey(state.Keys[i], secret)
		}
	}
	frames := make([]*frame, len(state.Frames))
	for i, saved := range state.Frames {
		if gone[saved.Key] == nil {
			gone[saved.Key] = h.goneKey(state.Keys[saved.Key], "")
		}
		// A frame under a key that is gone is half written, perhaps, to a session that has
		// registered under another key since.
		if k := cmp.Or(keys[saved.Key], gone[saved.Key]); k != nil {
			frames[i] = &frame{key: k, delivery: begin(time.Since(h.started)), bytes: saved.Bytes, keep: saved.Keep}
		}
	}
	copies := make([]int, len(frames))
	sessions := make([]*session, len(state.Sessions))
	for i := range state.Sessions {
		saved := &state.Sessions[i]
		if saved.Conn == nil {
			became.Missing++
			continue
		}
		s := h.restored(saved)
		switch {
		case saved.Key < 0:
			h.pending.add(s)
			resumed = append(resumed, resumption{s, saved.Early, false})
			became.Unregistered++
		case h.reinstate(s, saved, keys[saved.Key], frames):
			resumed = append(resumed, resumption{s, saved.Early, len(saved.Queue) > 0})
			became.Sessions++
			sessions[i] = s
			for _, f := range saved.Queue {
				copies[f]++
			}
		default:
			revoked = append(revoked, h.endRevoked(s, saved, state.Keys[saved.Key]))
			became.Revoked++
		}
	}
	h.recall(&taking{state, keys, gone, frames, copies, sessions})
	for i, f := range frames {
		if f != nil && f.delivery.counted(copies[i], f.memory(), h.budget) {
			h.finished(f.delivery)
		}
	}
	h.goroutines.Go(func() {
		h.resumeAll(resumed)
		h.relieve() // this process may have less memory; not before what waits is being written
		for i := range revoked {
			h.tellClosed(&revoked[i], closedKeyRevoked, "")
		}
	})
	return became
}

// endRevoked closes a session that could not be reinstated, since the key it has is gone.
// It returns what is to be told of it.
func (h *Hub) endRevoked(s *session, saved *SavedSession, under SavedKey) Session {
	last := Session{
		ID: s.id, AppID: under.AppID, IbID: saved.IbID, UserID: saved.UserID, UserGroup: saved.UserGroup,
		Addr: s.peer().String(), Since: time.Unix(0, s.since), Delivered: saved.Delivered, Bytes: saved.Bytes,
		KeyGeneration: under.Generation,
	}
	h.mu.Lock()
	delete(h.sessions, s.id)
	h.mu.Unlock()
	h.counters.closed[closedKeyRevoked].Add(1)
	hangUp(s.conn, s.raw)
	return last
}

// resumption is a session that goes on, what was read of it before, and whether it waits
// to be put into a flusher's list.
type resumption struct {
	s      *session
	early  []byte
	listed bool
}

// resumeAll has sessions read and written that were taken over, until the hub is frozen:
// then whoever goes on with them does.
func (h *Hub) resumeAll(sessions []resumption) {
	for i, r := range sessions {
		if h.frozen.Load() {
			for _, left := range sessions[i:] {
				h.keepEarly(left.s, left.early)
			}
			return
		}
		s := r.s
		s.conn.RemoteAddr()           // the system knows it as long as there is a peer
		h.watchSilence(s.conn, s.raw) // the other hub may have had other limits
		if s.registered() == nil {
			h.goroutines.Go(func() { h.greet(s, r.early) })
			continue
		}
		if r.listed {
			h.flusherOf(s).push(s, among)
		}
		h.rest(s, r.early)
	}
}

// savedKey finds the key in force that has been saved, nil if it is gone.
func (h *Hub) savedKey(saved SavedKey) *key {
	t := h.app(saved.AppID)
	if t == nil {
		return nil
	}
	for _, k := range t.inForce() {
		if k.Generation == saved.Generation && k.Secret.Fingerprint() == saved.Fingerprint {
			return k
		}
	}
	return nil
}

// goneKey stands for a key that is no longer in force, of which frames are left; nil: its
// app is gone too. Frames that are remembered came with its secret.
func (h *Hub) goneKey(saved SavedKey, secret string) *key {
	t := h.app(saved.AppID)
	if t == nil {
		return nil
	}
	k := &key{Key: Key{Generation: saved.Generation}, tenant: t, gone: saved.Fingerprint}
	k.revoked.Store(true)
	if secret != "" {
		k.Secret, _ = wire.ParseClientKey(secret) // nil if it is damaged: then nobody can have its frames
	}
	return k
}

func (k *key) fingerprint() string {
	if k.Secret == nil {
		return k.gone
	}
	return k.Secret.Fingerprint()
}

// restored returns a session on a connection that is open already.
func (h *Hub) restored(saved *SavedSession) *session {
	s := &session{id: saved.ID, conn: saved.Conn, raw: rawOf(saved.Conn), since: saved.Since}
	s.out.delivered, s.out.bytes, s.out.lastDelivery = saved.Delivered, saved.Bytes, saved.LastDelivery
	h.mu.Lock()
	h.sessions[s.id] = s
	h.mu.Unlock()
	return s
}

// reinstate registers a session as it was, and reports false if the key it has is gone.
func (h *Hub) reinstate(s *session, saved *SavedSession, k *key, frames []*frame) bool {
	var waiting []*frame
	for _, at := range saved.Queue {
		if frames[at] == nil {
			k = nil
			break
		}
		waiting = append(waiting, frames[at])
	}
	if k == nil {
		return false
	}
	if s.out.restore(waiting, saved.Written) {
		h.startWriting()
	}
	h.budget.recount(s)
	r := newRegistration(s, k, saved.UserID, saved.UserGroup, saved.Attributes)
	h.register(r, infobaseKey{k.tenant.id, saved.IbID})
	return true
}

// Connections calls visit for each connection there is, registered or not, with its
// number, in no order. The connection stays the hub's, and may be closed at any moment.
func (h *Hub) Connections(visit func(id uint64, conn net.Conn)) {
	for _, s := range h.snapshot() {
		if !s.isDetached() {
			visit(s.id, s.conn)
		}
	}
}
