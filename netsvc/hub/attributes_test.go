package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// introduce opens a session that says more of itself, and waits until the hub has it.
func (s *service) introduce(user, group string, said wire.Attributes) *wire.Client {
	s.t.Helper()
	before := s.Stats().Registrations
	r := wire.Registration{AppID: appID, IbID: "ib", UserID: user, UserGroup: group}
	c, err := wire.Dial(context.Background(), s.addr, r, s.key, said.List()...)
	if err != nil {
		s.t.Fatalf("dial: %v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	eventually(s.t, "the session is registered", func() bool { return s.Stats().Registrations > before })
	return c
}

func toGroup(group string) wire.Recipient {
	return wire.Recipient{Type: wire.ToGroup, IbID: "ib", UserGroup: group}
}

func TestAMessageToAGroupReachesASessionOnce(t *testing.T) {
	s := start(t, hub.Options{})
	ann := s.introduce("ann", "staff", wire.Attributes{Groups: []string{"sales", "staff", "storage"}})
	bob := s.introduce("bob", "", wire.Attributes{Groups: []string{"sales"}})
	for group, want := range map[string]int{"staff": 1, "sales": 2, "storage": 1, "nobody": 0} {
		if n := s.Publish(appID, toGroup(group), topic("x")); n != want {
			t.Errorf("a message to %s reached %d sessions, want %d", group, n, want)
		}
	}
	s.Publish(appID, toAll("ib"), topic("last"))
	for c, want := range map[*wire.Client]int{ann: 3, bob: 1} {
		for range want {
			if got := receive(t, c); got != `{"topic":"x"}` {
				t.Errorf("got %s", got)
			}
		}
		if got := receive(t, c); got != `{"topic":"last"}` {
			t.Errorf("one more: %s", got)
		}
	}

	// Groups change with a further packet, and end with the session.
	if err := ann.Register(wire.Registration{AppID: appID, IbID: "ib", UserID: "ann"}, s.key,
		wire.Attribute{Name: "group", Value: "storage"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ann has changed", func() bool { return s.Publish(appID, toGroup("staff"), topic("y")) == 0 })
	if n := s.Publish(appID, toGroup("storage"), topic("y")); n != 1 {
		t.Errorf("a message to storage reached %d sessions", n)
	}
	ann.Close()
	bob.Close()
	eventually(t, "both have ended", func() bool { return s.Stats().Sessions == 0 })
	if n := s.Publish(appID, toGroup("sales"), topic("y")); n != 0 {
		t.Errorf("a message to sales reached %d sessions", n)
	}
}

// TestGroupsAreRightWhoeverComesAndGoes compares with a list that is looked through.
func TestGroupsAreRightWhoeverComesAndGoes(t *testing.T) {
	s := start(t, hub.Options{})
	type member struct {
		client *wire.Client
		groups []string
	}
	var members []member
	random := rand.New(rand.NewPCG(1, 2))
	groups := []string{"a", "b", "c", "d", "e"}
	for range 120 {
		if len(members) > 8 || len(members) > 0 && random.IntN(3) == 0 {
			at := random.IntN(len(members))
			members[at].client.Close()
			members = slices.Delete(members, at, at+1)
			eventually(t, "the session has ended", func() bool { return s.Stats().Sessions == len(members) })
		} else {
			random.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
			own := slices.Clone(groups[:random.IntN(len(groups)+1)])
			group, further := "", own
			if len(own) > 0 && random.IntN(2) == 0 {
				group = own[0]
			}
			members = append(members, member{s.introduce("u", group, wire.Attributes{Groups: further, Host: "h"}), own})
		}
		for _, group := range groups {
			want := 0
			for _, m := range members {
				if slices.Contains(m.groups, group) {
					want++
				}
			}
			if n := s.Publish(appID, toGroup(group), topic("x")); n != want {
				t.Fatalf("a message to %s reached %d sessions of %+v", group, n, members)
			}
		}
		// Nobody is left in a list whose session has ended.
		known := make(map[string]bool)
		for _, m := range members {
			for _, group := range m.groups {
				known[group] = true
			}
		}
		for _, ib := range s.Infobases(appID) {
			if ib.Sessions != len(members) || ib.Groups != len(known) {
				t.Fatalf("%d sessions, %d groups of %+v", ib.Sessions, ib.Groups, members)
			}
		}
	}
}

func TestShowsWhatASessionSaysOfItself(t *testing.T) {
	var log lockedBuffer
	var seen events
	s := start(t, hub.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Observe: seen.observe})
	said := wire.Attributes{
		Session: wire.NewSessionID(), Turn: 1, Groups: []string{"staff", "sales"},
		User: "Анна", Ib: "Торговля", Host: "WS-17", Agent: "pns4ones-addin/2.0.0 linux-x86_64",
	}
	s.introduce("ann", "staff", said)
	s.connect("ib", "bob", "")
	find := func(q hub.Query) (users []string) {
		page, err := s.Sessions(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Sessions {
			users = append(users, one.UserID)
		}
		return users
	}
	for _, q := range []hub.Query{{UserGroup: "sales"}, {UserGroup: "staff"}, {Text: "ws-17"}, {Text: "2.0.0"},
		{Text: "sal"}, {Text: "host:WS"}, {Text: "group:sal ib:торг user:анна"}} {
		if got := find(q); !slices.Equal(got, []string{"ann"}) {
			t.Errorf("%+v finds %q", q, got)
		}
	}
	page, _ := s.Sessions(hub.Query{UserID: "ann"})
	one := page.Sessions[0]
	if !slices.Equal(one.Groups, []string{"sales"}) || one.Host != said.Host || one.Agent != said.Agent ||
		one.UserName != said.User || one.IbName != said.Ib {
		t.Errorf("shown as %+v", one)
	}
	if !one.InGroup("staff") || !one.InGroup("sales") || one.InGroup("storage") {
		t.Errorf("in the wrong groups: %+v", one)
	}
	eventually(t, "the log has it", func() bool {
		return strings.Contains(log.String(), "host=WS-17") &&
			strings.Contains(log.String(), `agent="pns4ones-addin/2.0.0 linux-x86_64"`)
	})
	for name, text := range map[string]string{"log": log.String(), "events": fmt.Sprintf("%+v", seen.lines()),
		"session": fmt.Sprintf("%+v", one)} {
		if strings.Contains(text, said.Session) {
			t.Errorf("the %s shows the session's secret: %s", name, text)
		}
	}
}

func TestWhatASessionSaysOfItselfIsHandedOver(t *testing.T) {
	first, served := open(t, hub.Options{})
	first.introduce("ann", "staff", wire.Attributes{Groups: []string{"sales"}, Host: "h", Agent: "a", User: "u", Ib: "i"})
	first.connect("ib", "bob", "")
	before, _ := first.Sessions(hub.Query{})
	state := handOver(t, first, served)
	second, _ := successor(t, state, hub.Key{Generation: 1, Secret: first.key})
	after, _ := second.Sessions(hub.Query{})
	if len(after.Sessions) != 2 || !reflect.DeepEqual(after.Sessions, before.Sessions) {
		t.Errorf("the sessions were %+v and are %+v", before.Sessions, after.Sessions)
	}
	if n := second.Publish(appID, toGroup("sales"), topic("x")); n != 1 {
		t.Errorf("a message to sales reached %d sessions", n)
	}
}

func TestAttributesOfAStateArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	want := savedState()
	want.Sessions[2].Attributes = &wire.Attributes{Host: "h"}
	want.Sessions[4].Attributes = &wire.Attributes{Groups: []string{"a", "b"}, Session: wire.NewSessionID(), Turn: 7,
		Received: 1 << 60}
	text := want.AppendAttributes(nil)
	got := savedState()
	if err := got.ParseAttributes(text); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for n := range len(text) {
		// Where the attributes of one session end the text may end as well.
		got := savedState()
		if err := got.ParseAttributes(text[:n]); err == nil && reflect.DeepEqual(got, want) {
			t.Errorf("%d of %d bytes are as good as all", n, len(text))
		}
	}
	if err := new(hub.State).ParseAttributes(text); err == nil {
		t.Error("attributes of sessions that are not there pass")
	}
}
