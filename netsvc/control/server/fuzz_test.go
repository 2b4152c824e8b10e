package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// fuzzedRoutes are those that take something from outside. ID stands for an app
// that is there.
var fuzzedRoutes = []string{
	"GET /v1/sessions", "POST /v1/messages", "POST /v1/apps", "PATCH /v1/apps/ID", "POST /v1/apps/ID/server-key", "POST /v1/apps/ID/client-key",
	"POST /v1/import", "GET /v1/status", "GET /v1/apps/", "DELETE /v1/sessions/",
}

// FuzzRequest: whatever is asked, it is answered or refused with a reason, never
// with a failure of the daemon; what was refused has changed nothing; and the
// objects stay whole.
func FuzzRequest(f *testing.F) {
	d := start(f, nil)
	id := d.newApp("fuzzed").ID
	message := `{"app_id":"` + id + `","recipient":{"type":"user","ib_id":"i","user_id":"u"},"message":{"topic":"t","data":{"a":"b"}}}`
	keys := "#T\r\n0f8fad5b-d9cb-469f-a165-70867728950e\r\n" + strings.Repeat("aB3", 21) + "x\r\nIAAAABAAAAA" + strings.Repeat("A", 64) + "=\r\nTOKEN:1\r\n"
	for i, seeds := range [][2]string{
		{"app=" + id + "&ib=i&user=u&group=g&q=x&sort=-user&limit=5", ""}, {"", message}, {"", `{"title":"Моя база"}`}, {"", `{"title":"two"}`},
		{"", `{"grace":"24h"}`}, {"", `{"grace":3600.5}`}, {"", keys}, {"", ""}, {"", ""}, {"", ""},
	} {
		f.Add(uint8(i), seeds[0], "", []byte(seeds[1]))
	}
	f.Add(uint8(0), "after=eyJpZCI6MX0&sort=addr", "", []byte{})
	f.Add(uint8(1), "", "", []byte("\uFEFF"+message))
	f.Add(uint8(8), "", "%2e%2e/"+id, []byte{})
	f.Add(uint8(9), "", "18446744073709551616", []byte{})
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, route uint8, query, element string, body []byte) {
		d.t = t
		method, target, _ := strings.Cut(fuzzedRoutes[int(route)%len(fuzzedRoutes)], " ")
		target = strings.Replace(target, "ID", id, 1)
		if strings.HasSuffix(target, "/") {
			target += url.PathEscape(element)
		}
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
			query = url.QueryEscape(query) // no client can say it otherwise
		}
		if query != "" {
			target += "?" + query
		}
		before := describeAll(d)
		got := d.do(method, target, string(body))
		switch {
		case got.status >= 500:
			t.Fatalf("%s %s: answered %d %s\n%s", method, target, got.status, got.body, d.log)
		case got.status >= 400:
			got.code(t)
			if after := describeAll(d); after != before {
				t.Errorf("%s %s: was refused with %s, and changed\n%s\nto\n%s", method, target, got.body, before, after)
			}
		case !json.Valid([]byte(got.body)):
			t.Errorf("%s %s: answered %d with no JSON: %s", method, target, got.status, got.body)
		}
		tidy(t, d, id)
	})
}

func describeAll(d *daemon) string { return d.do("GET", "/v1/apps", "").body }

// tidy brings the daemon back to the one app with few keys.
func tidy(t *testing.T, d *daemon, id string) {
	apps, err := d.Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		if a.ID != id {
			_, err = d.RemoveApp(t.Context(), a.ID)
		} else if a.OldServerKeyUntil != nil {
			_, err = d.RotateServerKey(t.Context(), id, 0)
		} else if a.OldClientKeyUntil != nil {
			_, err = d.RotateClientKey(t.Context(), id, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFuzzedRoutesExist(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for _, route := range fuzzedRoutes {
		method, target, _ := strings.Cut(route, " ")
		if strings.HasSuffix(target, "/") {
			target += "x"
		}
		if got := d.do(method, target, ""); got.status == http.StatusMethodNotAllowed || got.status == http.StatusNotFound && got.code(t) == control.CodeNotFound {
			t.Errorf("%s: answered %d", route, got.status)
		}
	}
}
