package hub

import (
	"errors"
	"net"
	"os"
	"time"
)

// State is what a hub hands over to the one of another process: all that its
// sessions are. Their connections come beside it, in the same order. Messages are
// in it as they go to the sessions, encrypted; keys are not.
type State struct {
	LastID   uint64         `json:"last_id"`
	Keys     []SavedKey     `json:"keys"`
	Frames   []SavedFrame   `json:"frames"`
	Sessions []SavedSession `json:"sessions"`
}

// SavedKey names a client key.
type SavedKey struct {
	AppID       string `json:"app_id"`
	Generation  int    `json:"generation"`
	Fingerprint string `json:"fingerprint"` // wire.ClientKey.Fingerprint
}

// SavedFrame is a message that waits for one session or many.
type SavedFrame struct {
	Key   int    `json:"key"` // place in State.Keys
	Bytes []byte `json:"bytes"`
}

// SavedSession is a connection, registered or not.
type SavedSession struct {
	ID           uint64 `json:"id"`
	Since        int64  `json:"since"`           // Unix nanoseconds
	Early        []byte `json:"early,omitempty"` // read already, of a registration that is not whole
	Key          int    `json:"key"`             // place in State.Keys; -1: it is not registered, and the rest is empty
	IbID         string `json:"ib_id,omitempty"`
	UserID       string `json:"user_id,omitempty"`
	UserGroup    string `json:"user_group,omitempty"`
	Delivered    uint64 `json:"delivered,omitempty"`
	Bytes        uint64 `json:"bytes,omitempty"`
	LastDelivery int64  `json:"last_delivery,omitempty"` // Unix nanoseconds; 0: none
	Queue        []int  `json:"queue,omitempty"`         // places in State.Frames
	Written      int    `json:"written,omitempty"`       // bytes of the first of them
}

// past is a deadline that has gone by: whoever waits is woken.
var past = time.Unix(1, 0)

// HandOver ends the hub without ending its sessions: nothing is read or written
// any more, and no goroutine is left. It returns what another hub needs to go on
// with them, and their connections, which are open and now the caller's. Nobody may
// Serve after it was called.
func (h *Hub) HandOver() (*State, []net.Conn) {
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	h.endPublishing()
	// Whoever sets a deadline after this looks at frozen again.
	h.frozen.Store(true)
	for _, s := range h.snapshot() {
		s.conn.SetDeadline(past)
	}
	h.stop()

	saving := saving{keys: make(map[*key]int), frames: make(map[*frame]int), early: h.early}
	saving.state.LastID = h.lastID.Load()
	var conns []net.Conn
	for _, s := range h.snapshot() {
		if s.closeReason() == "" {
			saving.add(s)
			conns = append(conns, s.conn)
		}
	}
	return &saving.state, conns
}

// froze tells an error that says no more than that the hub has frozen.
func (h *Hub) froze(err error) bool {
	return h.frozen.Load() && errors.Is(err, os.ErrDeadlineExceeded)
}

// keepEarly keeps what was read of a registration when the hub froze.
func (h *Hub) keepEarly(s *session, err error, parts ...[]byte) {
	if !h.froze(err) {
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
	early  map[*session][]byte
}

func (v *saving) add(s *session) {
	saved := SavedSession{ID: s.id, Since: s.since, Early: v.early[s], Key: -1}
	if r := s.registration; r != nil {
		saved.Key = v.key(r.key)
		saved.IbID, saved.UserID, saved.UserGroup = r.infobase.ib, r.user, r.group
		saved.Delivered, saved.Bytes, saved.LastDelivery = s.delivered, s.bytes, s.lastDelivery
		for _, f := range s.queue[s.head:] {
			saved.Queue = append(saved.Queue, v.frame(f))
		}
		saved.Written = s.written
	}
	v.state.Sessions = append(v.state.Sessions, saved)
}

func (v *saving) key(k *key) int {
	at, saved := v.keys[k]
	if !saved {
		at = len(v.state.Keys)
		v.keys[k] = at
		v.state.Keys = append(v.state.Keys, SavedKey{k.tenant.id, k.Generation, k.Secret.Fingerprint()})
	}
	return at
}

func (v *saving) frame(f *frame) int {
	at, saved := v.frames[f]
	if !saved {
		at = len(v.state.Frames)
		v.frames[f] = at
		v.state.Frames = append(v.state.Frames, SavedFrame{v.key(f.key), f.bytes})
	}
	return at
}

// Adopt goes on with the sessions that another hub handed over. It is called once
// all apps are known, and before Serve. Sessions whose key is no longer in force
// are closed; a connection that is nil is gone. It returns how many sessions, and
// connections that are not registered, it goes on with, and how many it closed.
func (h *Hub) Adopt(state *State, conns []net.Conn) (kept, unregistered, closed int) {
	h.lastID.Store(max(h.lastID.Load(), state.LastID))
	keys := make([]*key, len(state.Keys))
	for i, saved := range state.Keys {
		keys[i] = h.savedKey(saved)
	}
	frames := make([]*frame, len(state.Frames))
	for i, saved := range state.Frames {
		if k := keys[saved.Key]; k != nil {
			frames[i] = &frame{key: k, delivery: h.begin(), bytes: saved.Bytes}
		}
	}
	copies := make([]int, len(frames))
	for i := range state.Sessions {
		saved := &state.Sessions[i]
		if conns[i] == nil {
			closed++
			continue
		}
		s := h.restored(saved, conns[i])
		switch {
		case saved.Key < 0:
			h.pending.add(s)
			early := saved.Early // not all of state, which the goroutine would keep
			h.goroutines.Go(func() { h.greet(s, early) })
			unregistered++
		case h.resume(s, saved, keys[saved.Key], frames):
			kept++
			for _, f := range saved.Queue {
				copies[f]++
			}
		default:
			closed++
		}
	}
	for i, f := range frames {
		if f != nil && f.delivery.counted(copies[i]) {
			h.finished(f.delivery)
		}
	}
	return kept, unregistered, closed
}

// Whole tells whether a state that was read can be that of a hub: every place it
// names is there.
func (state *State) Whole() bool {
	for _, f := range state.Frames {
		if f.Key < 0 || f.Key >= len(state.Keys) || len(f.Bytes) == 0 {
			return false
		}
	}
	for _, s := range state.Sessions {
		if s.Key < -1 || s.Key >= len(state.Keys) || s.Written < 0 {
			return false
		}
		for _, at := range s.Queue {
			if at < 0 || at >= len(state.Frames) {
				return false
			}
		}
		if s.Written > 0 && (len(s.Queue) == 0 || s.Written >= len(state.Frames[s.Queue[0]].Bytes)) {
			return false
		}
	}
	return true
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

// restored returns a session on a connection that is open already.
func (h *Hub) restored(saved *SavedSession, conn net.Conn) *session {
	s := &session{
		id: saved.ID, conn: conn, since: saved.Since,
		delivered: saved.Delivered, bytes: saved.Bytes, lastDelivery: saved.LastDelivery, written: saved.Written,
	}
	conn.SetDeadline(time.Time{})
	if tcp, ok := conn.(*net.TCPConn); ok {
		s.raw, _ = tcp.SyscallConn()
		h.setKeepAlive(s)
	}
	h.mu.Lock()
	h.sessions[s.id] = s
	h.mu.Unlock()
	return s
}

// resume goes on with a registered session, and reports false if it had to be
// closed, since the key it has is gone.
func (h *Hub) resume(s *session, saved *SavedSession, k *key, frames []*frame) bool {
	for _, at := range saved.Queue {
		if frames[at] == nil {
			k = nil
			break
		}
		s.queue = append(s.queue, frames[at])
		s.queuedBytes += len(frames[at].bytes)
	}
	if k == nil {
		h.mu.Lock()
		delete(h.sessions, s.id)
		h.mu.Unlock()
		s.conn.Close()
		return false
	}
	s.listed = len(s.queue) > 0
	r := &registration{session: s, key: k, user: saved.UserID, group: saved.UserGroup}
	h.register(r, infobaseKey{k.tenant.id, saved.IbID})
	if s.listed {
		h.startWriting()
		h.flusherOf(s).push(s, among)
	}
	h.rest(s, saved.Early)
	return true
}
