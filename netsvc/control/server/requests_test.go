package server_test

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
)

func TestUnknownRoutesAreNotFound(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for _, target := range []string{
		"/", "/v1", "/v1/", "/v1/nothing", "/v2/status", "/status", "/v1/status/", "//v1/status", "/v1/apps/",
		"/v1/apps//server-key",
		"/v1/apps/x/y", "/v1/apps/x/server-key/", "/v1/x/../status", "/V1/status", "/v1/sessions/",
	} {
		for _, method := range []string{"GET", "POST", "BREW"} {
			got := d.do(method, target, "")
			if got.status != http.StatusNotFound || got.code(t) != control.CodeNotFound {
				t.Errorf("%s %s: answered %d %s", method, target, got.status, got.body)
			}
		}
	}
}

func TestWrongMethodsAreToldTheRightOnes(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"}
	for target, allow := range map[string]string{
		"/v1/status":             "GET",
		"/v1/apps":               "GET, POST",
		"/v1/apps/x":             "GET, PATCH, DELETE",
		"/v1/apps/x/server-key":  "POST",
		"/v1/apps/x/client-key":  "POST",
		"/v1/apps/x/reset-token": "POST",
		"/v1/sessions":           "GET",
		"/v1/sessions/x":         "DELETE",
		"/v1/messages":           "POST",
		"/v1/import":             "POST",
		"/v1/export":             "GET",
	} {
		for _, method := range methods {
			if slices.Contains(strings.Split(allow, ", "), method) {
				continue
			}
			got := d.do(method, target, "")
			if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != allow ||
				got.code(t) != control.CodeMethodNotAllowed {
				t.Errorf("%s %s: answered %d, Allow %q, %s", method, target, got.status, got.header.Get("Allow"),
					got.body)
			}
		}
	}
}

func TestUnknownParametersAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	for _, route := range []string{
		"PUT /v1/log-level", "GET /v1/metrics", "POST /v1/reload", "GET /v1/backup", "GET /v1/apps", "POST /v1/apps",
		"GET /v1/apps/ID", "PATCH /v1/apps/ID", "DELETE /v1/apps/ID", "POST /v1/apps/ID/server-key",
		"POST /v1/apps/ID/client-key", "POST /v1/apps/ID/reset-token", "POST /v1/messages", "POST /v1/import",
		"GET /v1/export",
	} {
		method, target, _ := strings.Cut(strings.Replace(route, "ID", a.ID, 1), " ")
		got := d.do(method, target+"?grace=24h", `{"title":"two"}`)
		expected := "expected none"
		if method == "GET" && strings.HasPrefix(target, "/v1/apps") {
			expected = "expected one of node"
		}
		if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadRequest ||
			!strings.Contains(got.body, expected) {
			t.Errorf("%s: answered %d %s", route, got.status, got.body)
		}
	}
	if same, err := d.App(t.Context(), a.ID); err != nil || !reflect.DeepEqual(same, a) {
		t.Errorf("a refused request did something: %+v, %v", same, err)
	}
}

func TestABadBodyIsRefused(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	titles := map[string]string{
		"":                          "empty",
		" ":                         "empty",
		"title=one":                 "invalid character",
		"[]":                        "expected an object, got array",
		`"one"`:                     "expected an object, got string",
		`{"title":1}`:               "title: expected a string, got number",
		`{"title":["one"]}`:         "title: expected a string, got array",
		`{"title":"one"`:            "ends too early",
		`{"title":"one"}{}`:         "something follows",
		`{"title":"one"}}`:          "something follows",
		`{"title":"one","grace":1}`: `unknown field \"grace\": expected one of title`,
		"{\"title\":\"\xff\"}":      "UTF-8",
		strings.Repeat("[", 20000):  "depth",
	}
	for body, says := range titles {
		for _, route := range []string{"POST /v1/apps", "PATCH /v1/apps/" + a.ID} {
			method, target, _ := strings.Cut(route, " ")
			got := d.do(method, target, body)
			if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadRequest ||
				!strings.Contains(got.body, says) {
				t.Errorf("%s with %.40q: answered %d %s, want a refusal that says %q", route, body, got.status,
					got.body, says)
			}
		}
	}
	for _, body := range []string{"24h", "[]", `{"grace":"24h"} x`, `{"keep":"24h"}`, "{"} {
		got := d.do("POST", "/v1/apps/"+a.ID+"/server-key", body)
		if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadRequest {
			t.Errorf("server-key with %q: answered %d %s", body, got.status, got.body)
		}
	}
	if same, err := d.App(t.Context(), a.ID); err != nil || !reflect.DeepEqual(same, a) {
		t.Errorf("a refused request did something: %+v, %v", same, err)
	}
}

func TestABodyOverAMebibyteIsTooLarge(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	for _, route := range []string{
		"POST /v1/apps", "PATCH /v1/apps/" + a.ID, "POST /v1/apps/" + a.ID + "/server-key", "POST /v1/messages",
		"POST /v1/apps/" + a.ID + "/reset-token",
	} {
		method, target, _ := strings.Cut(route, " ")
		body := []byte(`{"title":"` + strings.Repeat("x", 1<<20) + `"}`)
		known := d.doReading(method, target, bytes.NewReader(body))
		if known.status != http.StatusRequestEntityTooLarge || known.code(t) != control.CodeTooLarge ||
			!strings.Contains(known.body, "1048576") {
			t.Errorf("%s: answered %d %s", route, known.status, known.body)
		}
		for name, text := range map[string][]byte{"one long value": body,
			"blanks behind": append([]byte(`{"title":"x"}`), bytes.Repeat([]byte(" "), 1<<20)...)} {
			got := d.doReading(method, target, io.MultiReader(bytes.NewReader(text)))
			if got.status != http.StatusRequestEntityTooLarge || got.code(t) != control.CodeTooLarge {
				t.Errorf("%s, %s, length not said: answered %d %s", route, name, got.status, got.body)
			}
		}
	}
	padded := `{"title":"two"}` + strings.Repeat(" ", 1<<20-len(`{"title":"two"}`))
	if got := d.do("POST", "/v1/apps", padded); got.status != http.StatusCreated {
		t.Errorf("a body of exactly 1 MiB: answered %d %s", got.status, got.body)
	}
}

func TestARequestFromAWebPageIsRefused(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for _, origin := range []string{"https://evil.example", "null", "http://pns", ""} {
		got := d.do("POST", "/v1/apps", `{"title":"one"}`, "Origin", origin)
		if got.status != http.StatusForbidden || got.code(t) != control.CodeForbidden {
			t.Errorf("Origin %q: answered %d %s", origin, got.status, got.body)
		}
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("answered with %s", name)
			}
		}
	}
	if n := len(d.apps.List()); n != 0 {
		t.Errorf("%d apps were created", n)
	}
	d.log.Line(t, "level=WARN", "control request refused", "web pages")
}

func TestAPanicIsAnInternalErrorInTheLog(t *testing.T) {
	t.Parallel()
	d := start(t, func() server.Info { panic("out of order") })
	for range 2 {
		_, err := d.Status(t.Context())
		refusal := refused(t, err, http.StatusInternalServerError, control.CodeInternal)
		if strings.Contains(refusal.Message, "out of order") {
			t.Errorf("the answer shows the inside: %s", refusal.Message)
		}
	}
	d.log.Line(t, "level=ERROR", "out of order", "status.go", "path=/v1/status")
}

func TestAnswersAreNotCached(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	got := d.do("POST", "/v1/apps", `{"title":"a <b> & c"}`)
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("answered with %v", got.header)
	}
	if !strings.HasPrefix(got.header.Get("Location"), "/v1/apps/") ||
		d.do("GET", got.header.Get("Location"), "").body != got.body {
		t.Errorf("the app is not at %q", got.header.Get("Location"))
	}
	if !strings.Contains(got.body, `"a <b> & c"`) {
		t.Errorf("answered %s, want the title as it is", got.body)
	}
}

func TestCurlCanSpeakToIt(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl here")
	}
	d := start(t, nil)
	run := func(arguments ...string) string {
		out, err := exec.Command(curl,
			append([]string{"--silent", "--show-error", "--fail-with-body", "--unix-socket", d.path},
				arguments...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %q: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	if got := run("http://pns/v1/status"); !strings.Contains(got, `"version":"1.2.3"`) {
		t.Errorf("status: %s", got)
	}
	if got := run("http://pns/v1/apps", "--json", `{"title":"Моя база"}`); !strings.Contains(got,
		`"title":"Моя база"`) {
		t.Errorf("create: %s", got)
	}
	a := d.apps.List()[0]
	if got := run("-X", "POST", "http://pns/v1/apps/"+a.ID+"/client-key", "-d",
		`{"grace":"24h"}`); !strings.Contains(got, `"old_client_key_until"`) {
		t.Errorf("client key: %s", got)
	}
	if got := run("http://pns/v1/sessions?app=" + a.ID + "&limit=10"); got != "{\"sessions\":[],\"total\":0}\n" {
		t.Errorf("sessions: %s", got)
	}
	if got := run("-X", "DELETE", "http://pns/v1/apps/"+a.ID); !strings.Contains(got, `"closed_sessions":0`) {
		t.Errorf("remove: %s", got)
	}
}
