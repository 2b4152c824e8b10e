package hub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// State is all that a hub's sessions are: what one hub hands over and another one takes
// over. Messages are in it as they go to the sessions, encrypted; keys are not.
//
// It travels in two forms: as JSON with everything in it, which the version before this
// one wrote, and as bytes (AppendBinary) without connections and without the bytes of
// frames, which travel apart and are put in again by who has read it. So does what
// sessions say of themselves (AppendAttributes), which not every version knows.
type State struct {
	LastID   uint64         `json:"last_id"`
	Keys     []SavedKey     `json:"keys"`
	Frames   []SavedFrame   `json:"frames"`
	Sessions []SavedSession `json:"sessions"`

	Memories *SavedMemories `json:"-"` // nil: nobody is remembered
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
	Size  int    `json:"-"`   // of Bytes
	Bytes []byte `json:"bytes"`
	// Keep is what Bytes lies in, if that is not the heap: it is kept as long as the frame
	// waits or is being written.
	Keep any `json:"-"`

	live []*frame // those of the hub that handed over which have these bytes; nil after a journey
}

// Move says that the frame's bytes are elsewhere now: the copy that the frame had is
// given up, by the frozen hub too.
func (f *SavedFrame) Move(bytes []byte, keep any) {
	f.Bytes, f.Keep = bytes, keep
	for _, live := range f.live {
		live.bytes, live.keep = bytes, keep
	}
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

	Attributes *wire.Attributes `json:"-"` // nil: it says nothing of itself

	Conn net.Conn `json:"-"` // nil: it did not come
}

// AppendBinary writes the state, without connections and the bytes of frames: numbers as
// varints, texts and lists behind their length.
func (state *State) AppendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, state.LastID)
	b = binary.AppendUvarint(b, uint64(len(state.Keys)))
	for _, k := range state.Keys {
		b = appendText(b, k.AppID)
		b = binary.AppendUvarint(b, uint64(k.Generation))
		b = appendText(b, k.Fingerprint)
	}
	b = binary.AppendUvarint(b, uint64(len(state.Frames)))
	for i := range state.Frames {
		b = binary.AppendUvarint(b, uint64(state.Frames[i].Key))
		b = binary.AppendUvarint(b, uint64(state.Frames[i].Size))
	}
	b = binary.AppendUvarint(b, uint64(len(state.Sessions)))
	for i := range state.Sessions {
		b = state.Sessions[i].appendBinary(b)
	}
	return b
}

func (s *SavedSession) appendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, s.ID)
	b = binary.AppendVarint(b, s.Since)
	b = appendText(b, s.Early)
	b = binary.AppendUvarint(b, uint64(s.Key+1))
	if s.Key < 0 {
		return b
	}
	b = appendText(b, s.IbID)
	b = appendText(b, s.UserID)
	b = appendText(b, s.UserGroup)
	b = binary.AppendUvarint(b, s.Delivered)
	b = binary.AppendUvarint(b, s.Bytes)
	b = binary.AppendVarint(b, s.LastDelivery)
	b = binary.AppendUvarint(b, uint64(len(s.Queue)))
	for _, at := range s.Queue {
		b = binary.AppendUvarint(b, uint64(at))
	}
	return binary.AppendUvarint(b, uint64(s.Written))
}

// AppendAttributes writes what the sessions say of themselves: for each that does, its
// place in State.Sessions and its attributes as they are in a packet.
func (state *State) AppendAttributes(b []byte) []byte {
	var text []byte
	for i := range state.Sessions {
		if said := state.Sessions[i].Attributes; said != nil {
			text = wire.AppendAttributes(text[:0], said.List())
			b = appendText(binary.AppendUvarint(b, uint64(i)), text)
		}
	}
	return b
}

// ParseAttributes reads what AppendAttributes wrote of the same sessions. It keeps nothing
// of b.
func (state *State) ParseAttributes(b []byte) error {
	r := reader{rest: b}
	for len(r.rest) > 0 {
		at, said := r.number(), wire.ParseAttributes(r.bytes())
		if r.err == nil && at >= len(state.Sessions) {
			r.fail()
		}
		if r.err != nil {
			return r.err
		}
		state.Sessions[at].Attributes = said
	}
	return nil
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// errWhole is wrapped by what ParseState finds wrong.
var errWhole = errors.New("the sessions that were handed over cannot be read")

// ParseState reads what AppendBinary wrote. It keeps nothing of b. The frames have no
// bytes yet, the sessions no connections.
func ParseState(b []byte) (*State, error) {
	r := reader{rest: b}
	state := &State{LastID: r.uvarint()}
	state.Keys = make([]SavedKey, r.count(3))
	for i := range state.Keys {
		state.Keys[i] = SavedKey{AppID: r.text(), Generation: r.number(), Fingerprint: r.text()}
	}
	state.Frames = make([]SavedFrame, r.count(2))
	for i := range state.Frames {
		state.Frames[i] = SavedFrame{Key: r.number(), Size: r.number()}
	}
	state.Sessions = make([]SavedSession, r.count(4))
	infobases := make(map[string]string) // many sessions share one
	for i := range state.Sessions {
		s := &state.Sessions[i]
		s.ID, s.Since, s.Early, s.Key = r.uvarint(), r.varint(), bytes.Clone(r.bytes()), r.number()-1
		if s.Key < 0 {
			continue
		}
		ib := r.bytes()
		if shared, known := infobases[string(ib)]; known {
			s.IbID = shared
		} else {
			s.IbID = string(ib)
			infobases[s.IbID] = s.IbID
		}
		s.UserID, s.UserGroup = r.text(), r.text()
		s.Delivered, s.Bytes, s.LastDelivery = r.uvarint(), r.uvarint(), r.varint()
		if n := r.count(1); n > 0 {
			s.Queue = make([]int, n)
		}
		for at := range s.Queue {
			s.Queue[at] = r.number()
		}
		s.Written = r.number()
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case len(r.rest) > 0:
		return nil, fmt.Errorf("%w: %d bytes too many", errWhole, len(r.rest))
	case !state.Whole():
		return nil, fmt.Errorf("%w: they name keys or messages that are not there", errWhole)
	}
	return state, nil
}

// Registered is how many of the sessions are: the others are connections whose registration
// has not come yet.
func (state *State) Registered() (n int) {
	for i := range state.Sessions {
		if state.Sessions[i].Key >= 0 {
			n++
		}
	}
	return n
}

// Whole reports whether a state that was read can be that of a hub: every place it names
// is there.
func (state *State) Whole() bool {
	for _, f := range state.Frames {
		if f.Key < 0 || f.Key >= len(state.Keys) || f.size() <= 0 {
			return false
		}
	}
	for i := range state.Sessions {
		if !state.wholeSession(&state.Sessions[i]) {
			return false
		}
	}
	return state.Memories == nil || state.Memories.whole(state)
}

func (state *State) wholeSession(s *SavedSession) bool {
	if s.Key < -1 || s.Key >= len(state.Keys) || s.Written < 0 {
		return false
	}
	for _, at := range s.Queue {
		if at < 0 || at >= len(state.Frames) {
			return false
		}
	}
	return s.Written == 0 || len(s.Queue) > 0 && s.Written < state.Frames[s.Queue[0]].size()
}

func (f *SavedFrame) size() int { return max(f.Size, len(f.Bytes)) }

// reader reads what AppendBinary wrote. After the first error all is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("%w: they break off", errWhole)
	}
	r.rest = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// maxNumber is more than any place, size or generation.
const maxNumber = 1 << 40

// number is an uvarint that is a place, a size or a generation.
func (r *reader) number() int {
	v := r.uvarint()
	if v > maxNumber {
		r.fail()
		return 0
	}
	return int(v)
}

// count is the length of a list, each of whose entries takes that many bytes at least: so
// what is damaged takes no memory.
func (r *reader) count(bytes int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/bytes) {
		r.fail()
		return 0
	}
	return int(n)
}

// bytes is a part of the input.
func (r *reader) bytes() []byte {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes()) }
