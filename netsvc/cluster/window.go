package cluster

import (
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
)

// windowSize is how many numbers back a message may come, and be asked about.
const windowSize = 4096

// maxGaps bounds the gaps of which it is known since when they are there. Of older ones nothing
// is expected any more.
const maxGaps = 64

// window knows which of the last numbers of a peer were seen, and what became of them.
type window struct {
	floor   uint64 // up to it nothing is taken
	top     uint64 // the largest number seen
	settled uint64 // up to it all is worked off, or does not come any more; see progress
	gaps    []gap  // young ones, ascending
	slots   [windowSize]slot
}

// slot belongs to the numbers that leave the same remainder; number says to which.
type slot struct {
	number  uint64
	verdict verdict
	worked  bool // the sessions of this node have got what they get of it
}

// gap are numbers that had not come when a larger one did.
type gap struct {
	from, to uint64
	since    time.Duration
}

// outcome is what became of a message.
type outcome byte

const (
	notSeen outcome = iota
	underWay
	tooLate
	overloaded
	queued
)

// verdict is an outcome; with queued also for how many sessions, and how many of these
// are away and may come back.
type verdict struct {
	outcome           outcome
	sessions, waiting uint32
}

// begin has nothing taken any more up to a number.
func (w *window) begin(number uint64) { w.floor, w.top = max(w.floor, number), max(w.top, number) }

// take reports whether the number is new, and then notes it as under way. missed is how
// many numbers before it have not come.
func (w *window) take(now time.Duration, number uint64) (fresh bool, missed uint64) {
	if number <= w.floor || number+windowSize <= w.top {
		return false, 0
	}
	s := &w.slots[number%windowSize]
	if s.number == number {
		return false, 0
	}
	*s = slot{number: number, verdict: verdict{outcome: underWay}}
	if number > w.top {
		if missed = number - w.top - 1; missed > 0 {
			w.miss(gap{w.top + 1, number - 1, now})
		}
		w.top = number
	}
	return true, missed
}

// miss notes numbers that have not come.
func (w *window) miss(g gap) {
	if len(w.gaps) == maxGaps {
		w.gaps = slices.Delete(w.gaps, 0, 1)
	}
	w.gaps = append(w.gaps, g)
}

// judge notes what became of a number that was taken, unless it has left the window.
func (w *window) judge(number uint64, v verdict) {
	if s := &w.slots[number%windowSize]; s.number == number {
		s.verdict = v
		s.worked = s.worked || v.outcome != underWay
	}
}

// work notes that a number that was taken is worked off, though it may not be known yet what
// became of it.
func (w *window) work(number uint64) {
	if s := &w.slots[number%windowSize]; s.number == number {
		s.worked = true
	}
}

// progress forgets gaps of which nothing is expected any more, for they are older than the
// patience with them or closed, and moves settled on.
func (w *window) progress(now, patience time.Duration) {
	w.gaps = slices.DeleteFunc(w.gaps, func(g gap) bool { return now-g.since > patience || !w.isOpen(g) })
	w.settled = max(w.settled, w.floor)
	if w.top > windowSize {
		w.settled = max(w.settled, w.top-windowSize)
	}
	for w.settled < w.top && w.isSettled(w.settled+1) {
		w.settled++
	}
}

// isOpen reports whether numbers of a gap are missing and may come yet.
func (w *window) isOpen(g gap) bool {
	first := max(g.from, w.floor+1)
	if w.top >= windowSize {
		first = max(first, w.top-windowSize+1)
	}
	for number := first; number <= g.to; number++ {
		if w.slots[number%windowSize].number != number {
			return true
		}
	}
	return false
}

// isSettled reports whether a number within the window is worked off, or does not come any more.
func (w *window) isSettled(number uint64) bool {
	if s := &w.slots[number%windowSize]; s.number == number {
		return s.worked
	}
	return !slices.ContainsFunc(w.gaps, func(g gap) bool { return g.from <= number && number <= g.to })
}

// worked are the numbers that are worked off or do not come any more. After progress.
func (w *window) worked() moving.Numbers {
	worked := moving.Numbers{Top: w.top}
	for number := w.settled + 1; number <= w.top; number++ {
		if !w.isSettled(number) {
			worked.Missing = append(worked.Missing, number)
		}
	}
	return worked
}

// seen are the numbers that have come, or do not come any more. After progress.
func (w *window) seen() moving.Numbers {
	seen := moving.Numbers{Top: w.top}
	for number := w.settled + 1; number <= w.top; number++ {
		if w.slots[number%windowSize].number != number {
			seen.Missing = append(seen.Missing, number)
		}
	}
	return seen
}

// lacks reports whether one of these numbers is not worked off and may come yet, or, as long as
// more is expected, if one of a gap may: what was sent later must not be taken for all there
// is. After progress.
func (w *window) lacks(seen moving.Numbers, expects bool) bool {
	if expects && (len(w.gaps) > 0 || seen.Top > max(w.top, w.floor)) {
		return true
	}
	for number := w.settled + 1; number <= min(seen.Top, w.top); number++ {
		if !w.isSettled(number) && seen.Has(number) {
			return true
		}
	}
	return false
}

// verdict is what became of a number. What is too old to be known is too late.
func (w *window) verdict(number uint64) verdict {
	if number <= w.floor || number+windowSize <= w.top {
		return verdict{outcome: tooLate}
	}
	if s := &w.slots[number%windowSize]; s.number == number {
		return s.verdict
	}
	return verdict{}
}

// few knows which of the last 64 numbers were seen.
type few struct {
	top  uint64
	seen uint64 // bit n: top-n
}

// take reports whether the number is new and not too far back, and then notes it.
func (f *few) take(number uint64) bool {
	if number > f.top {
		f.seen, f.top = f.seen<<(number-f.top)|1, number
		return true
	}
	bit := uint64(1) << (f.top - number)
	if bit == 0 || number == 0 || f.seen&bit != 0 {
		return false
	}
	f.seen |= bit
	return true
}
