package moving

import (
	"maps"
	"slices"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Origin is which message of which node one is. Its zero value is none.
type Origin struct {
	Epoch  seal.Epoch // life of the node that took it from its sender
	Number uint64     // among the messages of that life, from 1 on
}

// Numbers are all up to Top but those missing, which ascend. What is further back than nodes
// know is not missing: nobody takes it any more.
type Numbers struct {
	Top     uint64
	Missing []uint64
}

// Has reports whether a number is one of them.
func (n Numbers) Has(number uint64) bool {
	if number > n.Top {
		return false
	}
	_, missing := slices.BinarySearch(n.Missing, number)
	return !missing
}

// with are the numbers of both.
func (n Numbers) with(o Numbers) Numbers {
	if n.Top < o.Top {
		n, o = o, n
	}
	missing := slices.DeleteFunc(slices.Clone(n.Missing), o.Has)
	return Numbers{n.Top, missing}
}

// Cover is which messages a memory, or a node, accounts for: those that it has got.
type Cover map[seal.Epoch]Numbers

// Has reports whether a message is one of them.
func (c Cover) Has(o Origin) bool { return o.Number > 0 && c[o.Epoch].Has(o.Number) }

// Knows reports whether it says anything of the messages of a life of a node.
func (c Cover) Knows(epoch seal.Epoch) bool {
	_, known := c[epoch]
	return known
}

// With are the messages of both. Neither is changed.
func (c Cover) With(o Cover) Cover {
	both := maps.Clone(c)
	if both == nil {
		both = make(Cover, len(o))
	}
	for epoch, numbers := range o {
		both[epoch] = both[epoch].with(numbers)
	}
	return both
}
