package wire_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// attributeVectors are packets with attributes, made by another implementation.
type attributeVectors struct {
	AppID     string `json:"app_id"`
	IbID      string `json:"ib_id"`
	UserID    string `json:"user_id"`
	UserGroup string `json:"user_group"`
	ClientKey string `json:"client_key"`
	Cases     []struct {
		Name   string
		Packet string `json:"packet_hex"`
		Read   struct {
			Groups                                                     []string
			Session, Turn, Received, From, Mode, User, Ib, Host, Agent string
		}
	}
}

func (v attributeVectors) registration() wire.Registration {
	return wire.Registration{AppID: v.AppID, IbID: v.IbID, UserID: v.UserID, UserGroup: v.UserGroup}
}

func TestAttributeVectors(t *testing.T) {
	t.Parallel()
	var vectors attributeVectors
	readVectors(t, "attributes.json", &vectors)
	if len(vectors.Cases) == 0 {
		t.Fatal("no vectors")
	}
	k := mustKey(t, vectors.ClientKey)
	for _, v := range vectors.Cases {
		t.Run(v.Name, func(t *testing.T) {
			p := mustParsePacket(t, mustHex(t, v.Packet))
			if p.Registration != vectors.registration() || !p.Verify(k) {
				t.Errorf("got %+v, verified: %v", p.Registration, p.Verify(k))
			}
			var want []wire.Attribute
			add := func(name, value string) {
				if value != "" {
					want = append(want, wire.Attribute{Name: name, Value: value})
				}
			}
			add("session", v.Read.Session)
			add("turn", v.Read.Turn)
			add("received", v.Read.Received)
			add("from", v.Read.From)
			add("mode", v.Read.Mode)
			for _, group := range v.Read.Groups {
				add("group", group)
			}
			add("user", v.Read.User)
			add("ib", v.Read.Ib)
			add("host", v.Read.Host)
			add("agent", v.Read.Agent)
			if got := listOf(p.Attributes()); !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
		})
	}
}

func mustParsePacket(t testing.TB, packet []byte) wire.Packet {
	t.Helper()
	body, err := split(packet)
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.ParseRegistration(body)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func listOf(a *wire.Attributes) []wire.Attribute {
	if a == nil {
		return nil
	}
	return a.List()
}

// What the vectors have no case for.
func TestReadsAttributesAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	const session = "session=AAAAAAAAAAAAAAAAAAAAAA\x00received=3\x00from=2\x00"
	id := strings.Repeat("A", 22)
	for _, c := range []struct {
		name, said string
		want       *wire.Attributes
	}{
		{"an unknown name with _ does not end the list", "new_name=x\x00host=h\x00", &wire.Attributes{Host: "h"}},
		{"a digit in a name ends it", "name2=x\x00host=h\x00", nil},
		{"of a name that comes twice an empty value is none", "user=\x00user=u\x00group=\x00group=g\x00",
			&wire.Attributes{User: "u", Groups: []string{"g"}}},
		{"20 digits are a number", session + "turn=00000000000000000001\x00",
			&wire.Attributes{Session: id, Turn: 1, Received: 3, From: 2}},
		{"21 digits are none", session + "turn=000000000000000000001\x00", nil},
		{"of two modes the first right one holds", session + "turn=1\x00mode=none\x00mode=end\x00",
			&wire.Attributes{Session: id, Turn: 1, Received: 3, From: 2, Mode: wire.ModeEnd}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := wire.ParseAttributes([]byte(c.said)); !reflect.DeepEqual(got, c.want) {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
		})
	}
}

// Whatever an add-in can say of itself is read again as it was said.
func TestAttributesThatWereWrittenAreRead(t *testing.T) {
	t.Parallel()
	groups := make([]string, 32)
	for i := range groups {
		groups[i] = fmt.Sprint("группа ", i)
	}
	for _, want := range []wire.Attributes{
		{Host: "h"},
		{User: "Иванов Иван", Ib: "Торговля", Agent: "pns4ones-addin/2.0.0 linux-x86_64"},
		{Groups: groups},
		{Session: wire.NewSessionID(), Turn: 1},
		{Session: wire.NewSessionID(), Turn: math.MaxUint64, Received: math.MaxUint64, From: 7, Mode: wire.ModeAgain,
			Groups: []string{"g"}},
		{Session: wire.NewSessionID(), Turn: 2, From: 1, Mode: wire.ModeEnd},
	} {
		k := mustKey(t, keyText)
		packet, err := wire.AppendRegistration(nil, plain, k, want.List()...)
		if err != nil {
			t.Fatal(err)
		}
		p := mustParsePacket(t, packet)
		if !p.Verify(k) {
			t.Errorf("%+v: the attributes are not covered by the hash", want)
		}
		got := p.Attributes()
		if got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		clear(packet)
		if !reflect.DeepEqual(*got, want) {
			t.Error("the attributes share memory with the packet")
		}
	}
}

func TestASessionIDIsDrawn(t *testing.T) {
	t.Parallel()
	one, other := wire.NewSessionID(), wire.NewSessionID()
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(one) || one == other {
		t.Errorf("drawn: %q and %q", one, other)
	}
}

func TestAppendRegistrationRefusesWhatIsNoAttribute(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	for _, c := range []struct {
		attribute wire.Attribute
		want      string
	}{
		{wire.Attribute{Value: "v"}, `attribute "": is not 1 to 16 characters of [a-z_]`},
		{wire.Attribute{Name: "Host", Value: "v"}, `attribute "Host": is not 1 to 16 characters of [a-z_]`},
		{wire.Attribute{Name: "abcdefghijklmnopq", Value: "v"},
			`attribute "abcdefghijklmnopq": is not 1 to 16 characters of [a-z_]`},
		{wire.Attribute{Name: "host", Value: "a\x00b"}, "attribute host: contains a NUL"},
		{wire.Attribute{Name: "host", Value: "\xff"}, "attribute host: is not valid UTF-8"},
		{wire.Attribute{Name: "host", Value: strings.Repeat("x", 256)}, "attribute host: is longer than 255 bytes"},
	} {
		dst, err := wire.AppendRegistration([]byte("before"), plain, k, c.attribute)
		if _, ok := errors.AsType[*wire.FieldError](err); !ok || err.Error() != c.want || string(dst) != "before" {
			t.Errorf("%+v: got %q, %v, want %q", c.attribute, dst, err, c.want)
		}
	}
	many := slices.Repeat([]wire.Attribute{{Name: "n", Value: strings.Repeat("x", 255)}}, 16)
	_, err := wire.AppendRegistration(nil, plain, k, many...)
	if refused, ok := errors.AsType[*wire.PacketError](err); !ok || refused.Reason != wire.ReasonTooLarge {
		t.Errorf("more than a packet holds: %v", err)
	}
}

// The sessions that there are today must not pay for attributes.
func TestAPacketWithoutAttributesAllocatesNothingForThem(t *testing.T) {
	k := mustKey(t, keyText)
	for name, trailing := range map[string]string{"none": "", "noise": "\x00\x01\x02",
		"only unknown ones": "color=red\x00"} {
		p := mustParsePacket(t, append(registrationWith(t, trailing, k), trailing...))
		if allocations := testing.AllocsPerRun(100, func() {
			if p.Attributes() != nil {
				t.Error("attributes were read")
			}
		}); allocations != 0 {
			t.Errorf("%s: %.0f allocations", name, allocations)
		}
	}
}

// registrationWith is a packet whose length field has room for more bytes. Its hash is
// the one without them.
func registrationWith(t testing.TB, trailing string, k *wire.ClientKey) []byte {
	packet := mustPacket(t, plain, k)
	n := len(packet) - 2 + len(trailing)
	packet[0], packet[1] = byte(n), byte(n>>8)
	return packet
}

// Nothing that follows the four strings has a packet refused, and it is read as the slow
// reference reads it.
func FuzzAttributes(f *testing.F) {
	var vectors attributeVectors
	readVectors(f, "attributes.json", &vectors)
	for _, v := range vectors.Cases {
		packet := mustHex(f, v.Packet)
		f.Add(packet[len(mustPacket(f, vectors.registration(), mustKey(f, vectors.ClientKey))):])
	}
	k := mustKey(f, keyText)
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, trailing []byte) {
		if len(trailing) > 3800 {
			return // no packet holds it
		}
		packet := append(registrationWith(t, string(trailing), k), trailing...)
		p := mustParsePacket(t, packet)
		var got *wire.Attributes
		if n := allocated(func() { got = p.Attributes() }); n > slack {
			t.Fatalf("%d bytes allocated for %d", n, len(trailing))
		}
		want := referenceAttributes(string(trailing))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if got == nil {
			return
		}
		again, err := wire.AppendRegistration(nil, plain, k, got.List()...)
		if err != nil {
			t.Fatal(err)
		}
		p = mustParsePacket(t, again)
		if !p.Verify(k) || !reflect.DeepEqual(p.Attributes(), want) {
			t.Fatalf("written and read again: %+v, want %+v", p.Attributes(), want)
		}
	})
}

var (
	attributePattern = regexp.MustCompile(`^([a-z_]{1,16})=([^\x00]*)\x00`)
	numberPattern    = regexp.MustCompile(`^[0-9]{1,20}$`)
	sessionPattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)
)

// referenceAttributes is Attributes by regular expressions.
func referenceAttributes(b string) *wire.Attributes {
	first := make(map[string]string)
	var groups []string
	for range 64 {
		m := attributePattern.FindStringSubmatch(b)
		if m == nil {
			break
		}
		b = b[len(m[0]):]
		name, value := m[1], m[2]
		number, isNumber := referenceNumber(value)
		right := value != "" && len(value) <= 255 && utf8.ValidString(value)
		switch name {
		case "session":
			right = right && sessionPattern.MatchString(value)
		case "turn":
			right = right && isNumber && number > 0
		case "received", "from":
			right = right && isNumber
		case "mode":
			right = right && (value == "again" || value == "end")
		case "group":
			if right && len(groups) < 32 && !slices.Contains(groups, value) {
				groups = append(groups, value)
			}
			continue
		}
		if _, known := first[name]; right && !known {
			first[name] = value
		}
	}
	a := &wire.Attributes{Groups: groups, User: first["user"], Ib: first["ib"], Host: first["host"],
		Agent: first["agent"]}
	if first["session"] != "" && first["turn"] != "" && first["received"] != "" && first["from"] != "" {
		a.Session, a.Mode = first["session"], wire.Mode(first["mode"])
		a.Turn, _ = referenceNumber(first["turn"])
		a.Received, _ = referenceNumber(first["received"])
		a.From, _ = referenceNumber(first["from"])
	}
	if reflect.DeepEqual(a, new(wire.Attributes)) {
		return nil
	}
	return a
}

func referenceNumber(text string) (n uint64, ok bool) {
	if !numberPattern.MatchString(text) {
		return 0, false
	}
	for _, digit := range text {
		before := n
		n = n*10 + uint64(digit-'0')
		if before > math.MaxUint64/10 || n < before*10 {
			return 0, false
		}
	}
	return n, true
}

func BenchmarkAttributes(b *testing.B) {
	k := mustKey(b, keyText)
	a := wire.Attributes{
		Session: wire.NewSessionID(), Turn: 3, Received: 41, From: 2, Groups: []string{"Продажи", "Склад №2"},
		User: "Иванов Иван Иванович", Ib: "Торговля", Host: "ws-17", Agent: "pns4ones-addin/2.0.0 windows-x86_64",
	}
	for _, c := range []struct {
		name       string
		attributes []wire.Attribute
	}{{"none", nil}, {"all", a.List()}} {
		packet, err := wire.AppendRegistration(nil, plain, k, c.attributes...)
		if err != nil {
			b.Fatal(err)
		}
		p := mustParsePacket(b, packet)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if (p.Attributes() == nil) != (c.attributes == nil) {
					b.Fatal("read otherwise")
				}
			}
		})
	}
}
