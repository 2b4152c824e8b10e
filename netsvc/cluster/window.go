package cluster

// windowSize is how many numbers back a message may come, and be asked about.
const windowSize = 4096

// window knows which of the last numbers of a peer were seen, and what became of them.
type window struct {
	floor uint64 // up to it nothing is taken
	top   uint64 // the largest number seen
	slots [windowSize]slot
}

// slot belongs to the numbers that leave the same remainder; number says to which.
type slot struct {
	number  uint64
	verdict verdict
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
func (w *window) take(number uint64) (fresh bool, missed uint64) {
	if number <= w.floor || number+windowSize <= w.top {
		return false, 0
	}
	s := &w.slots[number%windowSize]
	if s.number == number {
		return false, 0
	}
	*s = slot{number, verdict{outcome: underWay}}
	if number > w.top {
		missed = number - w.top - 1
		w.top = number
	}
	return true, missed
}

// judge notes what became of a number that was taken, unless it has left the window.
func (w *window) judge(number uint64, v verdict) {
	if s := &w.slots[number%windowSize]; s.number == number {
		s.verdict = v
	}
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
