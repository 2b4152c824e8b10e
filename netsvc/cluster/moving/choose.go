package moving

// Claim is what a registration says of the session that it asks to go on with.
type Claim struct {
	Turn     uint64 // of this packet
	Received uint64 // number of the last frame that the client counted
	From     uint64 // turn of the connection on which that came
}

// Line is the line of numbers and turns that a memory has written.
type Line struct {
	Turn    uint64 // of the last packet that was taken
	Begun   uint64 // of the packet with which the memory began
	Written uint64 // number of the last frame that was begun
}

// fits reports whether a memory may be the one that the client has last read from: what it
// has written since it began is not less than the client has counted of it.
func (l Line) fits(c Claim) bool {
	return c.From <= l.Turn && (c.From < l.Begun || c.Received <= l.Written)
}

// What Choose returns other than the place of a peer's memory.
const (
	Own  = -1 // the own memory
	None = -2 // no memory: the session begins
)

// Choose decides with which memory a session goes on: the own one, which is nil if there is
// none, or one of those of the peers.
//
// Of two that fit, the one that began earlier is used, for the other one began because this
// one was not found; of two that began alike, the one that took the larger turn. Two that took
// the same turn come from one packet that was played again: neither is used.
func Choose(c Claim, own *Line, peers []Line) int {
	all, places := make([]Line, 0, len(peers)+1), make([]int, 0, len(peers)+1)
	if own != nil {
		all, places = append(all, *own), append(places, Own)
	}
	for i, l := range peers {
		all, places = append(all, l), append(places, i)
	}
	best := None
	var chosen Line
	for i, l := range all {
		if !l.fits(c) || sharesTurn(all, i) {
			continue
		}
		if best == None || l.Begun < chosen.Begun || l.Begun == chosen.Begun && l.Turn > chosen.Turn {
			best, chosen = places[i], l
		}
	}
	return best
}

func sharesTurn(all []Line, at int) bool {
	for i, l := range all {
		if i != at && l.Turn == all[at].Turn {
			return true
		}
	}
	return false
}
