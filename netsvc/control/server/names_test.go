package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const namesFile = "user;ann;Анна\nuser;bob;Борис\nuser;eve;Ева\nib;ib1;Склад\nib;ib2;склад\nib;ib4;Архив\n"

// named is a daemon with an app that has names.
func named(t *testing.T) (*daemon, control.App) {
	t.Helper()
	d := start(t, nil)
	a := d.newApp("a")
	report, err := d.ImportNames(t.Context(), a.ID, strings.NewReader(namesFile), false)
	if err != nil || !cmp.Equal(report, control.NamesReport{AppID: a.ID, Users: 3, Infobases: 3, Read: 6}) {
		t.Fatalf("got %+v, %v", report, err)
	}
	return d, a
}

func TestNamesAreImportedListedAndTakenAway(t *testing.T) {
	t.Parallel()
	d, a := named(t)
	all, err := d.Names(t.Context(), a.ID)
	if err != nil || len(all) != 6 || all[0] != (control.Name{Kind: "ib", ID: "ib4", Name: "Архив"}) {
		t.Errorf("listed: %+v, %v", all, err)
	}
	var file bytes.Buffer
	if err := d.ExportNames(t.Context(), a.ID, &file); err != nil || file.Len() != len(namesFile) {
		t.Errorf("exported: %q, %v", file.String(), err)
	}
	if report, err := d.SetName(t.Context(), a.ID, control.Name{Kind: "IB", ID: "ib3", Name: "Цех"}); err != nil ||
		report.Infobases != 4 {
		t.Errorf("set: %+v, %v", report, err)
	}
	for _, test := range []struct {
		file, code  string
		line, other int
	}{
		{"user;1;\xc8", control.CodeNamesEncoding, 1, 0}, {"user;1;a\nuser;1", control.CodeNamesForm, 2, 0},
		{"base;1;a", control.CodeNamesKind, 1, 0}, {"user;1;a\nuser;1;b", control.CodeNamesTwice, 2, 1},
		{"user;1;", control.CodeBadName, 1, 0},
	} {
		_, err := d.ImportNames(t.Context(), a.ID, strings.NewReader(test.file), true)
		refused(t, err, http.StatusBadRequest, test.code)
		if e := err.(*control.Error); e.Line != test.line || e.OtherLine != test.other {
			t.Errorf("%q: lines %d and %d", test.file, e.Line, e.OtherLine)
		}
	}
	_, err = d.SetName(t.Context(), a.ID, control.Name{Kind: "user", ID: "x", Name: strings.Repeat("x", 300)})
	refused(t, err, http.StatusBadRequest, control.CodeBadName)
	_, err = d.SetName(t.Context(), a.ID, control.Name{Kind: "base", ID: "x", Name: "x"})
	refused(t, err, http.StatusBadRequest, control.CodeBadRequest)
	_, err = d.ImportNames(t.Context(), "elsewhere", strings.NewReader(namesFile), false)
	refused(t, err, http.StatusNotFound, control.CodeAppNotFound)
	if report, err := d.ClearNames(t.Context(), a.ID); err != nil || report.Users+report.Infobases != 0 {
		t.Errorf("cleared: %+v, %v", report, err)
	}
}

func TestTheNameOfTheTableWinsOverThatOfTheSession(t *testing.T) {
	t.Parallel()
	d, a := named(t)
	secret := parseKey(t, a.ClientKey)
	for _, user := range []string{"ann", "zoe"} {
		said := wire.Attributes{User: "Администратор", Ib: "Главная"}
		c, err := wire.Dial(t.Context(), d.sessions, wire.Registration{AppID: a.ID, IbID: "ib1", UserID: user}, secret,
			said.List()...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	eventually(t, "both are registered", func() bool {
		n, _ := d.hub.AppSessions(a.ID)
		return n == 2
	})
	page, err := d.Sessions(t.Context(), control.SessionQuery{Sort: "user"})
	if err != nil || len(page.Sessions) != 2 {
		t.Fatalf("got %+v, %v", page, err)
	}
	got := ""
	for _, s := range page.Sessions {
		got += s.UserID + "=" + s.UserName + "@" + s.IbName + " "
	}
	if want := "ann=Анна@Склад zoe=Администратор@Склад "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for text, want := range map[string]int{"АННА": 1, "администр": 1, "клад": 2, "Главная": 0} {
		if page, err = d.Sessions(t.Context(), control.SessionQuery{Text: text}); err != nil || page.Total != want {
			t.Errorf("%q: %d sessions, %v, want %d", text, page.Total, err, want)
		}
	}
}

func TestPeopleAreFoundWhoeverKnowsOfThem(t *testing.T) {
	t.Parallel()
	d, a := named(t)
	d.connect(a, "ib1", "ann", "")
	d.connect(a, "ib2", "ann", "")
	d.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "bob"},
		wire.Message{Topic: "secret"})
	for text, want := range map[string]string{
		"":      "ann@ib1 1, ann@ib2 1, bob@ib1 0, eve@ 0, ",
		"АНН":   "ann@ib1 1, ann@ib2 1, ",
		"ann":   "ann@ib1 1 exact, ann@ib2 1 exact, ",
		"борис": "bob@ib1 0 exact, ",
		"ев":    "eve@ 0, ",
		"zoe":   "",
	} {
		found, err := d.People(t.Context(), a.ID, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, one := range found.People {
			got += fmt.Sprintf("%s@%s %d%s, ", one.UserID, one.IbID, one.Sessions,
				map[bool]string{true: " exact"}[one.Exact])
		}
		if got != want || found.Total != len(found.People) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if found, err := d.People(t.Context(), "", "", 1); err != nil || len(found.People) != 1 || found.Total != 4 {
		t.Errorf("one of all: %+v, %v", found, err)
	}
	for _, limit := range []string{"0", "201", "x", "-1", "9223372036854775808"} {
		if got := d.do("GET", "/v1/people?limit="+limit, ""); got.status != http.StatusBadRequest {
			t.Errorf("limit %s: answered %d", limit, got.status)
		}
	}
}

func TestExplainsWhatWasSentMeanwhile(t *testing.T) {
	t.Parallel()
	d, a := named(t)
	send := func(to wire.Recipient) {
		t.Helper()
		if _, err := d.Send(t.Context(), a.ID, to, wire.Message{Topic: "secret"}); err != nil {
			t.Fatal(err)
		}
	}
	d.connect(a, "ib2", "eve", "")
	send(wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "ann"})
	send(wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "ann"})
	send(wire.Recipient{Type: wire.ToAll, IbID: "ib1"})
	send(wire.Recipient{Type: wire.ToUser, IbID: "IB1 ", UserID: "{Ann}"})
	send(wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "bob"})
	send(wire.Recipient{Type: wire.ToUser, IbID: "ib2", UserID: "eve"}) // who is there

	got, err := d.Explain(t.Context(), a.ID, "ib1", "ann", "")
	if err != nil {
		t.Fatal(err)
	}
	if got.UserName != "Анна" || got.IbName != "Склад" {
		t.Errorf("called %q, %q", got.UserName, got.IbName)
	}
	if len(got.Unmet) != 2 || got.Unmet[0].Type != "all" || got.Unmet[1].Count != 2 ||
		got.Unmet[1].UserName != "Анна" || got.Unmet[1].First.After(got.Unmet[1].Last) {
		t.Errorf("reached nobody: %+v", got.Unmet)
	}
	if len(got.UnmetOtherSpelling) != 1 || got.UnmetOtherSpelling[0].UserID != "{Ann}" ||
		got.UnmetOtherSpelling[0].IbID != "IB1 " {
		t.Errorf("spelt otherwise: %+v", got.UnmetOtherSpelling)
	}
	if want := []control.Infobase{{AppID: a.ID, ID: "ib2", Name: "склад", Sessions: 1}}; !cmp.Equal(got.SameName,
		want) {
		t.Errorf("of the same name: %+v, want %+v", got.SameName, want)
	}
	if !cmp.Equal(got.InfobaseNames, map[string]string{"ib2": "склад"}) {
		t.Errorf("names of infobases: %v", got.InfobaseNames)
	}
	if got, err = d.Explain(t.Context(), a.ID, "ib2", "eve", ""); err != nil || len(got.Unmet) != 0 ||
		got.ConnectedTotal != 1 || got.Connected[0].UserName != "Ева" {
		t.Errorf("who is there: %+v, %v", got, err)
	}

	all, err := d.Infobases(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, ib := range all {
		said += fmt.Sprintf("%s %q %d %d %d, ", ib.ID, ib.Name, ib.Sessions, ib.Messages, ib.Unmatched)
	}
	if want := `IB1  "" 0 1 1, ib4 "Архив" 0 0 0, ib1 "Склад" 0 4 4, ib2 "склад" 1 1 0, `; said != want {
		t.Errorf("infobases: %s, want %s", said, want)
	}
	if _, err = d.Infobases(t.Context(), "elsewhere"); err == nil {
		t.Error("infobases of an app that is not there")
	}
}

// What is changed about names at one node the others take over. Who is away is named, and is
// not given an older table in place of a newer one when it is back.
func TestNamesGoToAllNodes(t *testing.T) {
	t.Parallel()
	sv := startService(t, 3)
	a := sv.share("one")
	one, two, three := sv.nodes[0], sv.nodes[1], sv.nodes[2]
	file := func(d *daemon) string {
		t.Helper()
		var file bytes.Buffer
		if err := d.ExportNames(t.Context(), a.ID, &file); err != nil {
			t.Fatal(err)
		}
		return file.String()
	}
	changed := func(report control.NamesReport, err error, pending ...string) {
		t.Helper()
		if err != nil || !slices.Equal(report.PendingNodes, pending) {
			t.Fatalf("%+v, %v, want %q pending", report, err, pending)
		}
	}
	report, err := one.ImportNames(t.Context(), a.ID, strings.NewReader(namesFile), false)
	changed(report, err)
	for _, d := range sv.nodes {
		if file(d) != file(one) || file(d) == "" {
			t.Errorf("there is %q", file(d))
		}
	}
	if got := two.log.Count(`action="take names"`); got != 1 {
		t.Errorf("%d times logged by a node that took names over, want once", got)
	}
	report, err = two.SetName(t.Context(), a.ID, control.Name{Kind: "user", ID: "zoe", Name: "Зоя"})
	changed(report, err)
	if !strings.Contains(file(one), "Зоя") || !strings.Contains(file(three), "Зоя") {
		t.Errorf("one name: %q, %q", file(one), file(three))
	}

	sv.turn("web3", lost)
	report, err = one.ClearNames(t.Context(), a.ID)
	changed(report, err, "web3")
	if file(two) != "" || file(three) == "" {
		t.Errorf("taken away: %q, %q", file(two), file(three))
	}
}

func TestOlderNamesOfAnotherNodeAreNotTaken(t *testing.T) {
	t.Parallel()
	d, a := named(t)
	path := "/v1/apps/" + a.ID + "/names"
	var times []control.NamesTime
	if got := d.do("GET", "/v1/names", ""); json.Unmarshal([]byte(got.body), &times) != nil || len(times) != 1 ||
		times[0].AppID != a.ID || times[0].Names != 6 || times[0].At == 0 {
		t.Fatalf("times: %+v", times)
	}
	for _, test := range []struct {
		method, at, body string
		status, names    int
	}{
		{"PUT", "1", "user;1;old", 200, 6}, {"DELETE", "1", "", 200, 6}, {"PUT", "x", "user;1;old", 400, 6},
		{"DELETE", "-1", "", 400, 6}, {"PUT", fmt.Sprint(times[0].At + 1), "user;1;new", 200, 1},
		{"DELETE", fmt.Sprint(times[0].At + 2), "", 200, 0}, {"PUT", fmt.Sprint(times[0].At + 1), "user;1;new", 200, 0},
	} {
		got := d.do(test.method, path+"?at="+test.at, test.body)
		all, err := d.Names(t.Context(), a.ID)
		if got.status != test.status || err != nil || len(all) != test.names {
			t.Errorf("%s of %s: %d %s, %d names, %v", test.method, test.at, got.status, got.body, len(all), err)
		}
	}
}
