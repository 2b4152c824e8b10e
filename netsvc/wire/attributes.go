package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of section 4.4.
const (
	maxAttributes     = 64 // that are looked at
	maxAttributeName  = 16
	maxAttributeValue = 255
	maxFurtherGroups  = 32
	maxNumberDigits   = 20
)

// SessionIDBytes is the length of Attributes.Session: 16 random bytes in base64url.
const SessionIDBytes = 22

// The names of attributes (section 4.4).
const (
	attributeSession  = "session"
	attributeTurn     = "turn"
	attributeReceived = "received"
	attributeFrom     = "from"
	attributeMode     = "mode"
	attributeGroup    = "group"
	attributeUser     = "user"
	attributeIb       = "ib"
	attributeHost     = "host"
	attributeAgent    = "agent"
)

// Mode says what a packet of a session that wants to be remembered is for (section 4.4).
type Mode string

// The modes of a packet.
const (
	ModeOpen  Mode = ""      // it opens a connection
	ModeAgain Mode = "again" // a further packet on the connection that has the session
	ModeEnd   Mode = "end"   // goodbye
)

// Attributes are what a newer add-in says of itself behind the four strings of a
// registration (section 4.4). Session, Turn, Received, From and Mode are there together
// or not at all. The names are for people: nothing is matched by them, and they may hold
// anything.
type Attributes struct {
	// Session asks the service to remember. It is a secret: whoever has it and the
	// client key can go on in the session's place.
	Session              string
	Turn, Received, From uint64
	Mode                 Mode

	Groups                []string // further groups of the user, all different
	User, Ib, Host, Agent string
}

// Attribute is one of them as it is in a packet.
type Attribute struct{ Name, Value string }

// List returns the attributes in the order in which an add-in writes them. Empty ones are
// left out.
func (a *Attributes) List() []Attribute {
	var list []Attribute
	add := func(name, value string) {
		if value != "" {
			list = append(list, Attribute{name, value})
		}
	}
	if a.Session != "" {
		add(attributeSession, a.Session)
		add(attributeTurn, strconv.FormatUint(a.Turn, 10))
		add(attributeReceived, strconv.FormatUint(a.Received, 10))
		add(attributeFrom, strconv.FormatUint(a.From, 10))
		add(attributeMode, string(a.Mode))
	}
	for _, group := range a.Groups {
		add(attributeGroup, group)
	}
	add(attributeUser, a.User)
	add(attributeIb, a.Ib)
	add(attributeHost, a.Host)
	add(attributeAgent, a.Agent)
	return list
}

// Attributes reads what follows the four strings; nil: nothing that says anything, as
// with the released add-ins, and then nothing is allocated. Nothing there is ever wrong:
// what is no attribute ends the list, what has a bad value is skipped (section 4.4). Like
// Verify, it is called as long as the packet's memory is.
func (p *Packet) Attributes() *Attributes {
	return ParseAttributes(p.trailing)
}

// ParseAttributes reads attributes as they are in a packet; nil: they say nothing.
func ParseAttributes(b []byte) *Attributes {
	if len(b) == 0 {
		return nil
	}
	var said spoken
	for range maxAttributes {
		name, value, rest, ok := cutAttribute(b)
		if !ok {
			break
		}
		said.take(name, value)
		b = rest
	}
	return said.attributes()
}

// AppendAttributes appends attributes as they are in a packet.
func AppendAttributes(dst []byte, attributes []Attribute) []byte {
	for _, a := range attributes {
		dst = append(append(dst, a.Name...), '=')
		dst = append(append(dst, a.Value...), 0)
	}
	return dst
}

// spoken are attributes as they lie in a packet.
type spoken struct {
	session, turn, received, from, mode, user, ib, host, agent []byte
	groups                                                     [maxFurtherGroups][]byte
	groupCount                                                 int
}

// cutAttribute takes the first attribute off b. It reports false if b does not begin with
// one.
func cutAttribute(b []byte) (name, value, rest []byte, ok bool) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return nil, nil, nil, false
	}
	name, value, ok = bytes.Cut(b[:end], []byte{'='})
	return name, value, b[end+1:], ok && isAttributeName(name)
}

func isAttributeName[T string | []byte](name T) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxAttributeName
}

// take notes an attribute, unless its value is wrong or there was a right one before it.
func (said *spoken) take(name, value []byte) {
	if len(value) == 0 || len(value) > maxAttributeValue || !utf8.Valid(value) {
		return
	}
	var place *[]byte
	right := true
	switch string(name) {
	case attributeSession:
		place, right = &said.session, isSessionID(value)
	case attributeTurn:
		n, ok := parseNumber(value)
		place, right = &said.turn, ok && n > 0
	case attributeReceived:
		_, right = parseNumber(value)
		place = &said.received
	case attributeFrom:
		_, right = parseNumber(value)
		place = &said.from
	case attributeMode:
		place, right = &said.mode, string(value) == string(ModeAgain) || string(value) == string(ModeEnd)
	case attributeUser:
		place = &said.user
	case attributeIb:
		place = &said.ib
	case attributeHost:
		place = &said.host
	case attributeAgent:
		place = &said.agent
	case attributeGroup:
		said.addGroup(value)
		return
	default:
		return
	}
	if right && *place == nil {
		*place = value
	}
}

func (said *spoken) addGroup(group []byte) {
	known := said.groups[:said.groupCount]
	if len(known) == maxFurtherGroups || slices.ContainsFunc(known,
		func(g []byte) bool { return bytes.Equal(g, group) }) {
		return
	}
	said.groups[said.groupCount] = group
	said.groupCount++
}

// attributes copies what was said: no more than that is kept of a packet. It is nil if
// nothing was.
func (said *spoken) attributes() *Attributes {
	remembered := said.session != nil && said.turn != nil && said.received != nil && said.from != nil
	if !remembered {
		said.session, said.mode = nil, nil
	}
	groups := said.groups[:said.groupCount]
	size := len(said.session) + len(said.user) + len(said.ib) + len(said.host) + len(said.agent)
	for _, group := range groups {
		size += len(group)
	}
	if size == 0 {
		return nil
	}
	var all strings.Builder // one copy, which the strings share
	all.Grow(size)
	text := func(value []byte) string {
		at := all.Len()
		all.Write(value)
		return all.String()[at:]
	}
	a := &Attributes{
		Session: text(said.session), User: text(said.user), Ib: text(said.ib), Host: text(said.host),
		Agent: text(said.agent),
	}
	if remembered {
		a.Turn, _ = parseNumber(said.turn)
		a.Received, _ = parseNumber(said.received)
		a.From, _ = parseNumber(said.from)
		switch string(said.mode) {
		case string(ModeAgain):
			a.Mode = ModeAgain
		case string(ModeEnd):
			a.Mode = ModeEnd
		}
	}
	if len(groups) > 0 {
		a.Groups = make([]string, len(groups))
		for i, group := range groups {
			a.Groups[i] = text(group)
		}
	}
	return a
}

func isSessionID[T string | []byte](id T) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return len(id) == SessionIDBytes
}

func parseNumber(value []byte) (uint64, bool) {
	if len(value) > maxNumberDigits {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(value), 10, 64)
	return n, err == nil
}

// Check says why a packet cannot have the attribute, in a *FieldError; nil: it can.
func (a Attribute) Check() error {
	switch {
	case !isAttributeName(a.Name):
		return &FieldError{"attribute " + strconv.Quote(a.Name), "is not 1 to 16 characters of [a-z_]"}
	case strings.IndexByte(a.Value, 0) >= 0:
		return &FieldError{"attribute " + a.Name, "contains a NUL"}
	case !utf8.ValidString(a.Value):
		return &FieldError{"attribute " + a.Name, "is not valid UTF-8"}
	case len(a.Value) > maxAttributeValue:
		return &FieldError{"attribute " + a.Name, "is longer than 255 bytes"}
	}
	return nil
}

// NewSessionID draws the secret of a new session (section 4.4).
func NewSessionID() string {
	var random [16]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(random[:])
}
