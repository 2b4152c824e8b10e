package moving

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Session names a remembered session. Its secret is one: it is shown to nobody.
type Session struct {
	AppID, IbID, UserID string
	Secret              string // the attribute «session» of protocol.md section 4.4
}

// Question is what a node asks its peers when a registration of a session reaches it.
type Question struct {
	Session Session
	Claim   Claim
	// Seen is what the asker has worked off before it entered the session, at least: a peer
	// answers when it has, too. What one of the two has not, the other one has.
	Seen Cover
	// Asker is the name of the asking node, for people. It is not said: who is asked knows it.
	Asker string
}

// Status is what a node knows of a session.
type Status byte

// What a peer answers, and with Busy what it cannot answer yet.
const (
	Nothing Status = iota // it does not remember it
	Stale                 // it took that turn or a larger one: the registration is of no effect
	Found                 // here is what it remembers; it is frozen
	Busy                  // it is itself asking for an older turn
)

// Answer is what a peer answers.
type Answer struct {
	Status Status
	Last   uint64 // number of the peer's last message when it was asked: a session that begins gets later ones
	Memory Memory // of Found
}

// Memory is what a node remembers of a session, frozen.
type Memory struct {
	Line
	Base            uint64   // received of the packet that opened the last connection
	Since           int64    // Unix nanoseconds; when the session began
	Missed, Resumed uint64   // as the session shows them
	Sent            [][]byte // plaintexts of frames that were sent and not counted; the last has the number Written
	Cut             bool     // the last of them has never been sent whole
	Unsent          []Frame
	Has             Cover  // what it accounts for
	Lost            Lost   // what of others it has left out, for it was not known what they had sent before it began
	Node            string // whose it is, for people; it is not said: who is answered knows it
}

// Lost are lives of nodes that were lost when a session began. For so long messages of theirs may come that they had
// sent before: the session takes none.
type Lost struct {
	Lives []seal.Epoch
	For   time.Duration
}

// Has reports whether a message is one of theirs.
func (l Lost) Has(o Origin) bool { return slices.Contains(l.Lives, o.Epoch) }

// Frame is one that was never sent.
type Frame struct {
	Origin    Origin
	Plaintext []byte
}

// Confirmation says that a node goes on with a session since that turn.
type Confirmation struct {
	Session Session
	Turn    uint64
}

// errBody is what somebody with the cluster's key sealed, and that is no such thing.
var errBody = errors.New("not what nodes say to each other of sessions")

func (s Session) append(b []byte) []byte {
	b = appendText(b, s.AppID)
	b = appendText(b, s.IbID)
	b = appendText(b, s.UserID)
	return appendText(b, s.Secret)
}

// Append appends the question as bytes.
func (q *Question) Append(b []byte) []byte {
	b = q.Session.append(b)
	b = binary.AppendUvarint(b, q.Claim.Turn)
	b = binary.AppendUvarint(b, q.Claim.Received)
	b = binary.AppendUvarint(b, q.Claim.From)
	return q.Seen.Append(b)
}

// ParseQuestion reads what Question.Append wrote.
func ParseQuestion(b []byte) (q Question, err error) {
	r := reader{rest: b}
	q.Session = r.session()
	q.Claim = Claim{r.number(), r.number(), r.number()}
	q.Seen = r.cover()
	return q, r.end()
}

// Append appends the answer as bytes.
func (a *Answer) Append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(a.Status)), a.Last)
	if a.Status != Found {
		return b
	}
	m := &a.Memory
	cut := uint64(0)
	if m.Cut {
		cut = 1
	}
	for _, n := range []uint64{m.Turn, m.Begun, m.Written, m.Base, uint64(m.Since), m.Missed, m.Resumed, cut} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Sent)))
	for _, plaintext := range m.Sent {
		b = appendText(b, plaintext)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Unsent)))
	for _, f := range m.Unsent {
		b = f.Origin.Append(b)
		b = appendText(b, f.Plaintext)
	}
	return m.Lost.append(m.Has.Append(b))
}

func (l Lost) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(max(l.For, 0)))
	b = binary.AppendUvarint(b, uint64(len(l.Lives)))
	for _, epoch := range l.Lives {
		b = append(b, epoch[:]...)
	}
	return b
}

// ParseAnswer reads what Answer.Append wrote. The plaintexts share memory with b.
func ParseAnswer(b []byte) (a Answer, err error) {
	r := reader{rest: b}
	a.Status, a.Last = Status(r.byte()), r.number()
	switch a.Status {
	case Nothing, Stale:
		return a, r.end()
	case Found:
	default:
		return Answer{}, errBody
	}
	m := &a.Memory
	m.Line = Line{r.number(), r.number(), r.number()}
	m.Base, m.Since, m.Missed, m.Resumed = r.number(), int64(r.number()), r.number(), r.number()
	m.Cut = r.number() == 1
	m.Sent = make([][]byte, r.count(1))
	for i := range m.Sent {
		m.Sent[i] = r.bytes()
	}
	m.Unsent = make([]Frame, r.count(epochBytes+2))
	for i := range m.Unsent {
		m.Unsent[i] = Frame{r.origin(), r.bytes()}
	}
	m.Has, m.Lost = r.cover(), r.lost()
	if uint64(len(m.Sent)) > m.Written {
		r.failed = true
	}
	return a, r.end()
}

// Append appends the confirmation as bytes.
func (c *Confirmation) Append(b []byte) []byte {
	return binary.AppendUvarint(c.Session.append(b), c.Turn)
}

// ParseConfirmation reads what Confirmation.Append wrote.
func ParseConfirmation(b []byte) (c Confirmation, err error) {
	r := reader{rest: b}
	c.Session, c.Turn = r.session(), r.number()
	return c, r.end()
}

// Append appends the origin as bytes.
func (o Origin) Append(b []byte) []byte {
	return binary.AppendUvarint(append(b, o.Epoch[:]...), o.Number)
}

// ParseOrigin reads what Origin.Append wrote at the beginning of b, and returns what is behind it.
func ParseOrigin(b []byte) (o Origin, rest []byte, err error) {
	r := reader{rest: b}
	o = r.origin()
	if r.failed {
		return Origin{}, nil, errBody
	}
	return o, r.rest, nil
}

// ParseCover reads what Cover.Append wrote.
func ParseCover(b []byte) (Cover, error) {
	r := reader{rest: b}
	c := r.cover()
	return c, r.end()
}

// Append appends the cover as bytes: for each epoch the largest number, and the missing ones as
// differences.
func (c Cover) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(c)))
	for epoch, n := range c {
		b = binary.AppendUvarint(append(b, epoch[:]...), n.Top)
		b = binary.AppendUvarint(b, uint64(len(n.Missing)))
		before := uint64(0)
		for _, number := range n.Missing {
			b = binary.AppendUvarint(b, number-before)
			before = number
		}
	}
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

const epochBytes = len(seal.Epoch{})

// reader reads fields one after the other. After the first that is not there it has failed,
// and all others are zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) end() error {
	if r.failed || len(r.rest) > 0 {
		return errBody
	}
	return nil
}

func (r *reader) number() uint64 {
	value, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return value
}

// count is the length of a list, each of whose entries takes that many bytes at least: so
// what is wrong takes no memory.
func (r *reader) count(bytes int) int {
	n := r.number()
	if n > uint64(len(r.rest)/bytes) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return math.MaxUint8
}

func (r *reader) bytes() []byte { return r.take(r.count(1)) }

func (r *reader) text() string { return string(r.bytes()) }

func (r *reader) session() Session { return Session{r.text(), r.text(), r.text(), r.text()} }

func (r *reader) epoch() (epoch seal.Epoch) {
	copy(epoch[:], r.take(epochBytes))
	return epoch
}

func (r *reader) lost() (l Lost) {
	l.For = time.Duration(min(r.number(), math.MaxInt64))
	if n := r.count(epochBytes); n > 0 {
		l.Lives = make([]seal.Epoch, n)
	}
	for i := range l.Lives {
		l.Lives[i] = r.epoch()
	}
	return l
}

func (r *reader) origin() Origin { return Origin{r.epoch(), r.number()} }

func (r *reader) cover() Cover {
	n := r.count(epochBytes + 2)
	c := make(Cover, n)
	for range n {
		epoch := r.epoch()
		numbers := Numbers{Top: r.number()}
		if missing := r.count(1); missing > 0 {
			numbers.Missing = make([]uint64, missing)
		}
		before := uint64(0)
		for i := range numbers.Missing {
			before += r.number()
			numbers.Missing[i] = before
		}
		if !slices.IsSorted(numbers.Missing) {
			r.fail()
		}
		c[epoch] = numbers
	}
	return c
}
