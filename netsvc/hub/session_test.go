package hub

import "testing"

// TestAQueueThatIsNeverEmptyDoesNotGrow: a peer may always be a frame behind.
func TestAQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	t.Parallel()
	s := &session{}
	r := &registration{session: s}
	s.registration = r
	d := &delivery{}
	d.open.Store(publishing)
	f := &frame{key: &key{tenant: &tenant{}}, delivery: d, bytes: make([]byte, 400)}
	r.enqueue(f, 1<<20)
	for range 10_000 {
		r.enqueue(f, 1<<20)
		s.advance(len(s.gather(nil, false)), nil)
		if s.waiting() != len(f.bytes) {
			t.Fatalf("%d bytes wait, want those of one frame", s.waiting())
		}
	}
	if cap(s.queue) > 10*keptQueueSlots {
		t.Fatalf("room for %d frames, for one", cap(s.queue))
	}
}
