package stream

import "github.com/pns4ones/pns4ones/netsvc/cluster/seal"

// Limits that tests speak of.
const (
	Window     = window
	FrameBytes = frameBytes
	Silence    = silence
	RenewEvery = renewEvery
)

// Data is a data frame of the first stream that the other node has opened.
func Data(offset uint64, rest []byte) []byte {
	return (&frame{kind: frameData, id: id{true, 1}, offset: offset, rest: rest}).encode()
}

// Kept is how many bytes are kept for readers, and how many streams there are.
func (s *Streams) Kept() (bytes, streams int) {
	for _, c := range s.all() {
		c.mu.Lock()
		bytes += c.in.Len()
		c.mu.Unlock()
		streams++
	}
	return bytes, streams
}

// Recode reads a frame and writes it again.
func Recode(b []byte) (again []byte, ok bool) {
	f, ok := parse(b)
	if !ok {
		return nil, false
	}
	return f.encode(), true
}

// Peer names a node in tests.
func Peer(name byte) seal.Epoch { return seal.Epoch{name} }
