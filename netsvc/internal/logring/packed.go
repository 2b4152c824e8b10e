package logring

import (
	"encoding/binary"
	"iter"
	"log/slog"
	"math"
	"sync"
	"time"
)

// packed are the attributes of a record as they are kept. A record of a session has up to a dozen, and
// there are ten thousand records: as a slice of slog.Attr they would take twice as much.
type packed struct {
	keys   *keySet
	values string // of each key in turn: what appendValue makes of it
}

// keySet are the keys of a record in their order.
type keySet struct{ keys []string }

// keySets has each keySet once: as many as there are kinds of records in the program.
type keySets struct {
	mu   sync.Mutex
	sets map[string]*keySet // by packer.keys
}

// packed are the attributes that a packer has.
func (all *keySets) packed(p *packer) packed {
	all.mu.Lock()
	defer all.mu.Unlock()
	set := all.sets[string(p.keys)]
	if set == nil {
		set = new(keySet)
		for rest := unpacker(p.keys); len(rest) > 0; {
			set.keys = append(set.keys, rest.text())
		}
		all.sets[string(p.keys)] = set
	}
	return packed{set, string(p.values)}
}

// packer packs the attributes of a record. The zero value has none.
type packer struct{ keys, values []byte }

// add adds an attribute in the form it is kept in: values that may change or hold on to much become
// text, groups become several attributes.
func (p *packer) add(group string, a slog.Attr) {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range value.Group() {
			p.add(group, inner)
		}
		return
	case slog.KindAny:
		value = slog.StringValue(value.String())
	}
	p.keys = append(binary.AppendUvarint(p.keys, uint64(len(group)+len(a.Key))), group...)
	p.keys = append(p.keys, a.Key...)
	p.values = appendValue(p.values, value)
}

// set has a packer hold the attributes of another one.
func (p *packer) set(others *packer) {
	p.keys = append(p.keys[:0], others.keys...)
	p.values = append(p.values[:0], others.values...)
}

// packers are those of records that are being kept.
var packers = sync.Pool{New: func() any { return new(packer) }}

// appendValue appends a value, of any kind but those that add resolves, with its kind before it.
func appendValue(dst []byte, value slog.Value) []byte {
	dst = append(dst, byte(value.Kind()))
	switch value.Kind() {
	case slog.KindBool:
		if value.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case slog.KindInt64:
		return binary.AppendVarint(dst, value.Int64())
	case slog.KindDuration:
		return binary.AppendVarint(dst, int64(value.Duration()))
	case slog.KindUint64:
		return binary.AppendUvarint(dst, value.Uint64())
	case slog.KindFloat64:
		return binary.AppendUvarint(dst, math.Float64bits(value.Float64()))
	case slog.KindTime:
		return appendText(dst, value.Time().Format(time.RFC3339Nano))
	default:
		return appendText(dst, value.String())
	}
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// all are the attributes. Their texts share the memory of what is kept.
func (p packed) all() iter.Seq[slog.Attr] {
	return func(yield func(slog.Attr) bool) {
		rest := unpacker(p.values)
		for _, key := range p.keys.keys {
			if !yield(slog.Attr{Key: key, Value: rest.value()}) {
				return
			}
		}
	}
}

// unpacker is what is left of values that appendValue made.
type unpacker string

// value takes the next value off.
func (u *unpacker) value() slog.Value {
	kind := slog.Kind((*u)[0])
	*u = (*u)[1:]
	switch kind {
	case slog.KindBool:
		return slog.BoolValue(u.uvarint() != 0)
	case slog.KindInt64:
		return slog.Int64Value(u.varint())
	case slog.KindDuration:
		return slog.DurationValue(time.Duration(u.varint()))
	case slog.KindUint64:
		return slog.Uint64Value(u.uvarint())
	case slog.KindFloat64:
		return slog.Float64Value(math.Float64frombits(u.uvarint()))
	case slog.KindTime:
		at, _ := time.Parse(time.RFC3339Nano, u.text()) // what Format made
		return slog.TimeValue(at)
	default:
		return slog.StringValue(u.text())
	}
}

func (u *unpacker) text() string {
	size := int(u.uvarint())
	text := string((*u)[:size])
	*u = (*u)[size:]
	return text
}

func (u *unpacker) uvarint() uint64 {
	n, size := binary.Uvarint(u.head())
	*u = (*u)[size:]
	return n
}

func (u *unpacker) varint() int64 {
	n, size := binary.Varint(u.head())
	*u = (*u)[size:]
	return n
}

// head is what a number is in, with what may stand behind it.
func (u *unpacker) head() []byte { return []byte((*u)[:min(len(*u), binary.MaxVarintLen64)]) }
