package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/netsvc/wire"
	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// slack is what a call may allocate whatever it is given: buffers of a fixed
// size, errors, and the noise of the fuzzing process.
const slack = 64 << 10

// A key is accepted exactly when it is the base64 of the two lengths and 48 bytes,
// and an error never shows it.
func FuzzParseClientKey(f *testing.F) {
	var vectors struct{ Valid, Invalid []struct{ Base64 string } }
	readVectors(f, "clientkey.json", &vectors)
	for _, v := range append(vectors.Valid, vectors.Invalid...) {
		f.Add(v.Base64)
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := base64.StdEncoding.DecodeString(text)
		want := err == nil && len(raw) == 56 && strings.HasPrefix(string(raw), "\x20\x00\x00\x00\x10\x00\x00\x00") &&
			base64.StdEncoding.EncodeToString(raw) == text
		k, err := wire.ParseClientKey(text)
		if (err == nil) != want {
			t.Fatalf("%q: %v, want accepted: %v", text, err, want)
		}
		if err != nil {
			if len(text) >= 16 && strings.Contains(err.Error(), text) {
				t.Fatalf("the error shows the text: %v", err)
			}
			return
		}
		again := mustKey(t, text)
		if !k.Equal(again) || !bytes.Equal(k.AppendFrame(nil, []byte("{}")), again.AppendFrame(nil, []byte("{}"))) {
			t.Fatal("the same text made two different keys")
		}
	})
}

// A body is accepted exactly when the slow reference accepts it, with the same
// strings, and building them again gives the payload they came from.
func FuzzParseRegistration(f *testing.F) {
	var vectors registrationVectors
	readVectors(f, "registration.json", &vectors)
	for _, v := range append(append(vectors.Valid, vectors.Invalid...), vectors.Trailing...) {
		f.Add(mustHex(f, v.Packet)[2:])
	}
	k := mustKey(f, keyText)
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		var p wire.Packet
		var err error
		if n := allocated(func() { p, err = wire.ParseRegistration(body) }); n > slack {
			t.Fatalf("%d bytes allocated for %d", n, len(body))
		}
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		want, reason := referenceRegistration(body)
		if reason != "" {
			if refused, ok := errors.AsType[*wire.PacketError](err); !ok || refused.Reason != reason {
				t.Fatalf("got %v, want %s", err, reason)
			}
			return
		}
		if err != nil || p.Registration != want {
			t.Fatalf("got %+v, %v, want %+v", p.Registration, err, want)
		}
		built := mustPacket(t, p.Registration, k)
		if payload := built[36:]; !bytes.HasPrefix(body[34:], payload) {
			t.Fatalf("built again: %q, it was %q", payload, body[34:])
		}
		if p.Verify(nil) {
			t.Fatal("verified without a key")
		}
		// Only the built hash verifies, and only over the same payload.
		sameHash := bytes.Equal(built[4:36], body[2:34]) && len(built)-2 == len(body)
		if len(built)-2 == len(body) && p.Verify(k) != sameHash {
			t.Fatalf("Verify: %v, the hash is the right one: %v", p.Verify(k), sameHash)
		}
	})
}

// What can be said in a packet comes back from it, and verifies under its own
// key only.
func FuzzRegistrationRoundTrip(f *testing.F) {
	var vectors registrationVectors
	readVectors(f, "registration.json", &vectors)
	for _, v := range vectors.Valid {
		f.Add(v.AppID, v.IbID, v.UserID, v.UserGroup, uint16(0))
	}
	f.Add("a", "b\x00c", "\xff", strings.Repeat("g", 4100), uint16(700))
	k, other := mustKey(f, keyText), mustKey(f, otherKeyText)
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, app, ib, user, group string, flip uint16) {
		r := wire.Registration{AppID: app, IbID: ib, UserID: user, UserGroup: group}
		packet, err := wire.AppendRegistration(nil, r, k)
		all := app + ib + user + group
		want := app != "" && ib != "" && !strings.Contains(all, "\x00") &&
			2+2+32+len(all)+4 <= wire.MaxRegistrationBytes &&
			utf8.ValidString(app) && utf8.ValidString(ib) && utf8.ValidString(user) && utf8.ValidString(group)
		if (err == nil) != want {
			t.Fatalf("%+v: %v, want accepted: %v", r, err, want)
		}
		if err != nil {
			return
		}
		body, err := split(packet)
		if err != nil {
			t.Fatal(err)
		}
		p, err := wire.ParseRegistration(body)
		if err != nil || p.Registration != r {
			t.Fatalf("got %+v, %v, want %+v", p.Registration, err, r)
		}
		if !p.Verify(k) || p.Verify(other) {
			t.Fatalf("verifies under its key: %v, under another: %v", p.Verify(k), p.Verify(other))
		}
		body[2+int(flip/8)%(len(body)-2)] ^= 1 << (flip % 8)
		if p, err := wire.ParseRegistration(body); err == nil && p.Verify(k) {
			t.Fatalf("bit %d flipped, and still verified", flip)
		}
	})
}

// Verdict and values are those of the slow reference; what is accepted makes a
// plaintext not much longer than the body.
func FuzzParseRequest(f *testing.F) {
	for _, body := range [][]byte{
		benchBody,
		[]byte(`{"Recipient":{"Type":"group","IbId":"1","UserGroup":"g"},"Message":{"Topic":null,"Notification":"","Data":{"a":"1","a":null,"":"\ud83d\ude00\ud83d"}}}`),
		[]byte(`{"recipient":{"type":"all","ib_id":"1"},"MESSAGE":{"topic":"t","x":[[{"y":-1.5e+3}]]},"Message":{}}`),
		[]byte(`{"Recipient":{"Type":"user","IbId":"1","UserId":2},"Message":{}}`),
		[]byte(`{"Message":{"Notification":{"Important":true,"important":"","Title":"\"\\\/\b\f\n\r\t\u0000"}},"Recipient":{"Type":"all","IbId":"1"}}x`),
	} {
		f.Add(body)
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		var to wire.Recipient
		var m wire.Message
		var err error
		if n := allocated(func() { to, m, err = wire.ParseRequest(body) }); n > slack+64*uint64(len(body)) {
			t.Fatalf("%d bytes allocated for %d", n, len(body))
		}
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		wantTo, wantMessage, ok := referenceRequest(body)
		if !ok {
			if _, typed := errors.AsType[*wire.FieldError](err); !typed {
				t.Fatalf("got %v, want a FieldError", err)
			}
			return
		}
		if err != nil || to != wantTo || !reflect.DeepEqual(m, wantMessage) {
			t.Fatalf("got %+v, %+v, %v\nwant %+v, %+v", to, m, err, wantTo, wantMessage)
		}
		const ours = len(`"important":false,`) // all that may be added to what the sender wrote
		if plaintext := m.AppendJSON(nil); len(plaintext) > len(body)+ours {
			t.Fatalf("a plaintext of %d from a body of %d", len(plaintext), len(body))
		}
	})
}

// The bytes are those of the slow reference, and encoding/json reads the same
// values from them.
func FuzzAppendJSON(f *testing.F) {
	f.Add("t", "title", "body", "icon", "action", true, "k1", "v1", "k2", "v2")
	f.Add("\"\\/\b\f\n\r\t\x00\x1f\x7f", "<&>", "\u2028\u2029\uFEFF", "😀", "\xff\xed\xa0\x80", false, "", "v", "k", "")
	f.Add("", "", "", "i", "a", true, "a", "", "a", "")
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, topic, title, body, icon, action string, important bool, k1, v1, k2, v2 string) {
		m := wire.Message{
			Topic:        topic,
			Notification: wire.Notification{Title: title, Body: body, Icon: icon, Action: action, Important: important},
			Data:         []wire.Pair{{Key: k1, Value: v1}, {Key: k2, Value: v2}},
		}
		got := string(m.AppendJSON(nil))
		if want := referenceJSON(m); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		var read struct {
			Topic        string
			Notification struct {
				Title, Body, Icon, Action string
				Important                 bool
			}
			Data map[string]string
		}
		if err := json.Unmarshal([]byte(got), &read); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		valid := func(s string) string { return string([]rune(s)) } // each wrong byte becomes U+FFFD
		if read.Topic != valid(topic) {
			t.Fatalf("topic %q became %q", topic, read.Topic)
		}
		if n := read.Notification; title+body != "" && (n.Title != valid(title) || n.Body != valid(body) ||
			n.Icon != valid(icon) || n.Action != valid(action) || n.Important != important) {
			t.Fatalf("notification %+v became %+v", m.Notification, n)
		}
		want := map[string]string{}
		for _, p := range m.Data {
			if p.Value != "" {
				want[valid(p.Key)] = valid(p.Value)
			}
		}
		if len(want) != 0 && !reflect.DeepEqual(read.Data, want) {
			t.Fatalf("data %q became %q", m.Data, read.Data)
		}
	})
}

// A plaintext that begins with a brace comes back, read in single bytes; others
// are refused.
func FuzzFrameRoundTrip(f *testing.F) {
	f.Add([]byte(`{}`), []byte("before"))
	f.Add([]byte(`{"topic":"abcd"}`), []byte{})
	f.Add([]byte(``), []byte{})
	k := mustKey(f, keyText)
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, plaintext, before []byte) {
		frame, ok := bytes.CutPrefix(k.AppendFrame(bytes.Clone(before), plaintext), before)
		if !ok {
			t.Fatal("what was before changed")
		}
		got, err := wire.ReadFrame(iotest.OneByteReader(bytes.NewReader(frame)), k, len(frame))
		if bytes.HasPrefix(plaintext, []byte("{")) {
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Fatalf("got %q, %v, want %q", got, err, plaintext)
			}
		} else if !errors.Is(err, wire.ErrBadFrame) {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

// Whatever arrives, no more is allocated than it warrants; what is accepted is
// the one frame of its plaintext.
func FuzzReadFrame(f *testing.F) {
	k := mustKey(f, keyText)
	f.Add(k.AppendFrame(nil, []byte(`{"topic":"Hello"}`)))
	f.Add(head(4+1<<29, 1<<29-1))
	f.Add(head(1<<32-1, 1<<32-1))
	f.Add(head(0, 0))
	f.Add(append(head(4+16, 15), make([]byte, 16)...))
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := bytes.NewReader(stream)
		var plaintext []byte
		var err error
		if n := allocated(func() { plaintext, err = wire.ReadFrame(in, k, anySize) }); n > slack+6*uint64(len(stream)) {
			t.Fatalf("%d bytes allocated for %d", n, len(stream))
		}
		if err != nil {
			if !errors.Is(err, wire.ErrBadFrame) && !errors.Is(err, io.ErrUnexpectedEOF) &&
				(err != io.EOF || len(stream) != 0) {
				t.Fatalf("an error of an unknown kind: %v", err)
			}
			return
		}
		if read := stream[:len(stream)-in.Len()]; !bytes.Equal(k.AppendFrame(nil, plaintext), read) {
			t.Fatalf("%q is not what %x says", plaintext, read)
		}
	})
}
