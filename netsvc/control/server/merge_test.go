package server_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// send has a node send a message to a user of an infobase.
func (d *daemon) send(a control.App, ib, user string) {
	d.t.Helper()
	to := wire.Recipient{Type: wire.ToUser, IbID: ib, UserID: user}
	if _, err := d.Send(d.t.Context(), a.ID, to, wire.Message{Topic: "t"}); err != nil {
		d.t.Fatal(err)
	}
}

func TestAnExplanationIsThatOfAllNodes(t *testing.T) {
	t.Parallel()
	sv := startService(t, 3)
	a := sv.share("one")
	for _, d := range sv.nodes[1:] {
		d.send(a, "ib", "ann") // to nobody yet
	}
	gone := sv.nodes[1].connect(a, "ib", "ann", "")
	gone.Close()
	eventually(t, "the session has ended", func() bool { n, _ := sv.nodes[1].hub.AppSessions(a.ID); return n == 0 })
	sv.nodes[1].connect(a, "ib", "ann", "sales")
	sv.nodes[2].connect(a, "ib", "ann", "sales")
	sv.nodes[2].connect(a, "other", "ANN", "")
	for i, d := range sv.nodes {
		d.history.RequestRefused(httpapi.Refused{Time: now.Add(time.Duration(i) * time.Minute), AppID: a.ID,
			Reason: "bad_token", Peer: netip.MustParseAddr("10.0.0." + fmt.Sprint(i+1))})
	}

	got, err := sv.nodes[0].Explain(t.Context(), a.ID, "ib", "ann", "")
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, s := range got.Connected {
		at = append(at, s.Node)
	}
	if !slices.Equal(at, []string{"web2", "web3"}) || got.ConnectedTotal != 2 || got.InfobaseSessions != 2 {
		t.Errorf("connected at %v, %d in all, %d in the infobase", at, got.ConnectedTotal, got.InfobaseSessions)
	}
	if got.Infobases != nil {
		t.Errorf("infobases with sessions in place of one that has some: %v", got.Infobases)
	}
	if len(got.OtherPlaces) != 1 || got.OtherPlaces[0].Node != "web3" {
		t.Errorf("other places: %+v", got.OtherPlaces)
	}
	if got.LastClosed == nil || got.LastClosed.Session.Node != "web2" {
		t.Errorf("closed last: %+v", got.LastClosed)
	}
	if len(got.Unmet) != 1 || got.Unmet[0].Count != 2 || len(got.Unmet[0].Spans) != 2 {
		t.Errorf("messages to nobody: %+v", got.Unmet)
	}
	var refusedAt []string
	for _, r := range got.RefusedRequests {
		refusedAt = append(refusedAt, r.Addr)
	}
	if !slices.Equal(refusedAt, []string{"10.0.0.3", "10.0.0.2", "10.0.0.1"}) || got.MissingNodes != nil {
		t.Errorf("refused requests of %v, without %v", refusedAt, got.MissingNodes)
	}

	sv.turn("web3", lost)
	got, err = sv.nodes[0].Explain(t.Context(), a.ID, "ib", "", "sales")
	if err != nil || got.ConnectedTotal != 1 || !slices.Equal(got.MissingNodes, []string{"web3"}) {
		t.Errorf("without a node: %d connected, without %v, %v", got.ConnectedTotal, got.MissingNodes, err)
	}
	nobody, err := sv.nodes[0].Explain(t.Context(), a.ID, "nowhere", "ann", "")
	if err != nil || nobody.Infobases["ib"] != 1 || len(nobody.Infobases) != 1 {
		t.Errorf("an infobase without sessions: the others are %v, %v", nobody.Infobases, err)
	}
}

func TestAppsAreUsedOnAllNodes(t *testing.T) {
	t.Parallel()
	sv := startService(t, 3)
	a, b := sv.share("one"), sv.share("two")
	sv.nodes[0].connect(a, "ib", "ann", "")
	sv.nodes[1].connect(a, "ib", "bob", "")
	sv.nodes[2].connect(b, "ib", "bob", "")
	apps, err := sv.nodes[0].Apps(t.Context())
	sessions := make(map[string]int)
	for _, one := range apps {
		sessions[one.ID] = one.Sessions
	}
	if err != nil || !maps.Equal(sessions, map[string]int{a.ID: 2, b.ID: 1}) {
		t.Errorf("sessions: %v, %v", sessions, err)
	}
	sv.turn("web2", lost)
	one, err := sv.nodes[0].App(t.Context(), a.ID)
	if err != nil || one.Sessions != 1 || !slices.Equal(one.MissingNodes, []string{"web2"}) {
		t.Errorf("without a node: %d sessions, without %v, %v", one.Sessions, one.MissingNodes, err)
	}
}

func TestAChangeSaysWhichNodesHaveItNotYet(t *testing.T) {
	t.Parallel()
	settled := agreeing()
	settled.Settle = func(context.Context, string) ([]string, int) { return []string{"web3", "web2"}, 4 }
	sv := startService(t, 1, func(o *server.Options) { o.Membership = settled })
	d := sv.nodes[0]
	a := d.newApp("one")
	d.connect(a, "ib", "ann", "")
	late := []string{"web3", "web2"}
	check := func(what string, got control.AppChange, err error, closed int) {
		t.Helper()
		if err != nil || !slices.Equal(got.PendingNodes, late) || got.ClosedSessions != closed {
			t.Errorf("%s: pending %v, closed %d, %v", what, got.PendingNodes, got.ClosedSessions, err)
		}
	}
	plain := func(a control.App, err error) (control.AppChange, error) { return control.AppChange{App: a}, err }
	renamed, err := plain(d.RenameApp(t.Context(), a.ID, "two"))
	check("rename", renamed, err, 0)
	reset, err := plain(d.ResetToken(t.Context(), a.ID))
	check("reset tokens", reset, err, 0)
	change, err := d.RotateClientKey(t.Context(), a.ID, 0)
	check("new client key", change, err, 5)
	change, err = d.RotateServerKey(t.Context(), a.ID, time.Hour)
	check("new server key", change, err, 4)
	change, err = d.RevokeOld(t.Context(), a.ID, true, true)
	check("revoke", change, err, 4)
	changes, err := d.Rotate(t.Context(), []control.Rotation{{ID: a.ID, Server: true}}, time.Hour)
	if err != nil || len(changes) != 1 {
		t.Fatalf("rotate: %v, %v", changes, err)
	}
	check("rotate", changes[0], nil, 4)
	change, err = d.RemoveApp(t.Context(), a.ID)
	check("remove", change, err, 4)
	made, err := plain(d.CreateApp(t.Context(), "three"))
	late = []string{"web2", "web3"}
	check("create", made, err, 0)
	var exported strings.Builder
	if err := d.Export(t.Context(), &exported); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RemoveApp(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	report, err := d.Import(t.Context(), strings.NewReader(exported.String()))
	if err != nil || len(report.Imported) != 1 || !slices.Equal(report.PendingNodes, late) {
		t.Errorf("import: %+v, %v", report, err)
	}
}

func TestPeopleAndInfobasesAreThoseOfAllNodes(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	a := sv.share("one")
	sv.nodes[0].connect(a, "ib", "ann", "")
	sv.nodes[1].connect(a, "ib", "ann", "")
	sv.nodes[1].connect(a, "ib", "joanna", "")
	sv.nodes[1].connect(a, "other", "bob", "")
	sv.nodes[1].send(a, "ib", "nobody")
	joanna := control.Name{Kind: "user", ID: "joanna", Name: "Joanna"}
	if _, err := sv.nodes[0].SetName(t.Context(), a.ID, joanna); err != nil {
		t.Fatal(err)
	}
	people, err := sv.nodes[0].People(t.Context(), "", "ann", 0)
	want := []control.Person{
		{AppID: a.ID, IbID: "ib", UserID: "ann", Sessions: 2, Exact: true},
		{AppID: a.ID, IbID: "ib", UserID: "joanna", UserName: "Joanna", Sessions: 1},
	}
	if err != nil || !slices.Equal(people.People, want) || people.Total != 2 {
		t.Errorf("people: %+v of %d, %v", people.People, people.Total, err)
	}
	infobases, err := sv.nodes[0].Infobases(t.Context(), a.ID)
	if err != nil || len(infobases) != 2 || infobases[0].ID != "ib" || infobases[0].Sessions != 3 ||
		infobases[0].Messages != 1 || infobases[0].Unmatched != 1 || infobases[1].Sessions != 1 {
		t.Errorf("infobases: %+v, %v", infobases, err)
	}
	sv.turn("web2", lost)
	if people, err = sv.nodes[0].People(t.Context(), "", "ann", 0); err != nil || !slices.Equal(people.MissingNodes,
		[]string{"web2"}) {
		t.Errorf("without a node: %+v, %v", people, err)
	}
}

func TestSentNamesTheNodesThatMayNotHaveTheMessage(t *testing.T) {
	t.Parallel()
	sv := startService(t, 1)
	d := sv.nodes[0]
	a := d.newApp("one")
	d.publish = func(context.Context, string, wire.Recipient, wire.Message) hub.Delivery {
		return hub.Delivery{Reach: hub.Reach{Sessions: 3}, Unconfirmed: []string{"web3"}}
	}
	got := d.do("POST", "/v1/messages", fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{}}`,
		a.ID))
	if want := `{"sessions":3,"unconfirmed_nodes":["web3"]}` + "\n"; got.body != want {
		t.Errorf("got %s want %s", got.body, want)
	}
}

func TestEventsTellOfOtherNodes(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.newApp("one")
	d.history.NodeChanged("web2", "lost")
	got := d.do("GET", "/v1/events?event=node", "")
	if _, rest, _ := strings.Cut(got.body, ","); rest != `"event":"node","change":"lost","peer_node":"web2"}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	if got := d.do("GET", "/v1/events?q=WEB2", ""); strings.Count(got.body, "\n") != 1 {
		t.Errorf("searched for: %s", got.body)
	}
}

// A daemon that is alone answers as it did before there were clusters.
func TestADaemonThatIsAloneKnowsNoNodes(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	d.connect(a, "ib", "ann", "")
	message := fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{}}`, a.ID)
	for _, request := range []struct{ method, target, body string }{
		{"GET", "/v1/status", ""},
		{"GET", "/v1/sessions", ""},
		{"GET", "/v1/sessions?limit=1&offset=0", ""},
		{"GET", "/v1/apps", ""},
		{"GET", "/v1/apps/" + a.ID, ""},
		{"GET", "/v1/people?q=ann", ""},
		{"GET", "/v1/infobases", ""},
		{"GET", "/v1/explain?app=" + a.ID + "&ib=ib&user=ann", ""},
		{"GET", "/v1/events", ""},
		{"POST", "/v1/messages", message},
		{"POST", "/v1/apps/" + a.ID + "/server-key", ""},
		{"DELETE", "/v1/sessions/1", ""},
		{"DELETE", "/v1/apps/" + a.ID, ""},
	} {
		got := d.do(request.method, request.target, request.body)
		for _, strange := range []string{"node", "cluster", "pending", "@"} {
			if got.status >= 300 || strings.Contains(got.body, strange) {
				t.Errorf("%s %s: %d with %q: %s", request.method, request.target, got.status, strange, got.body)
			}
		}
	}
}
