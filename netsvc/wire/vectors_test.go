package wire_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The byte-exact cases recorded from the real add-in (protocol.md section 6).

func TestClientKeyVectors(t *testing.T) {
	t.Parallel()
	var vectors struct {
		Valid []struct {
			Name, Base64 string
			AESKey       string `json:"aes_key_hex"`
			IV           string `json:"iv_hex"`
		}
		Invalid []struct{ Name, Base64 string }
	}
	readVectors(t, "clientkey.json", &vectors)
	if len(vectors.Valid) == 0 || len(vectors.Invalid) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors.Valid {
		t.Run(v.Name, func(t *testing.T) {
			k := mustKey(t, v.Base64)
			// The key shows itself only by what it does: compare with a cipher made of the vector's parts.
			block, err := aes.NewCipher(mustHex(t, v.AESKey))
			if err != nil {
				t.Fatal(err)
			}
			want := append([]byte("{}"), bytes.Repeat([]byte{14}, 14)...)
			cipher.NewCBCEncrypter(block, mustHex(t, v.IV)).CryptBlocks(want, want)
			if got := k.AppendFrame(nil, []byte("{}"))[8:]; !bytes.Equal(got, want) {
				t.Errorf("ciphertext of {}: %x, want %x", got, want)
			}
		})
	}
	for _, v := range vectors.Invalid {
		t.Run(v.Name, func(t *testing.T) {
			if _, err := wire.ParseClientKey(v.Base64); err == nil {
				t.Error("accepted")
			}
		})
	}
}

type registrationVector struct {
	Name      string
	AppID     string `json:"app_id"`
	IbID      string `json:"ib_id"`
	UserID    string `json:"user_id"`
	UserGroup string `json:"user_group"`
	ClientKey string `json:"client_key"`
	Packet    string `json:"packet_hex"`
}

func (v registrationVector) registration() wire.Registration {
	return wire.Registration{AppID: v.AppID, IbID: v.IbID, UserID: v.UserID, UserGroup: v.UserGroup}
}

type registrationVectors struct {
	KnownApps []registrationVector `json:"known_apps"`
	Valid     []registrationVector
	Invalid   []registrationVector
	Trailing  []registrationVector
}

// split checks the length field of a packet and returns the rest.
func split(packet []byte) ([]byte, error) {
	n, err := wire.PacketLen([2]byte(packet))
	if err != nil {
		return nil, err
	}
	if n != len(packet)-2 {
		return nil, errors.New("the length field does not fit the packet")
	}
	return packet[2:], nil
}

func TestRegistrationVectors(t *testing.T) {
	t.Parallel()
	var vectors registrationVectors
	readVectors(t, "registration.json", &vectors)
	if len(vectors.Valid) == 0 || len(vectors.Trailing) == 0 {
		t.Fatal("no vectors")
	}
	parse := func(t *testing.T, v registrationVector) {
		body, err := split(mustHex(t, v.Packet))
		if err != nil {
			t.Fatal(err)
		}
		p, err := wire.ParseRegistration(body)
		if err != nil {
			t.Fatal(err)
		}
		if p.Registration != v.registration() {
			t.Errorf("got %+v, want %+v", p.Registration, v.registration())
		}
		if !p.Verify(mustKey(t, v.ClientKey)) {
			t.Error("not verified")
		}
	}
	for _, v := range vectors.Valid {
		t.Run(v.Name, func(t *testing.T) {
			parse(t, v)
			if got := mustPacket(t, v.registration(), mustKey(t, v.ClientKey)); hex.EncodeToString(got) != v.Packet {
				t.Errorf("built %x, want %s", got, v.Packet)
			}
		})
	}
	for _, v := range vectors.Trailing {
		t.Run(v.Name, func(t *testing.T) { parse(t, v) })
	}
}

func TestInvalidRegistrationVectors(t *testing.T) {
	t.Parallel()
	var vectors registrationVectors
	readVectors(t, "registration.json", &vectors)

	const unverified wire.Reason = "" // well-formed, and for Verify to refuse
	reasons := map[string]wire.Reason{
		"wrong key":                     unverified,
		"unknown app":                   unverified,
		"no hash":                       wire.ReasonHashLength,
		"hash of 31":                    wire.ReasonHashLength,
		"hash length beyond the packet": wire.ReasonHashLength,
		"three strings":                 wire.ReasonMissingNUL,
		"one string":                    wire.ReasonMissingNUL,
		"empty infobase":                wire.ReasonEmptyIbID,
		"empty app":                     wire.ReasonEmptyAppID,
		"bad UTF-8":                     wire.ReasonInvalidUTF8,
		"empty packet":                  wire.ReasonTooShort,
		"length 1":                      wire.ReasonTooShort,
		"one bit of the hash flipped":   unverified,
		// The flipped bit is one of the last NUL, so that shows before the hash is looked at.
		"one bit of the payload flipped": wire.ReasonMissingNUL,
		"HTTP":                           wire.ReasonTooLarge,
	}
	keys := map[string]*wire.ClientKey{}
	for _, app := range vectors.KnownApps {
		keys[app.AppID] = mustKey(t, app.ClientKey)
	}
	for _, v := range vectors.Invalid {
		t.Run(v.Name, func(t *testing.T) {
			want, known := reasons[v.Name]
			if !known {
				t.Fatalf("a case without an expectation: %+v", v)
			}
			body, err := split(mustHex(t, v.Packet))
			var p wire.Packet
			if err == nil {
				p, err = wire.ParseRegistration(body)
			}
			if want == unverified {
				if err != nil {
					t.Fatal(err)
				}
				if p.Verify(keys[p.AppID]) {
					t.Error("verified")
				}
				return
			}
			if refused, ok := errors.AsType[*wire.PacketError](err); !ok || refused.Reason != want {
				t.Errorf("got %v, want a PacketError for %s", err, want)
			}
		})
	}
	if len(reasons) != len(vectors.Invalid) {
		t.Errorf("%d expectations for %d cases", len(reasons), len(vectors.Invalid))
	}
}

// frameMessages are the messages whose JSON the frame vectors carry.
var frameMessages = map[string]wire.Message{
	"empty object": {},
	"topic only":   {Topic: "Hello"},
	"notification": {Topic: "НоваяЗадача", Notification: wire.Notification{
		Title: "Создана новая задача", Body: "Согласовать договор", Icon: "Информация",
		Action: "e1cib/data/Задача.ЗадачаИсполнителя?ref=8e5d", Important: true,
	}},
	"data": {Data: []wire.Pair{{Key: "ВидСобытия", Value: "НоваяЗадача"}, {Key: "Номер", Value: "00-013390"}}},
	"all parts": {Topic: "t", Notification: wire.Notification{Title: "Заголовок", Body: "Тело сообщения"},
		Data: []wire.Pair{{Key: "param1", Value: "value 1"}, {Key: "param2", Value: "value 2"}}},
	"escapes":               {Notification: wire.Notification{Title: `"quoted" \back\`, Body: "line1\nline2\r\n\ttab"}},
	"emoji":                 {Notification: wire.Notification{Title: "😀 готово", Body: "👩‍👩‍👧 𝄞"}},
	"html characters":       {Notification: wire.Notification{Title: "<b>&</b>", Body: "it's <ok>"}},
	"plaintext of 16 bytes": {Topic: "abcd"},
	"plaintext of 32 bytes": {Topic: "abcdefghijklmnopqrst"},
	"64 KiB":                {Topic: "x", Data: []wire.Pair{{Key: "big", Value: strings.Repeat("Ж", 32700)}}},
}

func TestFrameVectors(t *testing.T) {
	t.Parallel()
	var vectors struct {
		Valid []struct {
			Name           string
			ClientKey      string `json:"client_key"`
			PlaintextBytes int    `json:"plaintext_bytes"`
			Plaintext      string
			PlaintextIs    string `json:"plaintext_is"`
			Frame          string `json:"frame_hex"`
			FrameLength    int    `json:"frame_length"`
			FrameSHA256    string `json:"frame_sha256"`
		}
	}
	readVectors(t, "frames.json", &vectors)
	if len(vectors.Valid) != len(frameMessages) {
		t.Errorf("%d messages for %d cases", len(frameMessages), len(vectors.Valid))
	}
	for _, v := range vectors.Valid {
		t.Run(v.Name, func(t *testing.T) {
			plaintext := v.Plaintext
			if v.PlaintextIs != "" {
				plaintext = expand(t, v.PlaintextIs)
			}
			if len(plaintext) != v.PlaintextBytes {
				t.Fatalf("the vector's plaintext has %d bytes, it says %d", len(plaintext), v.PlaintextBytes)
			}

			m, ok := frameMessages[v.Name]
			if !ok {
				t.Fatal("a case without a message")
			}
			if got := m.AppendJSON(nil); string(got) != plaintext {
				t.Errorf("AppendJSON: %s, want %s", got, plaintext)
			}

			k := mustKey(t, v.ClientKey)
			frame := k.AppendFrame(nil, []byte(plaintext))
			if v.Frame != "" {
				if hex.EncodeToString(frame) != v.Frame {
					t.Errorf("built %x, want %s", frame, v.Frame)
				}
			} else {
				sum := sha256.Sum256(frame)
				if len(frame) != v.FrameLength || hex.EncodeToString(sum[:]) != v.FrameSHA256 {
					t.Errorf("built %d bytes with hash %x, want %d and %s", len(frame), sum, v.FrameLength,
						v.FrameSHA256)
				}
			}
			if n := binary.LittleEndian.Uint32(frame); int(n) != len(frame)-4 {
				t.Errorf("the first length is %d in a frame of %d", n, len(frame))
			}

			whole := bytes.NewReader(frame)
			if got, err := wire.ReadFrame(whole, k, len(frame)); err != nil || string(got) != plaintext {
				t.Errorf("read %s, %v", got, err)
			}
			single := iotest.OneByteReader(bytes.NewReader(frame))
			if got, err := wire.ReadFrame(single, k, len(frame)); err != nil || string(got) != plaintext {
				t.Errorf("read in single bytes: %s, %v", got, err)
			}
		})
	}
}

// expand turns the vectors' «Ж × 3» into ЖЖЖ.
func expand(t *testing.T, s string) string {
	t.Helper()
	times := regexp.MustCompile(`(.) × (\d+)`).FindStringSubmatch(s)
	if times == nil {
		t.Fatalf("nothing to repeat in %q", s)
	}
	n, err := strconv.Atoi(times[2])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(s, times[0], strings.Repeat(times[1], n), 1)
}
