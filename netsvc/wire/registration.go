package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/app/clientkey"
)

// MaxRegistrationBytes is the size of the largest registration packet, its
// length field included (protocol.md section 4.1).
const MaxRegistrationBytes = 4096

// The fields before the payload of a registration packet (section 4.1).
const (
	packetLengthBytes = 2
	hashLengthBytes   = 2
	hashBytes         = sha256.Size
	maxPacketBody     = MaxRegistrationBytes - packetLengthBytes
)

// Registration is who a session says it is (section 4.1). UserID and UserGroup
// may be empty.
type Registration struct{ AppID, IbID, UserID, UserGroup string }

// Packet is a registration as it arrived. Its strings share one copy; what
// Verify and Attributes need they find in the body the packet was parsed from, so
// they must be called before that memory is used for something else.
type Packet struct {
	Registration
	mac      []byte
	payload  []byte
	trailing []byte // the part of payload behind the four strings
}

// Reasons returns all of them.
func Reasons() []Reason {
	return []Reason{
		ReasonTooLarge, ReasonTooShort, ReasonHashLength, ReasonMissingNUL, ReasonInvalidUTF8, ReasonEmptyAppID,
		ReasonEmptyIbID,
	}
}

// Reason is why a registration packet was refused: a stable word for logs and
// metrics.
type Reason string

// The reasons a packet is refused for before anyone looks at keys (section 4.1).
const (
	ReasonTooLarge    Reason = "packet_too_large"
	ReasonTooShort    Reason = "packet_too_short"
	ReasonHashLength  Reason = "bad_hash_length"
	ReasonMissingNUL  Reason = "missing_nul"
	ReasonInvalidUTF8 Reason = "invalid_utf8"
	ReasonEmptyAppID  Reason = "empty_app_id"
	ReasonEmptyIbID   Reason = "empty_ib_id"
)

// PacketError is a registration packet that breaks section 4.1. Detail shows
// lengths and names of fields, never what the packet says.
type PacketError struct {
	Reason Reason
	Detail string
}

// Error describes the packet for a log.
func (e *PacketError) Error() string {
	return fmt.Sprintf("registration packet: %s: %s", e.Reason, e.Detail)
}

// PacketLen returns the number of bytes that follow the first two of a packet,
// or a *PacketError when no registration is as long or as short as that.
func PacketLen(header [packetLengthBytes]byte) (int, error) {
	n := int(binary.LittleEndian.Uint16(header[:]))
	return n, checkPacketLen(n)
}

func checkPacketLen(n int) error {
	if n > maxPacketBody {
		return refuse(ReasonTooLarge, "%d bytes after the length field, at most %d", n, maxPacketBody)
	}
	if n < hashLengthBytes {
		return refuse(ReasonTooShort, "%d bytes after the length field, the hash length alone takes %d", n,
			hashLengthBytes)
	}
	return nil
}

// ParseRegistration reads what follows the length field of a packet. It
// allocates one copy of the four strings. Errors are *PacketError. Whoever uses
// the registration calls Verify first; see Packet for the memory it shares with
// body.
func ParseRegistration(body []byte) (Packet, error) {
	if err := checkPacketLen(len(body)); err != nil {
		return Packet{}, err
	}
	if n := binary.LittleEndian.Uint16(body); n != hashBytes {
		return Packet{}, refuse(ReasonHashLength, "hash length %d, expected %d", n, hashBytes)
	}
	if len(body) < hashLengthBytes+hashBytes {
		return Packet{}, refuse(ReasonTooShort, "%d bytes after the length field, the hash alone takes %d", len(body),
			hashLengthBytes+hashBytes)
	}
	p := Packet{
		mac:     body[hashLengthBytes : hashLengthBytes+hashBytes],
		payload: body[hashLengthBytes+hashBytes:],
	}

	var ends [4]int // where each of the four strings ends
	end := 0
	for i := range ends {
		n := bytes.IndexByte(p.payload[end:], 0)
		if n < 0 {
			return Packet{}, refuse(ReasonMissingNUL, "%d of %d NULs", i, len(ends))
		}
		ends[i] = end + n
		end += n + 1
	}
	p.trailing = p.payload[end:]
	text := string(p.payload[:end])
	p.Registration = Registration{
		AppID:     text[:ends[0]],
		IbID:      text[ends[0]+1 : ends[1]],
		UserID:    text[ends[1]+1 : ends[2]],
		UserGroup: text[ends[2]+1 : ends[3]],
	}
	for _, f := range p.fields() {
		if !utf8.ValidString(f.value) {
			return Packet{}, refuse(ReasonInvalidUTF8, "in %s", f.name)
		}
	}
	switch {
	case p.AppID == "":
		return Packet{}, refuse(ReasonEmptyAppID, "no app id")
	case p.IbID == "":
		return Packet{}, refuse(ReasonEmptyIbID, "no infobase id")
	}
	return p, nil
}

// Verify reports whether k signed the packet. It takes the same time whatever
// the answer; with a nil key (an unknown app) it does the same work and answers
// false, so that the peer cannot tell the two apart (section 4.1).
func (p Packet) Verify(k *ClientKey) bool {
	var decoy [clientkey.SecretBytes]byte
	secret := &decoy
	if k != nil {
		secret = &k.secret
	}
	var sum [hashBytes]byte
	equal := hmac.Equal(appendMAC(sum[:0], secret, p.payload), p.mac)
	return equal && k != nil
}

// AppendRegistration appends the packet that registers r under k, with attributes
// in their order. What cannot be said in a packet is a *FieldError or, if it is only
// too long, a *PacketError; dst is then returned as it was.
func AppendRegistration(dst []byte, r Registration, k *ClientKey, attributes ...Attribute) ([]byte, error) {
	n := hashLengthBytes + hashBytes
	for _, f := range r.fields() {
		switch {
		case f.required && f.value == "":
			return dst, &FieldError{f.name, "is empty"}
		case strings.IndexByte(f.value, 0) >= 0:
			return dst, &FieldError{f.name, "contains a NUL"}
		case !utf8.ValidString(f.value):
			return dst, &FieldError{f.name, "is not valid UTF-8"}
		}
		n += len(f.value) + 1
	}
	for _, a := range attributes {
		if err := a.Check(); err != nil {
			return dst, err
		}
		n += len(a.Name) + 1 + len(a.Value) + 1
	}
	if err := checkPacketLen(n); err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, packetLengthBytes+n)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
	dst = binary.LittleEndian.AppendUint16(dst, hashBytes)
	hashAt := len(dst)
	dst = dst[:hashAt+hashBytes]
	for _, f := range r.fields() {
		dst = append(append(dst, f.value...), 0)
	}
	dst = AppendAttributes(dst, attributes)
	appendMAC(dst[:hashAt], &k.secret, dst[hashAt+hashBytes:])
	return dst, nil
}

type registrationField struct {
	name, value string
	required    bool
}

// fields lists the strings of a registration in the order of the packet.
func (r *Registration) fields() [4]registrationField {
	return [4]registrationField{
		{"app id", r.AppID, true},
		{"infobase id", r.IbID, true},
		{"user id", r.UserID, false},
		{"user group", r.UserGroup, false},
	}
}

func refuse(reason Reason, format string, args ...any) *PacketError {
	return &PacketError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
