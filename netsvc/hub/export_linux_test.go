package hub

import "time"

// Silence is how long ago the peer of a user's session acknowledged something.
func (h *Hub) Silence(user string) time.Duration {
	for _, s := range h.snapshot() {
		if r := s.registered(); r != nil && r.user == user {
			ago, _ := silence(s.raw)
			return ago
		}
	}
	return 0
}

// LeaveWatch has each session have its goroutine, as where there is no epoll instance: what waits for that, waits
// outside the clock of a test. It is called before there are sessions.
func (h *Hub) LeaveWatch() {
	h.watch.stop()
	h.watch.close()
	h.watch.epoll = nil
}

// FirstFakeFD is a descriptor that no system gives. WriteFake writes to it and those above it.
const FirstFakeFD = 1 << 30

var WriteFake func(fd int, b []byte) (int, error)

func init() {
	system := writeTo
	writeTo = func(fd int, b []byte) (int, error) {
		if fd >= FirstFakeFD {
			return WriteFake(fd, b)
		}
		return system(fd, b)
	}
}

// Remembered is what is remembered of a user's only session.
type Remembered struct {
	Turn, Begun, Written uint64
	Kept                 [][]byte // frames
	Going                [][]byte // being written at this moment
	Buffer               uint64
	Connected            bool
	Waiting              int // frames that were never sent, or not on this connection
}

// Remembered reports false if nothing is.
func (h *Hub) Remembered(user string) (r Remembered, ok bool) {
	h.memories.mu.Lock()
	defer h.memories.mu.Unlock()
	for _, own := range h.memories.holders {
		if own.key().user != user {
			continue
		}
		s := own.session.Load()
		s.mu.Lock()
		defer s.mu.Unlock()
		m := s.out.memory
		r = Remembered{Turn: m.turn, Begun: m.begun, Written: m.written, Buffer: uint64(m.buffer),
			Connected: own.away == nil, Waiting: m.again + s.out.unsent()}
		for _, k := range m.kept {
			r.Kept = append(r.Kept, k.bytes)
		}
		for _, f := range s.out.queue[s.out.head:][:s.out.inFlight] {
			r.Going = append(r.Going, f.bytes)
		}
		return r, true
	}
	return r, false
}

// Contents are the frames that a user's only remembered session has, each once, oldest first.
func (h *Hub) Contents(user string) (frames [][]byte) {
	h.memories.mu.Lock()
	defer h.memories.mu.Unlock()
	for _, own := range h.memories.holders {
		if own.key().user != user {
			continue
		}
		s := own.session.Load()
		s.mu.Lock()
		defer s.mu.Unlock()
		o := &s.out
		for _, k := range o.memory.kept {
			frames = append(frames, k.bytes)
		}
		queue := o.queue[o.head:]
		if o.written > 0 {
			queue = queue[1:]
		}
		for _, f := range queue {
			frames = append(frames, f.bytes)
		}
	}
	return frames
}
