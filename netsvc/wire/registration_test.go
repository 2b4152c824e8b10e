package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestPacketLenRefusesWhatNoRegistrationIsLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header [2]byte
		n      int
		reason wire.Reason
	}{
		{[2]byte{0, 0}, 0, wire.ReasonTooShort},
		{[2]byte{1, 0}, 0, wire.ReasonTooShort},
		{[2]byte{2, 0}, 2, ""},
		{[2]byte{0x9a, 0}, 154, ""},
		{[2]byte{0xfe, 0x0f}, 4094, ""},
		{[2]byte{0xff, 0x0f}, 0, wire.ReasonTooLarge},
		{[2]byte{0xff, 0xff}, 0, wire.ReasonTooLarge},
	} {
		n, err := wire.PacketLen(c.header)
		if c.reason == "" {
			if n != c.n || err != nil {
				t.Errorf("%x: got %d, %v, want %d", c.header, n, err, c.n)
			}
			continue
		}
		if refused, ok := errors.AsType[*wire.PacketError](err); !ok || refused.Reason != c.reason {
			t.Errorf("%x: got %v, want a PacketError for %s", c.header, err, c.reason)
		}
	}
}

func TestParseRegistrationNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	hash := "\x20\x00" + strings.Repeat("h", 32)
	for _, c := range []struct {
		name, body string
		want       wire.Reason // "" is well-formed
	}{
		{"nothing", "", wire.ReasonTooShort},
		{"half a hash length", "\x20", wire.ReasonTooShort},
		{"a hash length alone", "\x20\x00", wire.ReasonTooShort},
		{"half a hash", "\x20\x00" + strings.Repeat("h", 16), wire.ReasonTooShort},
		{"a hash length of 33", "\x21\x00" + strings.Repeat("h", 33) + "a\x00b\x00c\x00d\x00", wire.ReasonHashLength},
		{"a big-endian hash length", "\x00\x20" + strings.Repeat("h", 32) + "a\x00b\x00c\x00d\x00",
			wire.ReasonHashLength},
		{"a hash alone", hash, wire.ReasonMissingNUL},
		{"the last NUL missing", hash + "a\x00b\x00c\x00d", wire.ReasonMissingNUL},
		{"an empty app id", hash + "\x00b\x00c\x00d\x00", wire.ReasonEmptyAppID},
		{"an empty infobase id", hash + "a\x00\x00c\x00d\x00", wire.ReasonEmptyIbID},
		{"nothing but NULs", hash + "\x00\x00\x00\x00", wire.ReasonEmptyAppID},
		{"an app id that is not UTF-8", hash + "\xff\x00b\x00c\x00d\x00", wire.ReasonInvalidUTF8},
		{"an infobase id that is not UTF-8", hash + "a\x00\xd0\x00c\x00d\x00", wire.ReasonInvalidUTF8},
		{"a user id that is not UTF-8", hash + "a\x00b\x00\xc0\x80\x00d\x00", wire.ReasonInvalidUTF8},
		{"a group that is not UTF-8", hash + "a\x00b\x00c\x00\xed\xa0\x80\x00", wire.ReasonInvalidUTF8},
		{"half a character in one string, half in the next", hash + "a\x00b\x00\xd0\x00\x9c\x00",
			wire.ReasonInvalidUTF8},
		{"too large", hash + "a\x00b\x00c\x00d\x00" + strings.Repeat("x", 4094-34-8+1), wire.ReasonTooLarge},
		{"as large as can be", hash + "a\x00b\x00c\x00d\x00" + strings.Repeat("x", 4094-34-8), ""},
		{"no user and no group", hash + "a\x00b\x00\x00\x00", ""},
		{"what follows is not UTF-8", hash + "a\x00b\x00c\x00d\x00\xff\xfe\x00\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := wire.ParseRegistration([]byte(c.body))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused, ok := errors.AsType[*wire.PacketError](err)
			if !ok || refused.Reason != c.want {
				t.Fatalf("got %v, want a PacketError for %s", err, c.want)
			}
			if !strings.Contains(err.Error(), string(c.want)) {
				t.Errorf("the text does not hold the reason: %v", err)
			}
		})
	}
}

func TestVerifyTakesOnlyTheKeyThatSigned(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	body := mustPacket(t, plain, k)[2:]
	p, err := wire.ParseRegistration(body)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Verify(k) {
		t.Error("the key that signed is refused")
	}
	if p.Verify(mustKey(t, otherKeyText)) {
		t.Error("another key is taken")
	}
	if p.Verify(nil) {
		t.Error("no key is taken")
	}
	for i := 2; i < len(body); i++ {
		changed := bytes.Clone(body)
		changed[i] ^= 0x01
		if p, err := wire.ParseRegistration(changed); err == nil && p.Verify(k) {
			t.Errorf("byte %d changed, and still verified", i)
		}
	}
}

// A stranger can sign with the decoy that stands in for the key of an unknown app.
func TestVerifyWithoutAKeyRefusesTheDecoysOwnSignature(t *testing.T) {
	t.Parallel()
	zero := mustKey(t, "IAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	p, err := wire.ParseRegistration(mustPacket(t, plain, zero)[2:])
	if err != nil {
		t.Fatal(err)
	}
	if p.Verify(nil) {
		t.Error("verified")
	}
}

func TestRegistrationStringsOutliveTheBody(t *testing.T) {
	t.Parallel()
	body := mustPacket(t, plain, mustKey(t, keyText))[2:]
	p, err := wire.ParseRegistration(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if p.Registration != plain {
		t.Errorf("got %+v", p.Registration)
	}
}

func TestAppendRegistrationRefusesWhatNoPacketCanSay(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	with := func(change func(*wire.Registration)) wire.Registration {
		r := plain
		change(&r)
		return r
	}
	for _, c := range []struct {
		name string
		r    wire.Registration
		want string
	}{
		{"an empty app id", with(func(r *wire.Registration) { r.AppID = "" }), "app id: is empty"},
		{"an empty infobase id", with(func(r *wire.Registration) { r.IbID = "" }), "infobase id: is empty"},
		{"a NUL", with(func(r *wire.Registration) { r.UserID = "a\x00b" }), "user id: contains a NUL"},
		{"invalid UTF-8", with(func(r *wire.Registration) { r.UserGroup = "\xff" }), "user group: is not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst, err := wire.AppendRegistration([]byte("before"), c.r, k)
			if _, ok := errors.AsType[*wire.FieldError](err); !ok || err.Error() != c.want {
				t.Errorf("got %v, want a FieldError %q", err, c.want)
			}
			if string(dst) != "before" {
				t.Errorf("dst became %q", dst)
			}
		})
	}

	longest := with(func(r *wire.Registration) { r.UserGroup = "" })
	longest.UserGroup = strings.Repeat("g", wire.MaxRegistrationBytes-len(mustPacket(t, longest, k)))
	if packet := mustPacket(t, longest, k); len(packet) != wire.MaxRegistrationBytes {
		t.Errorf("the longest packet has %d bytes", len(packet))
	}
	longest.UserGroup += "g"
	_, err := wire.AppendRegistration(nil, longest, k)
	if refused, ok := errors.AsType[*wire.PacketError](err); !ok || refused.Reason != wire.ReasonTooLarge {
		t.Errorf("a packet one byte longer: %v", err)
	}
}

func TestAppendRegistrationKeepsWhatIsBefore(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	first := mustPacket(t, plain, k)
	both, err := wire.AppendRegistration(bytes.Clone(first), plain, k)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(both, append(bytes.Clone(first), first...)) {
		t.Errorf("got %x", both)
	}
}
