package moving_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

func TestCover(t *testing.T) {
	t.Parallel()
	a, b := seal.Epoch{1}, seal.Epoch{2}
	c := moving.Cover{a: {Top: 5, Missing: []uint64{2, 4}}}
	for _, one := range []struct {
		name string
		moving.Origin
		want bool
	}{
		{"one of them", moving.Origin{Epoch: a, Number: 3}, true},
		{"the last", moving.Origin{Epoch: a, Number: 5}, true},
		{"a gap", moving.Origin{Epoch: a, Number: 4}, false},
		{"beyond the last", moving.Origin{Epoch: a, Number: 6}, false},
		{"of another node", moving.Origin{Epoch: b, Number: 1}, false},
		{"of no node", moving.Origin{}, false},
		{"of no number", moving.Origin{Epoch: a}, false},
	} {
		if got := c.Has(one.Origin); got != one.want {
			t.Errorf("%s: %t", one.name, got)
		}
	}
	if (moving.Cover)(nil).Has(moving.Origin{Epoch: a, Number: 1}) {
		t.Error("no cover has a message")
	}
	if all := (moving.Cover{a: {Top: math.MaxUint64}}); !all.Has(moving.Origin{Epoch: a, Number: math.MaxUint64}) {
		t.Error("the largest number is not among all")
	}
}

// TestTwoCovers compares covers that were put together with sets.
func TestTwoCovers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	epoch := seal.Epoch{7}
	draw := func() (moving.Cover, []uint64) {
		n := moving.Numbers{Top: random.Uint64N(12)}
		var has []uint64
		for number := uint64(1); number <= n.Top; number++ {
			if number < n.Top && random.IntN(3) == 0 {
				n.Missing = append(n.Missing, number)
			} else {
				has = append(has, number)
			}
		}
		return moving.Cover{epoch: n}, has
	}
	for range 2000 {
		one, hasOne := draw()
		other, hasOther := draw()
		both := one.With(other)
		for number := range uint64(15) {
			want := slices.Contains(hasOne, number) || slices.Contains(hasOther, number)
			if got := both.Has(moving.Origin{Epoch: epoch, Number: number}); got != want {
				t.Fatalf("%v and %v: %d is %t", one, other, number, got)
			}
		}
	}
}
