package hub

import (
	"fmt"
	"testing"
)

// BenchmarkQueue measures a session's queue alone: frames go in, are gathered as
// one write takes them, and are counted off. It is for each frame.
func BenchmarkQueue(b *testing.B) {
	for _, frames := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("frames=%d", frames), func(b *testing.B) {
			s := &session{}
			r := &registration{session: s}
			s.registration = r
			d := &delivery{}
			d.open.Store(publishing)
			f := &frame{key: &key{tenant: &tenant{}}, delivery: d, bytes: make([]byte, 408)}
			buf := make([]byte, 0, coalesceBytes)
			var finished []*delivery
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if r.enqueue(f, 1<<20) == tooSlow {
					b.Fatal("the queue is full")
				}
				if n%frames < frames-1 {
					continue
				}
				for out := s.gather(buf, false); out != nil; out = s.gather(buf, false) {
					_, finished = s.advance(len(out), finished[:0])
				}
			}
		})
	}
}
