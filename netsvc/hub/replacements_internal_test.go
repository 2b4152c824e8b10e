package hub

import (
	"testing"
	"time"
)

func TestReplacementsThatAreTooMany(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	for _, c := range []struct {
		name string
		at   []time.Duration // of replacements
		said int
	}{
		{"five in a minute", []time.Duration{0, 1, 2, 3, 4}, 0},
		{"six in a minute", []time.Duration{0, 1, 2, 3, 4, 59 * time.Second}, 1},
		{"six in a little more", []time.Duration{0, 1, 2, 3, 4, time.Minute}, 0},
		{"it goes on", []time.Duration{0, 1, 2, 3, 4, 5, 6,
			61 * time.Second, 62 * time.Second, 63 * time.Second, 64 * time.Second, 65 * time.Second, 66 * time.Second}, 1},
		{"it was over", []time.Duration{0, 1, 2, 3, 4, 5, 61 * time.Second, 200 * time.Second, 201 * time.Second,
			202 * time.Second, 203 * time.Second, 204 * time.Second, 205 * time.Second}, 2},
	} {
		var r replacements
		said := 0
		for _, at := range c.at {
			if r.another(begin.Add(at)) {
				said++
			}
		}
		if said != c.said {
			t.Errorf("%s: it is said %d times, want %d", c.name, said, c.said)
		}
	}
}
