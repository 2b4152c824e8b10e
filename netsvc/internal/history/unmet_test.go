package history_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func toUser(ib, user string) wire.Recipient {
	return wire.Recipient{Type: wire.ToUser, IbID: ib, UserID: user}
}

func everybody(history.Recipient) bool { return true }

func TestMessagesThatFoundNobodyAreRememberedByRecipient(t *testing.T) {
	t.Parallel()
	h := history.New()
	for range 3 {
		h.Unmet("a", toUser("ib", "ann"))
	}
	h.Unmet("a", wire.Recipient{Type: wire.ToGroup, IbID: "ib", UserGroup: "ann"})
	h.Unmet("a", wire.Recipient{Type: wire.ToAll, IbID: "ib", UserID: "ann"})
	h.Unmet("b", toUser("ib", "ann"))
	var got []string
	for _, u := range h.UnmetOf("a", everybody) {
		if u.First().After(u.Last()) {
			t.Errorf("%+v: the first is after the last", u)
		}
		got = append(got, fmt.Sprint(u.Type, " ", u.IbID, " ", u.Name, " ", u.Count))
	}
	if want := "all ib  1,group ib ann 1,user ib ann 3"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var users []history.User
	h.Users(func(u history.User) { users = append(users, u) })
	if want := "[{a ib ann} {b ib ann}]"; fmt.Sprint(users) != want {
		t.Errorf("users: %v, want %s", users, want)
	}
}

func TestARecipientIsToldOfOnceInAWhile(t *testing.T) {
	t.Parallel()
	h := history.New()
	if count, tell := h.Unmet("a", toUser("ib", "ann")); !tell || count != 1 {
		t.Errorf("the first: %d, %t", count, tell)
	}
	if _, tell := h.Unmet("a", toUser("ib", "ann")); tell {
		t.Error("the second is told at once")
	}
	told := 0
	for i := range 100_000 {
		if _, tell := h.Unmet("a", toUser("ib", fmt.Sprint(i))); tell {
			told++
		}
	}
	// As many a second as there is room for; nobody takes an hour for this.
	if told == 0 || told > 36_000 {
		t.Errorf("of 100000 recipients %d were told of", told)
	}
	events, _ := h.Events().Last(100_000, func(e *history.Event) bool { return e.Kind == history.KindUnmet })
	if len(events) != min(told+1, 10_000) {
		t.Errorf("%d events, want %d", len(events), told+1)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	// Not parallel: it looks at the memory of the process.
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	h := history.New()
	before := memory()
	for i := range 100_000 {
		h.Unmet("a", toUser("d23f0824-4fa6-4b62-8a9b-27a5dea9d227", fmt.Sprintf("59c775be-1a55-5522-9f0e-%012x", i)))
	}
	h.Unmet("a", toUser("ib", strings.Repeat("x", wire.MaxRegistrationBytes)))
	all := h.UnmetOf("a", everybody)
	if len(all) < 10_000 || all[0].Name != fmt.Sprintf("59c775be-1a55-5522-9f0e-%012x", 99_999) {
		t.Errorf("%d are remembered, the last is %s", len(all), all[0].Name)
	}
	all = nil
	// The ring of events is apart, and so is what the test itself has.
	const ring, most = 5 << 20, 8 << 20
	if took := int64(memory()) - int64(before); took > most+ring {
		t.Errorf("it takes %d bytes", took)
	}
	runtime.KeepAlive(h)
}

func TestAnotherProcessGoesOnRemembering(t *testing.T) {
	t.Parallel()
	h := history.New()
	h.Unmet("a", toUser("ib", "ann"))
	h.Unmet("a", toUser("ib", "ann"))
	h.Unmet("a", toUser("ib", "bob"))
	next := history.New()
	next.RememberUnmet(h.AllUnmet())
	next.Unmet("a", toUser("ib", "ann"))
	got := next.UnmetOf("a", everybody)
	if len(got) != 2 || got[0].Name != "ann" || got[0].Count != 3 || got[1].Name != "bob" || got[1].Count != 1 {
		t.Errorf("got %+v", got)
	}
	next.RememberUnmet([]history.Unmet{{}}) // what is damaged is passed over
}
