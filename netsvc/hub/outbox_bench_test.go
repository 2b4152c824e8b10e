package hub

import (
	"fmt"
	"testing"
)

// BenchmarkQueue measures a session's outbox alone: frames go in, are gathered as
// one write takes them, and are counted off. It is for each frame. Of a remembered session they are
// kept as well, as many as resume_bytes lets it.
func BenchmarkQueue(b *testing.B) {
	for _, frames := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("frames=%d", frames), func(b *testing.B) { benchmarkQueue(b, frames, nil) })
		b.Run(fmt.Sprintf("remembered/frames=%d", frames), func(b *testing.B) {
			benchmarkQueue(b, frames, new(memory))
		})
	}
}

func benchmarkQueue(b *testing.B, frames int, m *memory) {
	s, f := &session{}, waitingFrame(408)
	s.out.memory = m
	locked := func(do func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		do()
	}
	buf := make([]byte, 0, coalesceBytes)
	var out []byte
	var finished []*delivery
	put := func() {
		if s.out.put(f, 1<<20) == crowded {
			b.Fatal("the queue is full")
		}
	}
	gather := func() { out = s.out.gather(buf, false) }
	advance := func() { _, finished = s.out.advance(len(out), 64<<10, finished[:0]) }
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		locked(put)
		if n%frames < frames-1 {
			continue
		}
		locked(func() { s.out.begin() })
		for locked(gather); out != nil; locked(gather) {
			locked(advance)
		}
	}
}
