package cluster

import (
	"reflect"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
)

// TestAWindowKnowsWhatIsWorkedOff takes and works off numbers, and asks for what is known then.
func TestAWindowKnowsWhatIsWorkedOff(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	queue := func(w *window, numbers ...uint64) {
		for _, number := range numbers {
			w.take(0, number)
			w.judge(number, verdict{outcome: queued})
		}
	}
	for _, c := range []struct {
		name         string
		do           func(w *window)
		now          time.Duration
		worked, seen moving.Numbers
		lacks        []moving.Numbers // of these one
		has          []moving.Numbers // all of these, or they do not come
	}{
		{name: "nothing", has: []moving.Numbers{{}}, lacks: []moving.Numbers{{Top: 1}}},
		{
			name: "all", do: func(w *window) { queue(w, 1, 2, 3) },
			worked: moving.Numbers{Top: 3}, seen: moving.Numbers{Top: 3},
			has: []moving.Numbers{{Top: 3}, {Top: 2}}, lacks: []moving.Numbers{{Top: 4}},
		},
		{
			name: "one is in a lane", do: func(w *window) { queue(w, 1); w.take(0, 2); queue(w, 3) },
			worked: moving.Numbers{Top: 3, Missing: []uint64{2}}, seen: moving.Numbers{Top: 3},
			has: []moving.Numbers{{Top: 1}, {Top: 3, Missing: []uint64{2}}}, lacks: []moving.Numbers{{Top: 2}, {Top: 3}},
		},
		{
			name: "its verdict is not known yet", do: func(w *window) { w.take(0, 1); w.work(1) },
			worked: moving.Numbers{Top: 1}, seen: moving.Numbers{Top: 1}, has: []moving.Numbers{{Top: 1}},
		},
		{
			name: "a young gap", do: func(w *window) { queue(w, 1, 4) }, now: patience,
			worked: moving.Numbers{Top: 4, Missing: []uint64{2, 3}}, seen: moving.Numbers{Top: 4, Missing: []uint64{2, 3}},
			lacks: []moving.Numbers{{Top: 1}, {Top: 2}, {}},
		},
		{
			name: "an old gap", do: func(w *window) { queue(w, 1, 4) }, now: patience + 1,
			worked: moving.Numbers{Top: 4}, seen: moving.Numbers{Top: 4}, has: []moving.Numbers{{Top: 4}},
		},
		{
			name: "a gap that is closed", do: func(w *window) { queue(w, 1, 4, 2, 3) },
			worked: moving.Numbers{Top: 4}, seen: moving.Numbers{Top: 4}, has: []moving.Numbers{{Top: 4}},
		},
		{
			name: "nothing is taken up to there", do: func(w *window) { w.begin(7); queue(w, 8) },
			worked: moving.Numbers{Top: 8}, seen: moving.Numbers{Top: 8}, has: []moving.Numbers{{Top: 8}},
		},
		{
			name: "further back than is known", do: func(w *window) { queue(w, 1, 2*windowSize); w.progress(patience+1, patience) },
			worked: moving.Numbers{Top: 2 * windowSize}, seen: moving.Numbers{Top: 2 * windowSize},
			has: []moving.Numbers{{Top: 2 * windowSize}},
		},
		{
			name: "restored", do: func(w *window) {
				other := new(window)
				queue(other, 1, 4)
				other.take(0, 5)
				if err := w.restore(other.floor, other.top, other.verdicts()); err != nil {
					t.Error(err)
				}
				w.expect(0, func(number uint64) bool { return number == 5 })
			},
			worked: moving.Numbers{Top: 5, Missing: []uint64{2, 3, 5}}, seen: moving.Numbers{Top: 5, Missing: []uint64{2, 3}},
			lacks: []moving.Numbers{{Top: 5}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := new(window)
			if c.do != nil {
				c.do(w)
			}
			w.progress(c.now, patience)
			if got := w.worked(); !reflect.DeepEqual(got, c.worked) {
				t.Errorf("worked off: %+v, want %+v", got, c.worked)
			}
			if got := w.seen(); !reflect.DeepEqual(got, c.seen) {
				t.Errorf("seen: %+v, want %+v", got, c.seen)
			}
			for _, numbers := range c.lacks {
				if !w.lacks(numbers, true) {
					t.Errorf("%+v is not lacking", numbers)
				}
			}
			for _, numbers := range c.has {
				if w.lacks(numbers, true) {
					t.Errorf("%+v is lacking", numbers)
				}
			}
		})
	}
}
