package cluster

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Bodies of envelopes: numbers are big-endian or uvarints, texts are a uvarint of their
// length and their bytes. What stands behind the known fields of a heartbeat is ignored,
// so that a later release may add to it.

// errBody is the body of an envelope that somebody with the key sealed, and that is none.
var errBody = errors.New("not the body of such an envelope")

// partHead begins each body of a message. With several parts it says to which message this
// one belongs: others are numbered between them.
type partHead struct {
	sent        time.Duration // by the sender's clock, since its epoch began
	part, parts uint16
	first       uint64 // number of the first part; of that itself: 0
	size        uint64 // bytes of the whole message
}

const (
	partHeadBytes = 8 + 2 + 2
	moreHeadBytes = 8 + 8 // of several parts
)

// len is how many bytes append adds.
func (h *partHead) len() int {
	if h.parts > 1 {
		return partHeadBytes + moreHeadBytes
	}
	return partHeadBytes
}

func (h *partHead) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.sent))
	dst = binary.BigEndian.AppendUint16(dst, h.part)
	dst = binary.BigEndian.AppendUint16(dst, h.parts)
	if h.parts > 1 {
		dst = binary.BigEndian.AppendUint64(dst, h.first)
		dst = binary.BigEndian.AppendUint64(dst, h.size)
	}
	return dst
}

func parsePart(body []byte) (h partHead, rest []byte, err error) {
	if len(body) < partHeadBytes {
		return h, nil, errBody
	}
	h.sent = time.Duration(binary.BigEndian.Uint64(body))
	h.part, h.parts = binary.BigEndian.Uint16(body[8:]), binary.BigEndian.Uint16(body[10:])
	rest = body[partHeadBytes:]
	if h.parts > 1 {
		if len(rest) < moreHeadBytes {
			return h, nil, errBody
		}
		h.first, h.size = binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])
		rest = rest[moreHeadBytes:]
	}
	if h.part >= h.parts || h.parts > 1 && (h.size > maxMessageBytes || h.part > 0 && h.first == 0) {
		return h, nil, errBody
	}
	return h, rest, nil
}

// The recipient types on their way to a peer.
var recipientTypes = [...]wire.RecipientType{1: wire.ToUser, 2: wire.ToGroup, 3: wire.ToAll}

// message is what the parts of one are cut from.
type message struct {
	appID     string // 8-4-4-4-12 hexadecimal digits, small letters
	to        wire.Recipient
	plaintext []byte // of the frames
}

const uuidChars = 36

// appendHead appends what stands before the plaintext; ok is false if the message has no app
// of such an id or no such type.
func (m *message) appendHead(dst []byte) (_ []byte, ok bool) {
	id, err := hex.DecodeString(strings.ReplaceAll(m.appID, "-", ""))
	if err != nil || len(id) != 16 || len(m.appID) != uuidChars {
		return dst, false
	}
	var target string
	var kind byte
	switch m.to.Type {
	case wire.ToUser:
		kind, target = 1, m.to.UserID
	case wire.ToGroup:
		kind, target = 2, m.to.UserGroup
	case wire.ToAll:
		kind = 3
	default:
		return dst, false
	}
	dst = append(append(dst, kind), id...)
	dst = appendText(dst, m.to.IbID)
	return appendText(dst, target), true
}

// overhead is at most how many bytes appendHead adds.
func (m *message) overhead() int {
	return 1 + 16 + 2*binary.MaxVarintLen32 + len(m.to.IbID) + len(m.to.UserID) + len(m.to.UserGroup)
}

// parseMessage reads a message; its plaintext shares memory with whole.
func parseMessage(whole []byte) (m message, err error) {
	r := reader{rest: whole}
	kind := r.byte()
	id := r.bytes(16)
	ib, target := r.text(math.MaxInt), r.text(math.MaxInt)
	if r.failed || kind == 0 || int(kind) >= len(recipientTypes) {
		return message{}, errBody
	}
	m.appID = uuidText(id)
	m.to = wire.Recipient{Type: recipientTypes[kind], IbID: ib}
	switch m.to.Type {
	case wire.ToUser:
		m.to.UserID = target
	case wire.ToGroup:
		m.to.UserGroup = target
	}
	m.plaintext = r.rest
	return m, nil
}

func uuidText(id []byte) string {
	var text [uuidChars]byte
	hex.Encode(text[0:], id[0:4])
	hex.Encode(text[9:], id[4:6])
	hex.Encode(text[14:], id[6:8])
	hex.Encode(text[19:], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// appendVerdict appends the number of a message and what became of it: 0 too late, 1
// overloaded, 2 not seen, 3 under way, n+4 queued for n sessions, and then how many of
// these are away, if there are any sessions.
func appendVerdict(dst []byte, number uint64, v verdict) []byte {
	dst = binary.AppendUvarint(dst, number)
	switch v.outcome {
	case tooLate:
		return append(dst, 0)
	case overloaded:
		return append(dst, 1)
	case notSeen:
		return append(dst, 2)
	case underWay:
		return append(dst, 3)
	}
	dst = binary.AppendUvarint(dst, 4+uint64(v.sessions))
	if v.sessions > 0 {
		dst = binary.AppendUvarint(dst, uint64(v.waiting))
	}
	return dst
}

// verdictWords are those before the numbers of sessions.
var verdictWords = [...]outcome{tooLate, overloaded, notSeen, underWay}

// parseVerdicts hands over each verdict in a body; none of a body that is wrong.
func parseVerdicts(body []byte, each func(number uint64, v verdict)) error {
	check := reader{rest: body}
	for len(check.rest) > 0 {
		check.verdict()
	}
	if check.failed {
		return errBody
	}
	for r := (reader{rest: body}); len(r.rest) > 0; {
		each(r.verdict())
	}
	return nil
}

func (r *reader) verdict() (number uint64, v verdict) {
	number = r.uvarint(math.MaxUint64)
	word := r.uvarint(math.MaxUint32)
	if word < uint64(len(verdictWords)) {
		return number, verdict{outcome: verdictWords[word]}
	}
	v = verdict{outcome: queued, sessions: uint32(word) - uint32(len(verdictWords))}
	if v.sessions > 0 {
		v.waiting = uint32(r.uvarint(uint64(v.sessions)))
	}
	return number, v
}

// maxAsked is how many numbers a question has at most.
const maxAsked = 1024

// A question for numbers is the word askNumbers and the numbers.
const askNumbers = 1

func appendQuestion(dst []byte, numbers []uint64) []byte {
	dst = append(dst, askNumbers)
	for _, number := range numbers {
		dst = binary.AppendUvarint(dst, number)
	}
	return dst
}

func parseQuestion(body []byte) (numbers []uint64, err error) {
	r := reader{rest: body}
	if r.byte() != askNumbers {
		return nil, errBody
	}
	for len(r.rest) > 0 && len(numbers) < maxAsked {
		numbers = append(numbers, r.uvarint(math.MaxUint64))
	}
	if r.failed || len(r.rest) > 0 {
		return nil, errBody
	}
	return numbers, nil
}

// The versions of what nodes say to each other that this release speaks.
const (
	leastVersion = 1
	mostVersion  = 1
)

const (
	maxNameChars    = 63
	maxVersionChars = 64
	maxHeard        = maxPeers
	maxTold         = 64
)

// heartbeat is what a node says of itself once a second, and when there is something new.
type heartbeat struct {
	least, most byte          // versions it speaks
	id          NodeID        // stays over its lives
	name        string        // for people
	program     string        // version of the program
	ready       bool          // it was live in this epoch
	answers     bool          // it can be asked for remembered sessions
	wait        time.Duration // how old a message of it may be
	sent        time.Duration // by its clock, since its epoch began
	last        uint64        // number of its last message
	sessions    int
	revision    uint64 // of the apps
	heard       []heardOf
	nodes       []toldOf // told when somebody comes in, who does not know them; maxTold at most
}

// heardOf is what a heartbeat says of a peer. A challenge is drawn when one hears of the
// other first, and the other says it from then on: so nobody is taken for alive whose
// heartbeats were recorded and are played again.
type heardOf struct {
	epoch     seal.Epoch
	challenge uint64 // for that peer
	echo      uint64 // of that peer's challenge; 0: not known yet
	admitted  bool   // its messages are taken
}

// toldOf is a node that one that comes in may not meet, though it may have sessions.
type toldOf struct {
	id   NodeID
	name string
	lost time.Duration // for so long; 0: it is not, as far as is known
}

const (
	flagReady    = 1 << 0
	flagAnswers  = 1 << 1
	flagAdmitted = 1 << 0
)

func (h *heartbeat) append(dst []byte) []byte {
	flags := byte(0)
	if h.ready {
		flags |= flagReady
	}
	if h.answers {
		flags |= flagAnswers
	}
	dst = append(dst, h.least, h.most, flags)
	dst = append(dst, h.id[:]...)
	dst = appendText(dst, h.name)
	dst = appendText(dst, h.program)
	dst = binary.AppendUvarint(dst, uint64(h.wait))
	dst = binary.AppendUvarint(dst, uint64(h.sent))
	dst = binary.AppendUvarint(dst, h.last)
	dst = binary.AppendUvarint(dst, uint64(h.sessions))
	dst = binary.AppendUvarint(dst, h.revision)
	dst = binary.AppendUvarint(dst, uint64(len(h.heard)))
	for _, p := range h.heard {
		dst = append(dst, p.epoch[:]...)
		dst = binary.BigEndian.AppendUint64(dst, p.challenge)
		dst = binary.BigEndian.AppendUint64(dst, p.echo)
		flags := byte(0)
		if p.admitted {
			flags |= flagAdmitted
		}
		dst = append(dst, flags)
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.nodes)))
	for _, one := range h.nodes {
		dst = append(dst, one.id[:]...)
		dst = appendText(dst, one.name)
		dst = binary.AppendUvarint(dst, uint64(one.lost))
	}
	return dst
}

// parseHeartbeat reads a heartbeat. Of one in a version that is not spoken here only the
// versions, the id and the name are read. Nodes of earlier releases end before the nodes they
// could tell of.
func parseHeartbeat(body []byte) (h heartbeat, err error) {
	r := reader{rest: body}
	h.least, h.most = r.byte(), r.byte()
	flags := r.byte()
	h.ready, h.answers = flags&flagReady != 0, flags&flagAnswers != 0
	copy(h.id[:], r.bytes(len(h.id)))
	h.name = r.text(maxNameChars)
	h.program = r.text(maxVersionChars)
	if r.failed || h.least > h.most {
		return heartbeat{}, errBody
	}
	if !h.spoken() {
		return h, nil
	}
	h.wait = time.Duration(r.uvarint(math.MaxInt64))
	h.sent = time.Duration(r.uvarint(math.MaxInt64))
	h.last = r.uvarint(math.MaxUint64)
	h.sessions = int(r.uvarint(math.MaxInt32))
	h.revision = r.uvarint(math.MaxUint64)
	for range r.uvarint(maxHeard) {
		p := heardOf{}
		copy(p.epoch[:], r.bytes(len(p.epoch)))
		p.challenge, p.echo = r.uint64(), r.uint64()
		p.admitted = r.byte()&flagAdmitted != 0
		h.heard = append(h.heard, p)
	}
	told := uint64(0)
	if len(r.rest) > 0 {
		told = r.uvarint(maxTold)
	}
	for range told {
		one := toldOf{}
		copy(one.id[:], r.bytes(len(one.id)))
		one.name = r.text(maxNameChars)
		one.lost = time.Duration(r.uvarint(math.MaxInt64))
		h.nodes = append(h.nodes, one)
	}
	if r.failed {
		return heartbeat{}, errBody
	}
	return h, nil
}

// spoken reports whether there is a version that both nodes speak.
func (h *heartbeat) spoken() bool { return h.least <= mostVersion && h.most >= leastVersion }

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// reader reads the fields of a body one after the other. After the first that is not
// there or too large it has failed, and all others are zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return make([]byte, min(n, 16))
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.bytes(8)) }

func (r *reader) uvarint(most uint64) uint64 {
	value, n := binary.Uvarint(r.rest)
	if n <= 0 || value > most {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return value
}

func (r *reader) text(most int) string {
	n := r.uvarint(uint64(min(most, len(r.rest))))
	if r.failed {
		return ""
	}
	return string(r.bytes(int(n)))
}
