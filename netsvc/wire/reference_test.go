package wire_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Slow and obvious twins of what the package does, for the fuzz targets.

// A jsonObject keeps the order and the repetitions that a map would lose.
type jsonObject []jsonMember

type jsonMember struct {
	name  string
	value any // nil, bool, json.Number, string, []any or jsonObject
}

// referenceRequest is ParseRequest over encoding/json. It reports only whether
// the body is acceptable, and what it says.
func referenceRequest(body []byte) (to wire.Recipient, m wire.Message, ok bool) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(body) || !json.Valid(body) {
		return to, m, false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	tree, isObject := readJSON(dec).(jsonObject)
	if !isObject {
		return to, m, false
	}
	r := requestReference{ok: true}
	var hasRecipient, hasMessage bool
	for _, field := range tree {
		switch fold(field.name) {
		case "recipient":
			var o jsonObject
			o, hasRecipient = r.object(field.value)
			to = r.recipient(o)
		case "message":
			var o jsonObject
			o, hasMessage = r.object(field.value)
			m = r.message(o)
		}
	}
	complete := to.IbID != "" && (to.Type == "all" || to.Type == "user" && to.UserID != "" || to.Type == "group" &&
		to.UserGroup != "")
	if !r.ok || !hasRecipient || !hasMessage || !complete {
		return wire.Recipient{}, wire.Message{}, false
	}
	return to, m, true
}

type requestReference struct{ ok bool }

func (r *requestReference) recipient(o jsonObject) (to wire.Recipient) {
	for _, f := range o {
		switch fold(f.name) {
		case "type":
			to.Type = wire.RecipientType(r.string(f.value))
		case "ibid":
			to.IbID = r.string(f.value)
		case "userid":
			to.UserID = r.string(f.value)
		case "usergroup":
			to.UserGroup = r.string(f.value)
		}
	}
	return to
}

func (r *requestReference) message(o jsonObject) (m wire.Message) {
	for _, f := range o {
		switch fold(f.name) {
		case "topic":
			m.Topic = r.string(f.value)
		case "notification":
			m.Notification = r.notification(f.value)
		case "data":
			m.Data = r.data(f.value)
		}
	}
	return m
}

func (r *requestReference) notification(v any) (n wire.Notification) {
	o, _ := r.object(v)
	for _, f := range o {
		switch fold(f.name) {
		case "title":
			n.Title = r.string(f.value)
		case "body":
			n.Body = r.string(f.value)
		case "icon":
			n.Icon = r.string(f.value)
		case "action":
			n.Action = r.string(f.value)
		case "important":
			switch v := f.value.(type) {
			case bool:
				n.Important = v
			default:
				n.Important = false
				r.ok = r.ok && (v == nil || v == "")
			}
		}
	}
	return n
}

func (r *requestReference) data(v any) (pairs []wire.Pair) {
	if list, isArray := v.([]any); isArray && len(list) == 0 {
		return nil // PHP's empty map
	}
	o, _ := r.object(v)
next:
	for _, f := range o {
		value := r.string(f.value)
		for i := range pairs {
			if pairs[i].Key == f.name {
				pairs[i].Value = value
				continue next
			}
		}
		pairs = append(pairs, wire.Pair{Key: f.name, Value: value})
	}
	return pairs
}

func (r *requestReference) string(v any) string {
	s, isString := v.(string)
	r.ok = r.ok && (isString || v == nil)
	return s
}

func (r *requestReference) object(v any) (o jsonObject, present bool) {
	o, present = v.(jsonObject)
	r.ok = r.ok && (present || v == nil || v == "")
	return o, present
}

func fold(name string) string {
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return "" // ToLower knows letters beyond ASCII that fold into it
		}
	}
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}

// readJSON reads the next value of a text known to be valid.
func readJSON(dec *json.Decoder) any {
	switch token, _ := dec.Token(); token {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			list = append(list, readJSON(dec))
		}
		dec.Token()
		return list
	case json.Delim('{'):
		o := jsonObject{}
		for dec.More() {
			name, _ := dec.Token()
			o = append(o, jsonMember{name.(string), readJSON(dec)})
		}
		dec.Token()
		return o
	default:
		return token
	}
}

// referenceJSON is AppendJSON over jsontext, whose strings are escaped as
// RFC 8785 has it, which is what section 4.2 asks for.
func referenceJSON(m wire.Message) string {
	quote := func(s string) string {
		quoted, _ := jsontext.AppendQuote(nil, s) // the error is about what became U+FFFD
		return string(quoted)
	}
	members := func(pairs ...wire.Pair) string {
		var list []string
		for _, p := range pairs {
			if p.Value != "" {
				list = append(list, quote(p.Key)+":"+p.Value)
			}
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	text := func(s string) string {
		if s == "" {
			return ""
		}
		return quote(s)
	}
	var notification, data string
	if n := m.Notification; n.Title+n.Body != "" {
		important := map[bool]string{false: "false", true: "true"}[n.Important]
		notification = members(wire.Pair{Key: "title", Value: text(n.Title)},
			wire.Pair{Key: "body", Value: text(n.Body)},
			wire.Pair{Key: "icon", Value: text(n.Icon)}, wire.Pair{Key: "action", Value: text(n.Action)},
			wire.Pair{Key: "important", Value: important})
	}
	var pairs []wire.Pair
	for _, p := range m.Data {
		pairs = append(pairs, wire.Pair{Key: p.Key, Value: text(p.Value)})
	}
	if data = members(pairs...); data == "{}" {
		data = ""
	}
	return members(wire.Pair{Key: "topic", Value: text(m.Topic)}, wire.Pair{Key: "notification", Value: notification},
		wire.Pair{Key: "data", Value: data})
}

// referenceRegistration is ParseRegistration over strings.
func referenceRegistration(body []byte) (wire.Registration, wire.Reason) {
	var none wire.Registration
	switch {
	case len(body) > wire.MaxRegistrationBytes-2:
		return none, wire.ReasonTooLarge
	case len(body) < 2:
		return none, wire.ReasonTooShort
	case string(body[:2]) != "\x20\x00":
		return none, wire.ReasonHashLength
	case len(body) < 34:
		return none, wire.ReasonTooShort
	}
	parts := strings.SplitN(string(body[34:]), "\x00", 5)
	switch {
	case len(parts) < 5:
		return none, wire.ReasonMissingNUL
	case !utf8.ValidString(strings.Join(parts[:4], "\x00")):
		return none, wire.ReasonInvalidUTF8
	case parts[0] == "":
		return none, wire.ReasonEmptyAppID
	case parts[1] == "":
		return none, wire.ReasonEmptyIbID
	}
	return wire.Registration{AppID: parts[0], IbID: parts[1], UserID: parts[2], UserGroup: parts[3]}, ""
}
