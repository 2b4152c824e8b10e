package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// users of the sessions on a page, in its order.
func users(p control.SessionPage) []string {
	names := []string{}
	for _, s := range p.Sessions {
		names = append(names, s.UserID)
	}
	return names
}

func TestSessionsAreFilteredSortedAndPaged(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a, b := d.newApp("one"), d.newApp("two")
	d.connect(a, "trade", "Яна", "sales")
	d.connect(a, "trade", "Анна & Co", "sales")
	d.connect(a, "stock", "Борис", "")
	d.connect(b, "trade", "Глеб", "")
	for name, test := range map[string]struct {
		query control.SessionQuery
		want  []string
		total int
	}{
		"all":        {control.SessionQuery{}, []string{"Яна", "Анна & Co", "Борис", "Глеб"}, 4},
		"app":        {control.SessionQuery{AppID: strings.ToUpper(b.ID)}, []string{"Глеб"}, 1},
		"infobase":   {control.SessionQuery{IbID: "stock"}, []string{"Борис"}, 1},
		"user":       {control.SessionQuery{UserID: "Анна & Co"}, []string{"Анна & Co"}, 1},
		"group":      {control.SessionQuery{UserGroup: "sales"}, []string{"Яна", "Анна & Co"}, 2},
		"text":       {control.SessionQuery{Text: "БОР"}, []string{"Борис"}, 1},
		"both":       {control.SessionQuery{AppID: a.ID, IbID: "trade"}, []string{"Яна", "Анна & Co"}, 2},
		"none":       {control.SessionQuery{UserID: "nobody"}, []string{}, 0},
		"sorted":     {control.SessionQuery{Sort: "user"}, []string{"Анна & Co", "Борис", "Глеб", "Яна"}, 4},
		"in reverse": {control.SessionQuery{Sort: "-user"}, []string{"Яна", "Глеб", "Борис", "Анна & Co"}, 4},
		"a page":     {control.SessionQuery{Sort: "user", Limit: 2}, []string{"Анна & Co", "Борис"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := d.Sessions(t.Context(), test.query)
			if err != nil || page.Total != test.total || !slices.Equal(users(page), test.want) {
				t.Errorf("got %q of %d (%v), want %q of %d", users(page), page.Total, err, test.want, test.total)
			}
		})
	}
	var all []string
	query := control.SessionQuery{Sort: "-user", Limit: 3}
	for range 3 {
		page, err := d.Sessions(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, users(page)...)
		if page.Next == "" {
			break
		}
		query.After = page.Next
	}
	if want := []string{"Яна", "Глеб", "Борис", "Анна & Co"}; !slices.Equal(all, want) {
		t.Errorf("page by page: %q, want %q", all, want)
	}
}

func TestASessionIsTheObjectOfTheDesign(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "ib", "ann", "sales")
	read := func() map[string]any {
		text := d.do("GET", "/v1/sessions", "").body
		var page struct{ Sessions []map[string]any }
		if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Sessions) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		return page.Sessions[0]
	}
	s := read()
	for name, want := range map[string]any{
		"app_id": a.ID, "ib_id": "ib", "user_id": "ann", "user_group": "sales", "addr": c.LocalAddr().String(),
		"delivered": 0.0, "bytes": 0.0, "queued": 0.0, "key_generation": 1.0,
	} {
		if s[name] != want {
			t.Errorf("%s is %v, want %v", name, s[name], want)
		}
	}
	if _, isText := s["id"].(string); !isText {
		t.Errorf("id is %v, want text", s["id"])
	}
	if since, _ := s["since"].(string); !strings.HasSuffix(since, "Z") {
		t.Errorf("since is %v, want a time in UTC", s["since"])
	}
	if at, has := s["last_delivery_at"]; has {
		t.Errorf("last_delivery_at is %v before any delivery", at)
	}
	n, err := d.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"}, wire.Message{Topic: "t"})
	if n != 1 || err != nil {
		t.Fatalf("sent to %d sessions: %v", n, err)
	}
	expect(t, c, `{"topic":"t"}`)
	eventually(t, "the delivery is counted", func() bool { return read()["delivered"] == 1.0 })
	if at, _ := read()["last_delivery_at"].(string); !strings.HasSuffix(at, "Z") {
		t.Errorf("last_delivery_at is %q, want a time in UTC", at)
	}
}

func TestNoSessionsAreAnEmptyArray(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	if got := d.do("GET", "/v1/sessions", "").body; got != "{\"sessions\":[],\"total\":0}\n" {
		t.Errorf("answered %s", got)
	}
	if got := d.do("GET", "/v1/apps", "").body; got != "[]\n" {
		t.Errorf("answered %s", got)
	}
}

func TestASessionIsClosedOnce(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "ib", "ann", "")
	page, err := d.Sessions(t.Context(), control.SessionQuery{})
	if err != nil || len(page.Sessions) != 1 {
		t.Fatalf("got %+v and %v, want one session", page, err)
	}
	id, since := page.Sessions[0].ID, page.Sessions[0].Since
	refused(t, d.CloseSession(t.Context(), id, since.Add(time.Nanosecond)), http.StatusNotFound,
		control.CodeSessionNotFound)
	if got := d.do("DELETE", "/v1/sessions/"+id+"?since=noon", ""); got.status != http.StatusBadRequest {
		t.Errorf("answered %d to a time that is none", got.status)
	}
	if err := d.CloseSession(t.Context(), id, since); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	for _, id := range []string{id, "0", "18446744073709551615", "18446744073709551616", "-1", "x", "a/b"} {
		refused(t, d.CloseSession(t.Context(), id, time.Time{}), http.StatusNotFound, control.CodeSessionNotFound)
	}
}

func TestABadSessionQueryIsToldWhatIsAllowed(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for query, allowed := range map[string]string{
		"sort=colour":   "one of addr, app, bytes, delivered, group, ib, ib_name, id, queued, since, user, user_name",
		"sort=-":        "one of addr",
		"limit=0":       "from 1 to 1000",
		"limit=-1":      "from 1 to 1000",
		"limit=1001":    "1 to 1000",
		"limit=many":    "from 1 to 1000",
		"after=garbage": "what the page before gave",
		"colour=red":    "one of app, ib, user, group, q, sort, limit, after",
		"app=a&app=b":   "given 2 times",
		"app=%zz":       "cannot be read",
		"app=a;ib=b":    "cannot be read",
	} {
		got := d.do("GET", "/v1/sessions?"+query, "")
		if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadRequest ||
			!strings.Contains(got.body, allowed) {
			t.Errorf("%s: answered %d %s, want a refusal that says %q", query, got.status, got.body, allowed)
		}
	}
	_, err := d.Sessions(t.Context(), control.SessionQuery{Limit: -1})
	refused(t, err, http.StatusBadRequest, control.CodeBadRequest)
}

func TestManySessionsComeInPagesOfBoundedSize(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	const n = 25
	for i := range n {
		d.connect(a, "ib", fmt.Sprintf("user %02d", i), "")
	}
	seen := make(map[string]bool)
	query := control.SessionQuery{Limit: 7, Sort: "user"}
	for pages := 1; ; pages++ {
		page, err := d.Sessions(t.Context(), query)
		if err != nil || page.Total != n || len(page.Sessions) > 7 {
			t.Fatalf("page %d: %d of %d sessions, %v", pages, len(page.Sessions), page.Total, err)
		}
		for _, s := range page.Sessions {
			seen[s.ID] = true
		}
		if page.Next == "" {
			break
		}
		query.After = page.Next
	}
	if len(seen) != n {
		t.Errorf("the pages have %d sessions, want %d", len(seen), n)
	}
}
