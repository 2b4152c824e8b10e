package moving_test

import (
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
)

// The cases are those that resume-model/cluster.mjs finds when a rule of the decision is left
// out, and those in which the rules meet.
func TestChoose(t *testing.T) {
	t.Parallel()
	first := moving.Line{Turn: 1, Begun: 1, Written: 5}
	for _, c := range []struct {
		name  string
		claim moving.Claim
		own   *moving.Line
		peers []moving.Line
		want  int
	}{
		{name: "nobody remembers it", claim: moving.Claim{Turn: 2, Received: 7, From: 1}, want: moving.None},
		{name: "only the own memory", claim: moving.Claim{Turn: 2, Received: 3, From: 1}, own: &first, want: moving.Own},
		{name: "only a peer's", claim: moving.Claim{Turn: 2, Received: 3, From: 1}, peers: []moving.Line{first}},
		{
			name:  "the client has counted more than was written: another node wrote to it",
			claim: moving.Claim{Turn: 3, Received: 6, From: 1}, peers: []moving.Line{first}, want: moving.None,
		},
		{
			name:  "the client has read from a connection that the memory knows nothing of",
			claim: moving.Claim{Turn: 4, Received: 3, From: 2}, own: &first, want: moving.None,
		},
		{
			name:  "the client has read nothing of a memory that began later: what it has counted is of no concern",
			claim: moving.Claim{Turn: 4, Received: 9, From: 1}, peers: []moving.Line{{Turn: 3, Begun: 2, Written: 4}},
		},
		{
			name:  "moved and back: the frozen memory began with the moved one, which took more turns",
			claim: moving.Claim{Turn: 3, Received: 2, From: 1}, own: &first,
			peers: []moving.Line{{Turn: 2, Begun: 1, Written: 6}},
		},
		{
			name:  "the same, the other way round",
			claim: moving.Claim{Turn: 3, Received: 2, From: 1}, own: &moving.Line{Turn: 2, Begun: 1, Written: 6},
			peers: []moving.Line{first}, want: moving.Own,
		},
		{
			name:  "a packet that was played again began a memory beside the first one, which the client reads",
			claim: moving.Claim{Turn: 4, Received: 2, From: 1}, own: &moving.Line{Turn: 3, Begun: 3},
			peers: []moving.Line{first},
		},
		{
			name:  "the same, but the older one does not fit",
			claim: moving.Claim{Turn: 5, Received: 2, From: 4}, own: &moving.Line{Turn: 4, Begun: 3, Written: 2},
			peers: []moving.Line{first}, want: moving.Own,
		},
		{
			name:  "one packet was taken by two nodes: neither is used",
			claim: moving.Claim{Turn: 2}, own: &moving.Line{Turn: 1, Begun: 1},
			peers: []moving.Line{{Turn: 1, Begun: 1}}, want: moving.None,
		},
		{
			name:  "one packet was taken by two nodes, of which one does not fit: neither is used",
			claim: moving.Claim{Turn: 3, Received: 4, From: 2}, own: &moving.Line{Turn: 2, Begun: 2, Written: 9},
			peers: []moving.Line{{Turn: 2, Begun: 1, Written: 3}}, want: moving.None,
		},
		{
			name:  "of three the one that began earliest",
			claim: moving.Claim{Turn: 9, Received: 1, From: 2}, own: &moving.Line{Turn: 8, Begun: 6, Written: 1},
			peers: []moving.Line{{Turn: 7, Begun: 4, Written: 3}, {Turn: 5, Begun: 2, Written: 4}}, want: 1,
		},
		{
			name:  "two of one turn, and a third: the third",
			claim: moving.Claim{Turn: 9, Received: 1, From: 2}, own: &moving.Line{Turn: 8, Begun: 1, Written: 1},
			peers: []moving.Line{{Turn: 8, Begun: 2, Written: 3}, {Turn: 5, Begun: 2, Written: 4}}, want: 1,
		},
	} {
		if got := moving.Choose(c.claim, c.own, c.peers); got != c.want {
			t.Errorf("%s: %d is used, want %d", c.name, got, c.want)
		}
	}
}
