package wire

import "unicode/utf8"

// Message is what a session gets (protocol.md section 4.2). An empty string and
// a nil Data are the same as absent.
type Message struct {
	Topic        string
	Notification Notification
	Data         []Pair // in the sender's order
}

// Notification is the part of a message that is shown to the user. It counts
// as absent when neither Title nor Body says anything.
type Notification struct {
	Title, Body, Icon, Action string
	Important                 bool
}

// Pair is one entry of a message's data. An empty value is left out on the wire.
type Pair struct{ Key, Value string }

// AppendJSON appends the message as the plaintext of a frame, exactly as
// section 4.2 lays it down. Bytes that are not UTF-8 become U+FFFD.
func (m *Message) AppendJSON(dst []byte) []byte {
	w := objectWriter{buf: append(dst, '{')}
	w.text("topic", m.Topic)
	if n := &m.Notification; n.Title != "" || n.Body != "" {
		w.name("notification")
		inner := objectWriter{buf: append(w.buf, '{')}
		inner.text("title", n.Title)
		inner.text("body", n.Body)
		inner.text("icon", n.Icon)
		inner.text("action", n.Action)
		inner.name("important")
		if n.Important {
			inner.buf = append(inner.buf, "true}"...)
		} else {
			inner.buf = append(inner.buf, "false}"...)
		}
		w.buf = inner.buf
	}
	data := objectWriter{}
	for i := range m.Data {
		p := &m.Data[i]
		if p.Value == "" {
			continue
		}
		if !data.more {
			w.name("data")
			data.buf = append(w.buf, '{')
		}
		data.text(p.Key, p.Value)
	}
	if data.more {
		w.buf = append(data.buf, '}')
	}
	return append(w.buf, '}')
}

// objectWriter appends the members of one JSON object.
type objectWriter struct {
	buf  []byte
	more bool // a member precedes the next one
}

// text appends a member unless its value is empty.
func (w *objectWriter) text(name, value string) {
	if value == "" {
		return
	}
	w.name(name)
	w.buf = appendString(w.buf, value)
}

func (w *objectWriter) name(name string) {
	if w.more {
		w.buf = append(w.buf, ',')
	}
	w.more = true
	w.buf = append(appendString(w.buf, name), ':')
}

// appendString appends s as a JSON string, escaped as JSON demands and no
// further (section 4.2).
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // each wrong byte becomes U+FFFD
	}
	dst = append(dst, '"')
	done := 0 // how much of s was appended
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
		done = i + 1
	}
	return append(append(dst, s[done:]...), '"')
}
