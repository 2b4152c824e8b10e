package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

var benchBody = []byte("\uFEFF" +
	`{"Recipient":{"Type":"user","IbId":"d2273d53-b633-4817-a006-4fa627a5dea9","UserId":"7c9e6679-7425-40de-944b-e07fc1f90ae7","UserGroup":null},` +
	`"Message":{"Topic":"НоваяЗадача","Notification":{"Title":"Создана новая задача","Body":"Согласовать \"договор\"\r\nдо пятницы","Icon":"Информация","Action":"e1cib/data/Задача.ЗадачаИсполнителя?ref=8e5d","Important":true},` +
	`"Data":{"ВидСобытия":"НоваяЗадача","Номер":"00-013390","Пусто":null}}}`)

func BenchmarkRegistration(b *testing.B) {
	k := mustKey(b, keyText)
	r := plain
	r.UserGroup = "" // as the released add-in sends it
	packet := mustPacket(b, r, k)
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.AppendRegistration(nil, r, k); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.ParseRegistration(packet[2:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse_verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p, _ := wire.ParseRegistration(packet[2:]); !p.Verify(k) {
				b.Fatal("not verified")
			}
		}
	})
}

// BenchmarkVerify shows that a peer cannot tell an unknown app from a wrong key
// by the time it takes.
func BenchmarkVerify(b *testing.B) {
	k := mustKey(b, keyText)
	p, err := wire.ParseRegistration(mustPacket(b, plain, k)[2:])
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		k    *wire.ClientKey
	}{{"right_key", k}, {"wrong_key", mustKey(b, otherKeyText)}, {"unknown_app", nil}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Verify(c.k) != (c.k == k) {
					b.Fatal("the wrong answer")
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	_, m, err := wire.ParseRequest(benchBody)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		m    *wire.Message
	}{
		{"typical", &m},
		{"64KiB_ascii", &wire.Message{Topic: strings.Repeat("0123456789abcdef", 4096)}},
		{"64KiB_cyrillic", &wire.Message{Topic: strings.Repeat("Ж", 32768)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			buf := c.m.AppendJSON(nil)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = c.m.AppendJSON(buf[:0])
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	k := mustKey(b, keyText)
	for _, size := range []int{400, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			plaintext := []byte(strings.Repeat("x", size))
			buf := k.AppendFrame(nil, plaintext)
			b.SetBytes(int64(len(plaintext)))
			b.ReportAllocs()
			for b.Loop() {
				buf = k.AppendFrame(buf[:0], plaintext)
			}
		})
	}
}

// BenchmarkParseRequest compares with what a handler would cost that only has
// encoding/json fill a struct.
func BenchmarkParseRequest(b *testing.B) {
	b.Run("wire", func(b *testing.B) {
		b.SetBytes(int64(len(benchBody)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := wire.ParseRequest(benchBody); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		body := benchBody[len("\uFEFF"):]
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var request struct {
				Recipient struct{ Type, IbId, UserId, UserGroup string }
				Message   struct {
					Topic        string
					Notification struct {
						Title, Body, Icon, Action string
						Important                 bool
					}
					Data map[string]string
				}
			}
			if err := json.Unmarshal(body, &request); err != nil {
				b.Fatal(err)
			}
		}
	})
}
