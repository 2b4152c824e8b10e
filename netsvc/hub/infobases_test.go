package hub_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestInfobasesCountTheirMessages(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var unmet []string
	s := start(t, hub.Options{Unmet: func(appID string, to wire.Recipient) {
		mu.Lock()
		defer mu.Unlock()
		unmet = append(unmet, to.IbID+" "+to.UserID)
	}})
	s.connect("ib1", "ann", "Склад")
	s.connect("ib1", "ann", "")
	s.connect("ib2", "bob", "")
	var m wire.Message
	s.Publish(appID, toAll("ib1"), &m)
	s.Publish(appID, wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "bob"}, &m)
	s.Publish(appID, toAll("ib3"), &m)
	check := func(want string) {
		t.Helper()
		all := s.Infobases(appID)
		slices.SortFunc(all, func(a, b hub.Infobase) int { return cmp.Compare(a.IbID, b.IbID) })
		got := ""
		for _, ib := range all {
			got += fmt.Sprintf("%s: %d %d %d, %d %d %t\n", ib.IbID, ib.Sessions, ib.Users, ib.Groups, ib.Messages, ib.Unmatched,
				ib.LastMessageAt.IsZero())
		}
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	check("ib1: 2 1 1, 2 1 false\nib2: 1 1 0, 0 0 true\nib3: 0 0 0, 1 1 false\n")
	mu.Lock()
	if got := fmt.Sprint(unmet); got != "[ib1 bob ib3 ]" {
		t.Errorf("reached nobody: %s", got)
	}
	mu.Unlock()
	// An infobase that has no sessions any more keeps its counts; another app has none.
	page, err := s.Sessions(hub.Query{IbID: "ib1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range page.Sessions {
		s.CloseSession(one.ID, one.Since)
	}
	check("ib1: 0 0 0, 2 1 false\nib2: 1 1 0, 0 0 true\nib3: 0 0 0, 1 1 false\n")
	if others := s.Infobases(otherID); len(others) != 0 {
		t.Errorf("another app has %v", others)
	}
	s.RemoveApp(appID)
	check("")
}

func TestInfobasesThatAreInventedAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	var m wire.Message
	for i := range 20_000 {
		s.Publish(appID, toAll(fmt.Sprint(i)), &m)
	}
	if n := len(s.Infobases("")); n != 10_000 {
		t.Errorf("%d are counted", n)
	}
	s.connect("ib", "ann", "")
	if s.Publish(appID, toAll("ib"), &m) != 1 || len(s.Infobases("")) != 10_001 {
		t.Error("one with a session is not counted")
	}
}

func TestSessionsAreFoundByTheirNames(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.connect("ib1", "1", "")
	s.connect("ib1", "2", "")
	s.connect("ib2", "3", "")
	names := func(app, ib, user string) (string, string) {
		if app != appID {
			t.Errorf("asked for app %s", app)
		}
		return map[string]string{"1": "Яшин", "2": "Иванов"}[user], map[string]string{"ib2": "Бухгалтерия"}[ib]
	}
	for _, tt := range []struct {
		query hub.Query
		want  string
	}{
		{hub.Query{Text: "ИВАН"}, "2"}, {hub.Query{Text: "бухг"}, "3"}, {hub.Query{UserID: "иванов"}, "2"},
		{hub.Query{UserID: "2"}, "2"},
		{hub.Query{UserID: "иван"}, ""}, {hub.Query{IbID: "бухгалтерия"}, "3"}, {hub.Query{IbID: "ib1", UserID: "яшин"}, "1"},
		{hub.Query{Sort: "user_name"}, "2 1 3"}, {hub.Query{Sort: "-ib_name"}, "2 1 3"},
	} {
		tt.query.Names = names
		page, err := s.Sessions(tt.query)
		if got := users(page); err != nil || got != tt.want {
			t.Errorf("%+v: got %q, %v, want %q", tt.query, got, err, tt.want)
		}
	}
}
