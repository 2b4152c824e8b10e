package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
)

func TestARouteThatOnlyReadsIsAGetAndNoOtherIs(t *testing.T) {
	t.Parallel()
	for _, route := range server.Routes() {
		if route.Changes == (route.Method == http.MethodGet) {
			t.Errorf("%s %s: changes something: %t", route.Method, route.Path, route.Changes)
		}
	}
}

// What changes something is logged with who did it, and so is what gives away all
// keys at once; what is looked at every second is not.
func TestEveryRouteThatChangesSomethingIsLogged(t *testing.T) {
	t.Parallel()
	d := start(t, nil, func(o *server.Options) { o.Membership = agreeing() })
	d.reload = func(locale.Lang) (control.ReloadReport, error) { return control.ReloadReport{}, nil }
	a := d.newApp("one")
	d.connect(a, "ib", "ann", "")
	page, err := d.Sessions(t.Context(), control.SessionQuery{})
	if err != nil || len(page.Sessions) != 1 {
		t.Fatalf("sessions: %+v, %v", page, err)
	}
	bodies := map[string]string{
		"POST /v1/apps":       `{"title":"two"}`,
		"PATCH /v1/apps/{id}": `{"title":"three"}`,
		"POST /v1/messages":   fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{}}`, a.ID),
		"PUT /v1/log-level":   `{"level":"Debug"}`,

		"PUT /v1/apps/{id}/names":       "user;1;Ann",
		"PATCH /v1/apps/{id}/names":     `{"kind":"user","id":"2","name":"Bob"}`,
		"POST /v1/apps/{id}/revoke-old": `{"server":true,"client":true}`,
		"POST /v1/rotate":               fmt.Sprintf(`{"apps":[{"id":%q,"server":true}]}`, a.ID),
		"POST /v1/cluster/join":         `{"apps":"merge"}`,
	}
	d.upgrade = func(context.Context) (string, error) { return "id", nil }
	queries := map[string]string{"/v1/explain": "?app=" + a.ID + "&ib=ib&user=ann"}
	keys := []string{"/v1/export", "/v1/backup"}
	routes := server.Routes()
	// The session goes first, before its key does, and the app last.
	slices.SortStableFunc(routes, func(a, b server.Route) int {
		turn := func(r server.Route) int {
			return strings.Count(r.Method+r.Path+"$", "DELETE/v1/apps/{id}$") - strings.Count(r.Method+r.Path,
				"DELETE/v1/sessions")
		}
		return turn(a) - turn(b)
	})
	for _, route := range routes {
		id := a.ID
		if strings.HasPrefix(route.Path, "/v1/sessions/") {
			id = page.Sessions[0].ID
		}
		before := d.log.Count("msg=administration")
		got := d.do(route.Method, strings.Replace(route.Path, "{id}", id, 1)+queries[route.Path],
			bodies[route.Method+" "+route.Path])
		if got.status >= 300 {
			t.Errorf("%s %s: answered %d %s", route.Method, route.Path, got.status, got.body)
		}
		logged := d.log.Count("msg=administration") > before
		if want := route.Changes || slices.Contains(keys, route.Path); logged != want {
			t.Errorf("%s %s: logged: %t, want %t", route.Method, route.Path, logged, want)
		}
	}
}

func TestEveryAnswerSaysTheVersion(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for name, got := range map[string]answer{
		"an object":   d.do("GET", "/v1/status", ""),
		"a stream":    d.do("GET", "/v1/logs", ""),
		"a refusal":   d.do("GET", "/v1/apps/x", ""),
		"no route":    d.do("GET", "/elsewhere", ""),
		"a forbidden": d.do("GET", "/v1/apps", "", "Origin", "null"),
	} {
		if version := got.header.Get(control.VersionHeader); version != "1.2.3" {
			t.Errorf("%s: %d with the version %q", name, got.status, version)
		}
	}
	client := control.NewClient(d.path)
	defer client.Close()
	var heard []string
	client.OnVersion = func(daemon string) { heard = append(heard, daemon) }
	for range 2 {
		if _, err := client.App(t.Context(), "x"); err == nil {
			t.Fatal("found an app x")
		}
	}
	if !slices.Equal(heard, []string{"1.2.3"}) {
		t.Errorf("heard %v, want the version once", heard)
	}
}
