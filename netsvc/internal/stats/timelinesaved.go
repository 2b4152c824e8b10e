package stats

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// timelineFormat is what Save writes first: steps and numbers as they are here.
const timelineFormat = 1

// errTimeline: it breaks off, or is of another version.
var errTimeline = errors.New("the history of the other process cannot be read")

// Save writes a timeline down for Restore of another process: a byte for the format, and
// numbers as uvarints. Of each series that is the newest step, and the slots from the oldest
// on; several of which nothing is known are a 0 and their number.
func (t *Timeline) Save() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := []byte{timelineFormat}
	for i := range t.all {
		text = t.all[i].save(text)
	}
	text = binary.AppendUvarint(text, uint64(len(t.apps)))
	for id, a := range t.apps {
		text = binary.AppendUvarint(text, uint64(len(id)))
		text = append(text, id...)
		text = binary.AppendUvarint(text, math.Float64bits(a.lately))
		for i := range a.slots {
			text = a.slots[i].save(text)
		}
	}
	return text
}

func (s *series) save(text []byte) []byte {
	text = binary.AppendUvarint(text, uint64(s.last))
	unknown := uint64(0)
	end := func() {
		if unknown > 0 {
			text = binary.AppendUvarint(append(text, 0), unknown)
			unknown = 0
		}
	}
	for step := s.last - int64(s.kept) + 1; step <= s.last; step++ {
		slot := s.slot(max(step, 0)) // it begins with nothing in 1970
		if slot[measured] == 0 {
			unknown++
			continue
		}
		end()
		for _, n := range slot {
			text = binary.AppendUvarint(text, uint64(n))
		}
	}
	end()
	return text
}

// Restore takes over what Save of another process has written, unless this one has written
// down something already. After an error nothing is taken over.
func (t *Timeline) Restore(text []byte) error {
	from := newTimeline()
	r := reader{rest: text}
	if r.number(math.MaxUint8) != timelineFormat {
		return errTimeline
	}
	for i := range from.all {
		r.series(&from.all[i])
	}
	for range r.number(keptApps) {
		id, a := r.text(), newAppSeries()
		a.lately = math.Float64frombits(r.number(math.MaxUint64))
		for i := range a.slots {
			r.series(&a.slots[i])
		}
		if math.IsNaN(a.lately) || math.IsInf(a.lately, 0) || r.failed {
			return errTimeline
		}
		from.apps[id] = a
	}
	if r.failed || len(r.rest) > 0 {
		return errTimeline
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == 0 {
		t.all, t.apps = from.all, from.apps
	}
	return nil
}

// reader reads what Save writes.
type reader struct {
	rest   []byte
	failed bool // what is read then is 0
}

// number reads one of at most so much.
func (r *reader) number(most uint64) uint64 {
	n, read := binary.Uvarint(r.rest)
	if read <= 0 || n > most || r.failed {
		r.failed = true
		return 0
	}
	r.rest = r.rest[read:]
	return n
}

// maxAppID is longer than the id of any app.
const maxAppID = 100

func (r *reader) text() string {
	n := int(r.number(maxAppID))
	if n > len(r.rest) {
		r.failed = true
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

// series reads one into an empty one.
func (r *reader) series(s *series) {
	s.last = int64(r.number(math.MaxInt64 / 2))
	for left := s.kept; left > 0 && !r.failed; {
		step := max(s.last-int64(left)+1, 0)
		n := r.number(math.MaxUint32)
		if n == 0 {
			left -= int(max(r.number(uint64(left)), 1))
			continue
		}
		slot := make([]uint32, s.width)
		slot[measured] = uint32(n)
		for i := range slot[1:] {
			slot[1+i] = uint32(r.number(math.MaxUint32))
		}
		copy(s.slot(step), slot)
		left--
	}
	if r.failed {
		s.numbers, s.last = slices.Repeat([]uint32{0}, len(s.numbers)), 0
	}
}
