package server_test

import (
	"encoding/base64"
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
	"GET /v1/sessions", "POST /v1/messages", "POST /v1/apps", "PATCH /v1/apps/ID", "POST /v1/apps/ID/server-key",
	"POST /v1/apps/ID/client-key",
	"POST /v1/import", "GET /v1/status", "GET /v1/apps/", "DELETE /v1/sessions/",
}

// FuzzRequest: whatever is asked, it is answered or refused with a reason, never
// with a failure of the daemon; what was refused has changed nothing; and the
// objects stay whole.
func FuzzRequest(f *testing.F) {
	d := start(f, nil)
	id := d.newApp("fuzzed").ID
	message := `{"app_id":"` + id +
		`","recipient":{"type":"user","ib_id":"i","user_id":"u"},"message":{"topic":"t","data":{"a":"b"}}}`
	keys := "#T\r\n0f8fad5b-d9cb-469f-a165-70867728950e\r\n" + strings.Repeat("aB3", 21) + "x\r\nIAAAABAAAAA" +
		strings.Repeat("A", 64) + "=\r\nTOKEN:1\r\n"
	for i, seeds := range [][2]string{
		{"app=" + id + "&ib=i&user=u&group=g&q=x&sort=-user&limit=5", ""}, {"", message}, {"", `{"title":"Моя база"}`},
		{"", `{"title":"two"}`},
		{"", `{"grace":"24h"}`}, {"", `{"grace":3600.5}`}, {"", keys}, {"", ""}, {"", ""}, {"", ""},
	} {
		f.Add(uint8(i), seeds[0], "", []byte(seeds[1]))
	}
	f.Add(uint8(0), "after=eyJpZCI6MX0&sort=addr", "", []byte{})
	f.Add(uint8(0), "offset=9223372036854775807&limit=1000", "", []byte{})
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

// numbers are the parameters and fields that hold one, with NUMBER in its place.
var numbers = []struct{ route, query, element, body string }{
	{"GET /v1/sessions", "limit=NUMBER", "", ""}, {"GET /v1/sessions", "offset=NUMBER", "", ""},
	{"GET /v1/sessions", "offset=NUMBER&limit=NUMBER&sort=-since", "", ""},
	{"GET /v1/sessions", "after=CURSOR", "", ""}, {"GET /v1/sessions", "after=CURSOR&limit=NUMBER&sort=since", "", ""},
	{"GET /v1/logs", "tail=NUMBER", "", ""}, {"GET /v1/events", "tail=NUMBER", "", ""},
	{"DELETE /v1/sessions/", "", "NUMBER", ""},
	{"DELETE /v1/sessions/", "since=NUMBER", "1", ""},
	{"POST /v1/apps/ID/server-key", "", "", `{"grace":NUMBER}`},
	{"POST /v1/apps/ID/client-key", "", "", `{"grace":NUMBER}`},
	{"POST /v1/apps/ID/client-key", "", "", `{"grace":"NUMBERh"}`},
	{"POST /v1/apps/ID/client-key", "", "", `{"grace":"NUMBER"}`},
}

// FuzzNumber: whatever number stands where one is expected, it is taken or refused
// with a reason.
func FuzzNumber(f *testing.F) {
	d := start(f, nil)
	a := d.newApp("fuzzed")
	id := a.ID
	d.connect(a, "ib", "ann", "")
	for where := range numbers {
		for _, n := range []string{
			"0", "-1", "1", "1000", "1001", "2147483648", "9223372036854775807", "9223372036854775806",
			"-9223372036854775808",
			"18446744073709551615",
			"1e18", "1e308", "-1e308", "1.5", "0.0000001", "9223372036.854775807", "106751991167300", "x", "",
		} {
			f.Add(uint8(where), n)
		}
	}
	f.Fuzz(func(t *testing.T, where uint8, number string) {
		d.t = t
		at := numbers[int(where)%len(numbers)]
		cursor, _ := json.Marshal(map[string]any{"n": json.Number("0"), "id": 0})
		put := func(text string) string {
			return strings.NewReplacer("NUMBER", number, "ID", id,
				"CURSOR",
				base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(cursor), "0",
					number)))).Replace(text)
		}
		method, target, _ := strings.Cut(at.route, " ")
		target = put(target)
		if at.element != "" {
			target += url.PathEscape(put(at.element))
		}
		if at.query != "" {
			values, err := url.ParseQuery(at.query)
			if err != nil {
				t.Fatal(err)
			}
			for name := range values {
				values.Set(name, put(values.Get(name)))
			}
			target += "?" + values.Encode()
		}
		got := d.do(method, target, put(at.body))
		if got.status >= 500 {
			t.Fatalf("%s %s %s: answered %d %s\n%s", method, target, put(at.body), got.status, got.body, d.log)
		}
		if got.status >= 400 {
			got.code(t)
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
		if got := d.do(method, target, ""); got.status == http.StatusMethodNotAllowed ||
			got.status == http.StatusNotFound &&
				got.code(t) == control.CodeNotFound {
			t.Errorf("%s: answered %d", route, got.status)
		}
	}
}
