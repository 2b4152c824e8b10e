package stream

import "encoding/binary"

// kind is what a frame says.
type kind byte

const (
	frameOpen  kind = 1
	frameData  kind = 2
	frameState kind = 3
	frameRenew kind = 4
	frameEnd   kind = 5
)

// id names a stream of two nodes: each numbers those that it has opened.
type id struct {
	opened bool // by the node that says it
	number uint64
}

const (
	headBytes = 1 + 1 + 8
	// frameBytes is the largest body of a data frame.
	frameBytes = 64 << 10
	// dataOverhead is by how much such a frame is longer.
	dataOverhead = headBytes + 8
	// maxReasonBytes bounds why a stream ended.
	maxReasonBytes = 256
)

// frame is one as it was parsed.
type frame struct {
	kind   kind
	id     id
	offset uint64 // bytes of the stream that the sender has sent, before those in rest
	may    uint64 // up to which byte the receiver may write
	rest   []byte
}

func (f *frame) encode() []byte {
	opened := byte(0)
	if f.id.opened {
		opened = 1
	}
	b := make([]byte, 0, headBytes+16+len(f.rest))
	b = binary.BigEndian.AppendUint64(append(b, byte(f.kind), opened), f.id.number)
	switch f.kind {
	case frameData, frameEnd:
		b = binary.BigEndian.AppendUint64(b, f.offset)
	case frameState, frameRenew:
		b = binary.BigEndian.AppendUint64(b, f.offset)
		b = binary.BigEndian.AppendUint64(b, f.may)
	}
	return append(b, f.rest...)
}

// parse reads a frame, whose rest shares memory with b; ok is false if it is none.
func parse(b []byte) (f frame, ok bool) {
	if len(b) < headBytes || b[1] > 1 {
		return frame{}, false
	}
	f = frame{kind: kind(b[0]), id: id{b[1] == 1, binary.BigEndian.Uint64(b[2:])}, rest: b[headBytes:]}
	numbers := 0
	switch f.kind {
	case frameOpen:
	case frameData, frameEnd:
		numbers = 1
	case frameState, frameRenew:
		numbers = 2
	default:
		return frame{}, false
	}
	if len(f.rest) < 8*numbers {
		return frame{}, false
	}
	if numbers > 0 {
		f.offset = binary.BigEndian.Uint64(f.rest)
	}
	if numbers > 1 {
		f.may = binary.BigEndian.Uint64(f.rest[8:])
	}
	f.rest = f.rest[8*numbers:]
	return f, true
}
