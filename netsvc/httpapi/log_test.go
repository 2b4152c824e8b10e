package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
)

func TestNoSecretReachesTheLog(t *testing.T) {
	t.Parallel()
	c, _ := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(time.Hour))
	for name, options := range map[string]httpapi.Options{"HTTP": {}, "HTTPS": {Certificate: c}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, options, nil)
			a := s.newApp("one")
			key, token := a.ServerKeys[0].Key, s.token(a)
			s.connect(a, "ib", "ann", "")
			const content = "зарплата-42"
			message := func(format string) string { return strings.ReplaceAll(format, "SECRET", content) }
			bodies := []string{
				message(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"SECRET"}}`),
				message(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"SECRET"}`),
				message(`{"Recipient":{"Type":"SECRET","IbId":"ib"},"Message":{}}`),
				message(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Data":{"SECRET":1}}}`),
				message(`SECRET`), message(`{"SECRET"`), message(`{"Message":{"Data":["SECRET"]}}`),
				strings.Repeat("SECRET", 1<<18),
			}
			for _, target := range []string{
				"/auth?server_key=" + key, "/auth?server_key=" + key + "x", "/auth?key=" + key, "/auth;" + key + "?" +
					key,
				"/auth?a;server_key=" + key, "/auth/" + key, "/auth&server_key=" + key, "/" + key, "/" + token + "/x",
				"//auth?server_key=" + key,
				"/sendmessage?token=" + token, "/%2e%2e/" + key, "/auth=" + key, "/auth%20" + key,
			} {
				for _, header := range []http.Header{nil, bearer(token), bearer(token + "x"),
					{"Authorization": {"Basic " + token}},
					{"Authorization": {key}}} {
					s.do(tlsClient(), http.MethodGet, target, header, nil)
					for _, body := range bodies {
						s.do(tlsClient(), http.MethodPost, target, header, strings.NewReader(body))
					}
				}
			}
			for _, garbage := range []string{
				"GET /auth?server_key=" + key + "\r\n\r\n",
				"GET /auth?server_key=" + key + " HTTP/9.9\r\n\r\n",
				"GET /auth?server_key=" + key + "\x00 HTTP/1.1\r\n\r\n",
				"POST /sendmessage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
					"\r\nContent-Length: x\r\n\r\n",
				"POST /sendmessage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
					"\r\nTransfer-Encoding: chunked\r\n\r\n" + content + "\r\n",
				"GET /auth?server_key=" + strings.Repeat(key, 400) + " HTTP/1.1\r\n\r\n",
			} {
				conn := s.raw()
				conn.write(garbage)
				conn.in.ReadString('\n')
				conn.Close()
			}
			if name == "HTTPS" { // plain HTTP on a port for HTTPS
				plain := strings.Replace(s.url, "https:", "http:", 1)
				if response, err := http.Get(plain + "/auth?server_key=" + key); err == nil {
					response.Body.Close()
				}
			}
			s.stop()
			log := s.log.String()
			if !strings.Contains(log, "level=DEBUG") || !strings.Contains(log, "level=WARN") {
				t.Fatalf("the log is not complete:\n%s", log)
			}
			for what, secret := range map[string]string{
				"key": key[:16], "end of the key": key[48:], "token": token[:16], "end of the token": token[48:],
				"content": content, "query": "server_key=",
			} {
				if at := strings.Index(log, secret); at >= 0 {
					t.Errorf("the log shows the %s: …%s", what, log[max(0, at-200):min(len(log), at+100)])
				}
			}
		})
	}
}

func TestLogsARefusalWithReasonClientAndPath(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	s.get("/auth?server_key=nonsense")
	s.send(s.token(a), `{"Recipient":{}}`)
	for _, want := range [][]string{
		{"level=WARN", `msg="request refused"`, "reason=unknown_server_key", "peer=127.0.0.1", "path=/auth",
			"status=401"},
		{"level=WARN", "reason=bad_request", "path=/sendmessage", "app=" + a.ID, "Message: is required"},
	} {
		found := false
		for line := range strings.Lines(s.log.String()) {
			all := true
			for _, part := range want {
				all = all && strings.Contains(line, part)
			}
			found = found || all
		}
		if !found {
			t.Errorf("no record with %v in\n%s", want, s.log)
		}
	}
}

func TestCountsARepeatedRefusalInsteadOfLoggingIt(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	const times = 50
	for range times {
		s.get("/auth?server_key=nonsense")
	}
	s.get("/auth")
	s.stop() // writes what was only counted
	if got := s.log.Count("reason=unknown_server_key"); got != 2 {
		t.Errorf("%d records of %d refusals, want the first and a summary:\n%s", got, times, s.log)
	}
	if s.log.Count("more=49") != 1 || s.log.Count("reason=no_server_key") != 1 {
		t.Errorf("want a summary of 49 and the other reason apart:\n%s", s.log)
	}
}

func TestTakesTheClientsAddressFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for name, test := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                 {"203.0.113.9:1", nil, "203.0.113.9"},
		"a stranger who claims":    {"203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		"loopback":                 {"127.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"loopback, IPv6":           {"[::1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"a trusted proxy":          {"10.1.2.3:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"mapped to IPv6":           {"[::ffff:10.1.2.3]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"a forged one to the left": {"10.1.2.3:1", []string{"192.0.2.66, 198.51.100.1"}, "198.51.100.1"},
		"two proxies":              {"10.1.2.3:1", []string{"192.0.2.66, 198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		"two proxies, two fields": {"10.1.2.3:1", []string{"192.0.2.66,198.51.100.1", "10.9.9.9"},
			"198.51.100.1"},
		"an untrusted proxy in between": {"10.1.2.3:1", []string{"198.51.100.1, 203.0.113.5, 10.9.9.9"}, "203.0.113.5"},
		"only proxies":                  {"10.1.2.3:1", []string{"10.1.1.1, 10.2.2.2"}, "10.1.1.1"},
		"with a port, as IIS writes it": {"10.1.2.3:1", []string{"198.51.100.1:50123"}, "198.51.100.1"},
		"IPv6 in brackets with a port":  {"10.1.2.3:1", []string{"[2001:db9::7]:50123"}, "2001:db9::7"},
		"IPv6 through an IPv6 proxy":    {"[2001:db8::1]:1", []string{"2001:db9::7"}, "2001:db9::7"},
		"unknown":                       {"10.1.2.3:1", []string{"unknown"}, "10.1.2.3"},
		"nonsense left of a proxy":      {"10.1.2.3:1", []string{"<script>, 10.9.9.9"}, "10.9.9.9"},
		"empty":                         {"10.1.2.3:1", []string{""}, "10.1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			log, out := testlog.New()
			server := httpapi.New(httpapi.Options{Logger: log, Limits: httpapi.Limits{TrustedProxies: trusted}})
			r := httptest.NewRequest(http.MethodGet, "/nowhere", nil)
			r.RemoteAddr = test.peer
			r.Header["X-Forwarded-For"] = test.forwarded
			server.Handler().ServeHTTP(httptest.NewRecorder(), r)
			if !strings.Contains(out.String(), "peer="+test.want+" ") {
				t.Errorf("want peer=%s in %s", test.want, out)
			}
		})
	}
}

func TestCountsWhatItAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	token := s.authorize(a, "").AccessToken
	for range 3 {
		s.send(token, toAll)
	}
	s.send(token, "")
	s.send("nonsense", toAll)
	s.get("/nowhere")
	s.get("/auth")
	got := fmt.Sprint(s.http.Stats())
	want := fmt.Sprint(httpapi.Stats{
		Status: map[int]uint64{200: 4, 400: 1, 401: 2, 404: 1},
		Refused: map[httpapi.Reason]uint64{
			httpapi.ReasonBadRequest: 1, httpapi.ReasonBadToken: 1, httpapi.ReasonNoServerKey: 1,
			httpapi.ReasonUnknownPath: 1,
		},
		RefusedByApp: map[string]uint64{a.ID: 1},
	})
	if got != want {
		t.Errorf("Stats() = %s\nwant      %s", got, want)
	}
}
