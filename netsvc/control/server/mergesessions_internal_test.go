package server

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// pageOf is what a node with these places answers. Sessions that went while they were
// looked up are not in it, but its end is where it would be with them.
func pageOf(places []hub.Place, query *hub.Query, after *hub.Place, gone map[hub.Place]bool) nodePage {
	slices.SortFunc(places, query.Compare)
	var found []hub.Place
	for _, p := range places {
		if after == nil || query.Compare(p, *after) > 0 {
			found = append(found, p)
		}
	}
	page := nodePage{SessionPage: control.SessionPage{Total: len(places)}}
	if len(found) > query.Limit {
		found = found[:query.Limit]
		page.Next = found[query.Limit-1].Cursor()
	}
	for _, p := range found {
		if !gone[p] {
			page.Places = append(page.Places, p)
			page.Sessions = append(page.Sessions, control.Session{ID: p.Cursor()})
		}
	}
	return page
}

// Page after page of several nodes is what they have, in order, whatever leaves meanwhile.
func TestMergedPagesAreTheSortedWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 24))
		query := &hub.Query{Limit: 1 + random.IntN(9), Sort: []string{"user", "-user"}[random.IntN(2)]}
		nodes := make([][]hub.Place, 1+random.IntN(4))
		gone := make(map[hub.Place]bool)
		var all []hub.Place
		for i := range nodes {
			for id := range random.IntN(25) {
				p := hub.Place{Text: strconv.Itoa(random.IntN(4)), Number: int64(random.IntN(2)),
					Node: "web" + strconv.Itoa(i), ID: uint64(id)}
				nodes[i], all = append(nodes[i], p), append(all, p)
				gone[p] = random.IntN(10) == 0
			}
		}
		leaves, at := random.IntN(len(nodes)*2), random.IntN(5)
		var left *hub.Place // where the list was when a node left
		var after *hub.Place
		var got []string
		for page := 0; ; page++ {
			if page == at && leaves < len(nodes) && page > 0 {
				nodes[leaves], left = nil, after
			}
			pages := make([]nodePage, len(nodes))
			for i, places := range nodes {
				pages[i] = pageOf(places, query, after, gone)
			}
			merged, err := mergePages(pages, query)
			if err != nil || len(merged.Sessions) > query.Limit || page > len(all)+1 {
				t.Fatalf("seed %d, page %d: %d sessions, %v", seed, page, len(merged.Sessions), err)
			}
			for _, s := range merged.Sessions {
				got = append(got, s.ID)
			}
			if merged.Next == "" {
				break
			}
			if after, err = hub.ParseCursor(merged.Next); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(all, query.Compare)
		var want []string
		for _, p := range all {
			away := left != nil && p.Node == "web"+strconv.Itoa(leaves) && query.Compare(p, *left) > 0
			if !gone[p] && !away {
				want = append(want, p.Cursor())
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %d places, want %d:\n%v\n%v", seed, len(got), len(want), got, want)
		}
	}
}
