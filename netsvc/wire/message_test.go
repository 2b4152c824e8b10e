package wire_test

import (
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestAppendJSONLeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		m    wire.Message
		want string
	}{
		{"nothing", wire.Message{}, `{}`},
		{"a topic", wire.Message{Topic: "t"}, `{"topic":"t"}`},
		{"a title", wire.Message{Notification: wire.Notification{Title: "t"}},
			`{"notification":{"title":"t","important":false}}`},
		{"a body", wire.Message{Notification: wire.Notification{Body: "b"}},
			`{"notification":{"body":"b","important":false}}`},
		{"an important body", wire.Message{Notification: wire.Notification{Body: "b", Important: true}},
			`{"notification":{"body":"b","important":true}}`},
		{"neither title nor body", wire.Message{Notification: wire.Notification{Icon: "i", Action: "a",
			Important: true}},
			`{}`},
		{"every field", wire.Message{
			Topic:        "t",
			Notification: wire.Notification{Title: "1", Body: "2", Icon: "3", Action: "4", Important: true},
			Data:         []wire.Pair{{Key: "k", Value: "v"}},
		},
			`{"topic":"t","notification":{"title":"1","body":"2","icon":"3","action":"4","important":true},"data":{"k":"v"}}`},
		{"data in the sender's order",
			wire.Message{Data: []wire.Pair{{Key: "я", Value: "1"}, {Key: "b", Value: "2"}, {Key: "a", Value: "3"}}},
			`{"data":{"я":"1","b":"2","a":"3"}}`},
		{"data without its empty values",
			wire.Message{Data: []wire.Pair{{Key: "a"}, {Key: "b", Value: "2"}, {Key: "c"}, {Key: "d", Value: "4"},
				{Key: "e"}}},
			`{"data":{"b":"2","d":"4"}}`},
		{"data with empty values only", wire.Message{Topic: "t", Data: []wire.Pair{{Key: "a"}, {Key: "b"}}},
			`{"topic":"t"}`},
		{"an empty key", wire.Message{Data: []wire.Pair{{Key: "", Value: "v"}}}, `{"data":{"":"v"}}`},
		{"a notification and data", wire.Message{Notification: wire.Notification{Title: "t"},
			Data: []wire.Pair{{Key: "k", Value: "v"}}},
			`{"notification":{"title":"t","important":false},"data":{"k":"v"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(c.m.AppendJSON([]byte("before"))); got != "before"+c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAppendJSONEscapesWhatJSONDemandsAndNoMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, s, want string }{
		{"quotes and backslashes", `"\/`, `\"\\/`},
		{"controls with a short form", "\b\f\n\r\t", `\b\f\n\r\t`},
		{"other controls", "\x00\x01\x0b\x0e\x1f", `\u0000\u0001\u000b\u000e\u001f`},
		{"DEL", "\x7f", "\x7f"},
		{"HTML", "<a href='x'>&</a>", "<a href='x'>&</a>"},
		{"line separators", "\u2028\u2029\u0085", "\u2028\u2029\u0085"},
		{"beyond the BMP", "😀𝄞", "😀𝄞"},
		{"a replacement character of the sender's own", "\uFFFD", "\uFFFD"},
		{"a byte order mark", "\uFEFF", "\uFEFF"},
		{"invalid UTF-8", "a\xffb\xd0", "a\uFFFDb\uFFFD"},
		{"an encoded surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"an overlong NUL", "\xc0\x80", "\uFFFD\uFFFD"},
		{"escapes between runs", "Ж\nЖ\"\xffЖ", `Ж\nЖ\"` + "\uFFFDЖ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := wire.Message{Topic: c.s, Data: []wire.Pair{{Key: c.s, Value: c.s}}}
			want := `{"topic":"` + c.want + `","data":{"` + c.want + `":"` + c.want + `"}}`
			if got := string(m.AppendJSON(nil)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestAppendJSONDoesNotAllocateWithRoom(t *testing.T) {
	m := wire.Message{
		Topic:        strings.Repeat("Ж\n", 100),
		Notification: wire.Notification{Title: "t", Body: "b"},
		Data:         []wire.Pair{{Key: "k", Value: "v"}},
	}
	buf := m.AppendJSON(nil)
	if n := testing.AllocsPerRun(10, func() { buf = m.AppendJSON(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
