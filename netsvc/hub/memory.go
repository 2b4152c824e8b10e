package hub

import (
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// memory is what the hub keeps of a session that asked to be remembered, so that it can go
// on after its connection has broken (protocol.md section 4.4). It belongs to the outbox of
// the session that has it at present, connected or detached; that session's mu guards it.
//
// The frames of such an outbox lie in three places, one behind the other: kept are those
// that this connection was sent, of which the last may be cut; at the head of the queue, again
// counts those that an earlier connection was sent and this one not yet; behind them are those
// that were never sent. Those in the first two have the numbers up to written, in this order.
//
// Like session, it is kept small. What every message changes stands together.
type memory struct {
	written   uint64 // number of the last frame that was begun, on any connection
	kept      []keptFrame
	keptBytes int
	handed    uint64 // bytes that were sent, on any connection
	again     int
	againSize int // bytes of these

	buffer  uint32 // how many of the last bytes handed its send buffer may hold
	resumed uint32 // times that it went on

	turn   uint64     // of the last packet that was taken
	begun  uint64     // of the packet with which this memory began
	base   uint64     // received of the packet that opened the connection
	missed uint64     // messages that cannot reach it any more, or were not queued
	away   *time.Time // since when it has no connection; nil: it has one
	id     uint64     // that of the first session that had it, for people
	since  int64      // Unix nanoseconds; of that one
	line   *line      // nil: there are no other nodes
	loss   *loss      // of its last connection; nil: it was told of
}

// keptFrame is a frame that was begun on the present connection.
type keptFrame struct {
	*frame
	at  moment // when it was written last
	end uint64 // memory.handed when it was written whole; 0: it is not
}

// moment is a time of the clock that nobody sets, since moments began.
type moment time.Duration

var moments = time.Now()

func momentOf(t time.Time) moment { return moment(t.Sub(moments)) }

// unixNano is when it was, as the clock of now has it.
func (at moment) unixNano() int64 {
	now := time.Now()
	return now.Add(time.Duration(at - momentOf(now))).UnixNano()
}

// begin gives the frame that is about to leave its number, and keeps it. Of all that are kept
// there are to be so many bytes.
func (m *memory) begin(f *frame, now time.Time, resumeBytes int) {
	if m.again > 0 {
		m.again--
		m.againSize -= len(f.bytes)
	} else {
		m.written++
		if m.line != nil {
			m.line.begun()
		}
	}
	f.holding().need()
	m.kept = append(m.kept, keptFrame{frame: f, at: momentOf(now)})
	m.keptBytes += len(f.bytes)
	m.cut(resumeBytes)
}

// sent accounts for bytes of the frame that was begun last.
func (m *memory) sent(n int, whole bool, resumeBytes int) {
	m.handed += uint64(n)
	if whole {
		m.kept[len(m.kept)-1].end = m.handed
		m.cut(resumeBytes)
	}
}

// cut keeps the oldest frames no longer as far as they are too many bytes: never the last one,
// and none of which bytes may still lie in the send buffer.
func (m *memory) cut(resumeBytes int) {
	for m.keptBytes > resumeBytes && len(m.kept) > 1 {
		oldest := m.kept[0]
		if m.handed-oldest.end < uint64(m.buffer) {
			return
		}
		m.drop(1)
	}
}

// drop keeps the n oldest frames no longer, all of them whole.
func (m *memory) drop(n int) {
	for _, k := range m.kept[:n] {
		m.keptBytes -= len(k.bytes)
		k.kept()
	}
	clear(m.kept[:n])
	m.kept = m.kept[n:]
	if len(m.kept) == 0 {
		m.kept = nil
	}
}

// expire drops what was written before old, but for what is being written.
func (m *memory) expire(old moment) {
	n := 0
	for n < len(m.kept) && m.kept[n].end != 0 && m.kept[n].at <= old {
		n++
	}
	if n > 0 {
		m.drop(n)
	}
}

// keptFor is how long a frame is kept after it was written last.
func (l *Limits) keptFor() time.Duration { return l.PeerTimeout + l.ResumeWindow }

// acknowledge has frames of this connection kept no longer that the client has counted.
func (m *memory) acknowledge(received uint64) {
	n := 0
	for number := m.oldest(); n < len(m.kept) && m.kept[n].end != 0 && number <= received; number++ {
		n++
	}
	if n > 0 {
		m.drop(n)
	}
}

// oldest is the number of the first frame that is kept or to be sent again, or the one
// after written.
func (m *memory) oldest() uint64 { return m.written - uint64(len(m.kept)+m.again) + 1 }

// resume settles what a client that has opened a new connection still has to get of frames that were
// sent before, oldest first, and numbers these anew. It returns how many of them are to be
// left out, and how many are gone that the client has not counted.
func (m *memory) resume(said *wire.Attributes) (counted int, lost uint64) {
	frames := uint64(len(m.kept) + m.again)
	oldest := m.oldest()
	switch {
	case said.From < m.begun || said.From > m.turn: // it has read nothing of this memory
		lost = oldest - 1 - m.base
	case said.Received > m.written:
		counted = int(frames)
	case said.Received < oldest-1:
		lost = oldest - 1 - said.Received
	default:
		counted = int(said.Received - (oldest - 1))
	}
	m.turn, m.base = said.Turn, said.Received
	m.written = said.Received + frames - uint64(counted)
	m.missed += lost
	return counted, lost
}
