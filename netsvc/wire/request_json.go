package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// This file reads the values a request is made of: each method takes one value
// from the decoder, treats null and "" as absent, and knows the field's name
// for its error.

// longestName is the length of the longest of our names, "notification".
const longestName = 12

// indexDataFrom is the number of entries in Data from which keys are looked up
// in a map: below it comparing is cheaper, above it a sender could make us
// compare forever.
const indexDataFrom = 16

// object calls member for each member, with what ourName makes of its name;
// member must take the value. It reports false for null and "".
func (p *requestParser) object(field string, member func(name string) error) (bool, error) {
	present, err := p.open(field)
	if !present || err != nil {
		return false, err
	}
	for p.dec.PeekKind() == jsontext.KindString {
		raw, err := p.dec.ReadValue()
		if err != nil {
			return false, p.malformed(err)
		}
		if err := member(ourName(p.unquote(raw))); err != nil {
			return false, err
		}
	}
	return true, p.close()
}

// data reads the entries of Data in order; of equal keys the last value stays,
// in the place of the first.
func (p *requestParser) data() ([]Pair, error) {
	const field = "Message.Data"
	if p.dec.PeekKind() == jsontext.KindBeginArray {
		return nil, p.emptyArray(field)
	}
	present, err := p.open(field)
	if !present || err != nil {
		return nil, err
	}
	var pairs []Pair
	var index map[string]int // made when it begins to pay
	for n := 1; p.dec.PeekKind() == jsontext.KindString; n++ {
		raw, err := p.dec.ReadValue()
		if err != nil {
			return nil, p.malformed(err)
		}
		key := p.keep(raw)
		value, err := p.string(field)
		if err != nil {
			return nil, atEntry(err, field, n)
		}
		pairs, index = setPair(pairs, index, Pair{key, value})
	}
	return pairs, p.close()
}

// emptyArray takes [], which is how PHP writes an empty map.
func (p *requestParser) emptyArray(field string) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return p.malformed(err)
	}
	switch p.dec.PeekKind() {
	case jsontext.KindEndArray, jsontext.KindEndObject, jsontext.KindInvalid: // the end, or a mistake
		return p.close()
	}
	return &FieldError{field, "expected an object, got an array"}
}

// setPair puts pair where its key stands, or at the end.
func setPair(pairs []Pair, index map[string]int, pair Pair) ([]Pair, map[string]int) {
	if index == nil && len(pairs) == indexDataFrom {
		index = make(map[string]int, 4*indexDataFrom)
		for i := range pairs {
			index[pairs[i].Key] = i
		}
	}
	if index != nil {
		if i, ok := index[pair.Key]; ok {
			pairs[i].Value = pair.Value
			return pairs, index
		}
		index[pair.Key] = len(pairs)
		return append(pairs, pair), index
	}
	for i := range pairs {
		if pairs[i].Key == pair.Key {
			pairs[i].Value = pair.Value
			return pairs, nil
		}
	}
	if pairs == nil {
		pairs = make([]Pair, 0, 4)
	}
	return append(pairs, pair), nil
}

// atEntry adds which entry of Data an error is about: the key is the sender's
// own text, so the error counts instead.
func atEntry(err error, field string, n int) error {
	if e, ok := errors.AsType[*FieldError](err); ok && e.Field == field {
		return &FieldError{field, fmt.Sprintf("value %d: %s", n, e.Problem)}
	}
	return err
}

func (p *requestParser) string(field string) (string, error) {
	switch p.dec.PeekKind() {
	case jsontext.KindNull:
		return "", p.skip()
	case jsontext.KindString:
		raw, err := p.dec.ReadValue()
		if err != nil {
			return "", p.malformed(err)
		}
		return p.keep(raw), nil
	default:
		return "", p.mismatch(field, "a string")
	}
}

func (p *requestParser) bool(field string) (bool, error) {
	switch kind := p.dec.PeekKind(); kind {
	case jsontext.KindTrue, jsontext.KindFalse:
		return kind == jsontext.KindTrue, p.skip()
	default:
		return false, p.absent(field, "true or false")
	}
}

// open takes the brace that begins an object, or what stands for its absence.
func (p *requestParser) open(field string) (present bool, err error) {
	if p.dec.PeekKind() != jsontext.KindBeginObject {
		return false, p.absent(field, "an object")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return false, p.malformed(err)
	}
	return true, nil
}

// close takes the brace that ends an object, or the bracket of an array.
func (p *requestParser) close() error {
	_, err := p.dec.ReadToken() // the decoder allows nothing but a name, a value or the end here
	return p.malformed(err)
}

// absent takes null or "" and refuses everything else.
func (p *requestParser) absent(field, expected string) error {
	switch p.dec.PeekKind() {
	case jsontext.KindNull:
		return p.skip()
	case jsontext.KindString:
		raw, err := p.dec.ReadValue()
		if err != nil {
			return p.malformed(err)
		}
		if len(raw) != len(`""`) {
			return &FieldError{field, "expected " + expected + ", got a string"}
		}
		return nil
	default:
		return p.mismatch(field, expected)
	}
}

// mismatch refuses the value at hand.
func (p *requestParser) mismatch(field, expected string) error {
	var got string
	switch p.dec.PeekKind() {
	case jsontext.KindNull:
		got = "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		got = "a boolean"
	case jsontext.KindString:
		got = "a string"
	case jsontext.KindNumber:
		got = "a number"
	case jsontext.KindBeginObject:
		got = "an object"
	case jsontext.KindBeginArray:
		got = "an array"
	default: // no value at all: reading it says why
		if _, err := p.dec.ReadToken(); err != nil {
			return p.malformed(err)
		}
		got = "nothing"
	}
	return &FieldError{field, "expected " + expected + ", got " + got}
}

func (p *requestParser) skip() error { return p.malformed(p.dec.SkipValue()) }

// end refuses anything but white space after the outermost value.
func (p *requestParser) end() error {
	at := p.offset + p.dec.InputOffset()
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return &FieldError{"body", fmt.Sprintf("has something after the JSON, which ends at byte %d", at)}
	}
	return nil
}

// keep copies a string of the body into the parser's text.
func (p *requestParser) keep(raw jsontext.Value) string {
	start := p.text.Len()
	p.text.Write(p.unquote(raw))
	return p.text.String()[start:]
}

// unquote returns what the quoted string says, until the next call on the
// parser. Its only error would be half a surrogate pair: see ParseRequest.
func (p *requestParser) unquote(raw jsontext.Value) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	p.scratch, _ = jsontext.AppendUnquote(p.scratch[:0], []byte(raw))
	return p.scratch
}

// malformed says where the JSON breaks, and never what stands there.
func (p *requestParser) malformed(err error) error {
	const maxDepth = 10_000 // the decoder's own
	at := p.offset + p.dec.InputOffset()
	syntax, _ := errors.AsType[*jsontext.SyntacticError](err)
	if syntax != nil {
		at = p.offset + syntax.ByteOffset
	}
	switch {
	case err == nil:
		return nil
	case p.dec.StackDepth() >= maxDepth:
		return &FieldError{"body", fmt.Sprintf("is nested too deeply at byte %d", at)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &FieldError{"body", "is not JSON: it ends too early"}
	default:
		return &FieldError{"body", fmt.Sprintf("is not JSON: wrong at byte %d", at)}
	}
}

// ourNames are the names a request may use, as ourName folds them.
var ourNames = [...]string{
	"recipient", "type", "ibid", "userid", "usergroup",
	"message", "topic", "notification", "title", "body", "icon", "action", "important", "data",
}

// ourName returns which of our names it is, in lower case and without
// underscores, or "".
func ourName(name []byte) string {
	var buf [longestName]byte
	folded := buf[:0]
	for _, c := range name {
		switch {
		case c == '_':
			continue
		case len(folded) == longestName:
			return ""
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		folded = append(folded, c)
	}
	for _, ours := range ourNames {
		if ours == string(folded) {
			return ours
		}
	}
	return ""
}
