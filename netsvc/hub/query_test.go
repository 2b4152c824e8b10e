package hub_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// users names the sessions of a page by their user ids.
func users(page hub.Page) string {
	var names []string
	for _, s := range page.Sessions {
		names = append(names, s.UserID)
	}
	return strings.Join(names, " ")
}

func TestListsSessionsFilteredAndSorted(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.SetApp(otherID, []hub.Key{{Generation: 3, Secret: s.key}})
	s.connect("ib1", "c", "Склад")
	s.connect("ib1", "a", "")
	s.connect("ib2", "b", "Склад")
	s.register(wire.Registration{AppID: otherID, IbID: "ib2", UserID: "d"}, s.key)
	title := func(appID string) string {
		if appID == otherID {
			return "Торговля"
		}
		return ""
	}
	tests := []struct {
		name  string
		query hub.Query
		want  string
	}{
		{"all, as they came", hub.Query{}, "c a b d"},
		{"by user", hub.Query{Sort: "user"}, "a b c d"},
		{"by user, reversed", hub.Query{Sort: "-user"}, "d c b a"},
		{"by infobase, then as they came", hub.Query{Sort: "ib"}, "c a b d"},
		{"of an app, in any letter case", hub.Query{AppID: strings.ToUpper(otherID)}, "d"},
		{"of an infobase", hub.Query{IbID: "ib2"}, "b d"},
		{"of a user", hub.Query{UserID: "a"}, "a"},
		{"of a group", hub.Query{UserGroup: "Склад"}, "c b"},
		{"text in any letter case", hub.Query{Text: "сКлАд"}, "c b"},
		{"text in the address", hub.Query{Text: "127.0.0.1:"}, "c a b d"},
		{"nothing matches", hub.Query{Text: "no such thing"}, ""},
		{"all words", hub.Query{Text: "склад ib2"}, "b"},
		{"words that are quoted are one", hub.Query{Text: `"склад ib2"`}, ""},
		{"a word that is excluded", hub.Query{Text: "ib1 -склад"}, "a"},
		{"a field that is excluded", hub.Query{Text: "-ib:IB1 -user:d"}, "b"},
		{"a user", hub.Query{Text: "user:a"}, "a"},
		{"an infobase", hub.Query{Text: "ib:2"}, "b d"},
		{"a group", hub.Query{Text: "group:скл"}, "c b"},
		{"an app by its id", hub.Query{Text: "app:" + strings.ToUpper(otherID[:8])}, "d"},
		{"an app by its title", hub.Query{Text: "app:торг", Title: title}, "d"},
		{"an address", hub.Query{Text: "ip:127.0 user:c"}, "c"},
		{"a host that nobody has said", hub.Query{Text: "host:w"}, ""},
		{"words that are still empty", hub.Query{Text: ` - user: -ib:"" " `}, "c a b d"},
		{"no field", hub.Query{Text: "127.0.0.1: what:ever"}, ""},
	}
	for _, tt := range tests {
		page, err := s.Sessions(tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := users(page); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	page, _ := s.Sessions(hub.Query{UserID: "d"})
	if d := page.Sessions[0]; d.AppID != otherID || d.KeyGeneration != 3 || d.Since.IsZero() ||
		!d.LastDeliveryAt.IsZero() {
		t.Errorf("session is described as %+v", d)
	}
}

func TestPagesCoverEverySessionOnce(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	for i := range 23 {
		s.connect("ib", fmt.Sprintf("u%02d", i%7), "")
	}
	for _, sort := range hub.SortKeys() {
		for _, sort := range []string{sort, "-" + sort} {
			seen := make(map[uint64]bool)
			query := hub.Query{Sort: sort, Limit: 5}
			for pages := 1; ; pages++ {
				page, err := s.Sessions(query)
				if err != nil {
					t.Fatal(err)
				}
				if page.Total != 23 {
					t.Fatalf("sort %s: total is %d", sort, page.Total)
				}
				for _, session := range page.Sessions {
					if seen[session.ID] {
						t.Fatalf("sort %s: session %d is on two pages", sort, session.ID)
					}
					seen[session.ID] = true
				}
				if page.Next == "" {
					break
				}
				if pages > 5 {
					t.Fatalf("sort %s: the pages do not end", sort)
				}
				query.After = page.Next
			}
			if len(seen) != 23 {
				t.Fatalf("sort %s: %d sessions on all pages, want 23", sort, len(seen))
			}
		}
	}
}

func TestAPageCanBeginAnywhere(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	for i := range 9 {
		s.connect("ib", fmt.Sprint(i), "")
	}
	for _, tt := range []struct {
		offset, limit int
		want          string
	}{
		{0, 3, "0 1 2"}, {4, 3, "4 5 6"}, {7, 3, "7 8"}, {9, 3, ""}, {1 << 40, 3, ""},
	} {
		page, err := s.Sessions(hub.Query{Sort: "user", Offset: tt.offset, Limit: tt.limit})
		if err != nil {
			t.Fatal(err)
		}
		if got := users(page); got != tt.want || page.Total != 9 {
			t.Errorf("from %d: got %q of %d, want %q of 9", tt.offset, got, page.Total, tt.want)
		}
	}
}

func TestRefusesABadQuery(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	for _, q := range []hub.Query{{Sort: "colour"}, {Limit: -1}, {Limit: hub.MaxPage + 1}, {Offset: -1},
		{Offset: 1, After: "e30"}, {After: "!"}, {After: "AAAA"}} {
		if _, err := s.Sessions(q); !errors.Is(err, hub.ErrBadQuery) {
			t.Errorf("%+v: got %v, want ErrBadQuery", q, err)
		}
	}
}

func TestClosesASessionAtAnAdministratorsWish(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.connect("ib", "u", "")
	page, err := s.Sessions(hub.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if last, ok := s.CloseSession(page.Sessions[0].ID, time.Time{}); !ok || last.UserID != "u" {
		t.Fatalf("closed %+v, %v", last, ok)
	}
	ends(t, c)
	if _, ok := s.CloseSession(page.Sessions[0].ID, time.Time{}); ok {
		t.Fatal("closed twice")
	}
}

func TestCountsWhatASessionGot(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.connect("ib", "u", "")
	for range 3 {
		s.Publish(appID, toAll("ib"), topic("x"))
		receive(t, c)
	}
	eventually(t, "three deliveries are counted", func() bool {
		page, err := s.Sessions(hub.Query{})
		if err != nil || len(page.Sessions) != 1 {
			return false
		}
		session := page.Sessions[0]
		return session.Delivered == 3 && session.Bytes > 0 && session.Queued == 0 && !session.LastDeliveryAt.IsZero()
	})
}
