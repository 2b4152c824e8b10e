package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const benchKey = "IAAAABAAAACuIhXtnw4Yb3vmhLdsIEx1HYXDRq/tlUF4cgOdBPQ9mC1jpOaN/UVko/Fi3HMX7/E="

var benchBody = []byte("\uFEFF" + `{"Recipient":{"Type":"user","IbId":"d2273d53-b633-4817-a006-4fa627a5dea9","UserId":"7c9e6679-7425-40de-944b-e07fc1f90ae7","UserGroup":null},` +
	`"Message":{"Topic":"НоваяЗадача","Notification":{"Title":"Создана новая задача","Body":"Согласовать \"договор\"\r\nдо пятницы","Icon":"Информация","Action":"e1cib/data/Задача.ЗадачаИсполнителя?ref=8e5d","Important":true},` +
	`"Data":{"ВидСобытия":"НоваяЗадача","Номер":"00-013390","Пусто":null}}}`)

func BenchmarkRegistration(b *testing.B) {
	k, err := ParseClientKey(benchKey)
	if err != nil {
		b.Fatal(err)
	}
	packet, err := AppendRegistration(nil, Registration{"0f8fad5b-d9cb-469f-a165-70867728950e", "d2273d53-b633-4817-a006-4fa627a5dea9", "7c9e6679-7425-40de-944b-e07fc1f90ae7", ""}, k)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRegistration(packet[2:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse_verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p, _ := ParseRegistration(packet[2:]); !p.Verify(k) {
				b.Fatal("not verified")
			}
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	_, m, err := ParseRequest(benchBody)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		m    *Message
	}{
		{"typical", &m},
		{"64KiB_ascii", &Message{Topic: strings.Repeat("0123456789abcdef", 4096)}},
		{"64KiB_cyrillic", &Message{Topic: strings.Repeat("Ж", 32768)}},
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
	k, err := ParseClientKey(benchKey)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{400, 4096} {
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
			if _, _, err := ParseRequest(benchBody); err != nil {
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
