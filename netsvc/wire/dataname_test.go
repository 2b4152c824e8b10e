package wire_test

import (
	"slices"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestKnowsKeysThat1CCannotHold(t *testing.T) {
	t.Parallel()
	names := []string{"key", "Ключ", "Ёлка", "_", "_1", "a1", "Заказ_2", "k٣"[:1]}
	others := []string{"", " ", "1", "order-id", "c ", " c", "a b", "a.b", "№", "a№", "ключ\n", "a\u00a0", "🙂",
		"a\u0301",
		"٣"}
	var m wire.Message
	for _, key := range append(slices.Clone(names), others...) {
		m.Data = append(m.Data, wire.Pair{Key: key, Value: "x"})
	}
	if got := m.UnusableKeys(); !slices.Equal(got, others) {
		t.Errorf("unusable are %q\nwant         %q", got, others)
	}
	m.Data = []wire.Pair{{Key: "order-id", Value: ""}}
	if got := m.UnusableKeys(); got != nil {
		t.Errorf("a key that is not sent is named: %q", got)
	}
}
