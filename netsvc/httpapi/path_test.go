package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// TestTakesTheSpellingsThatTheOldProductTakes: there are senders that write them so.
func TestTakesTheSpellingsThatTheOldProductTakes(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	key, token := a.ServerKeys[0].Key, s.token(a)
	for _, path := range []string{"/auth", "/AUTH", "/Auth/", "//auth", "/auth//", "/%61uth"} {
		for _, query := range []string{
			"server_key=" + key, "Server_Key=" + key, "SERVER_KEY=" + key + "&x=1", "x&server_key=" + key,
			"a=1;b=2&server_key=" + key,
			"server%5Fkey=" + key, "server_key=" + key + "&server_key=other", "%zz=1&server_key=" + key,
		} {
			if got := s.get(path + "?" + query); got.status != http.StatusOK {
				t.Errorf("%s?%s is answered with %d %s", path, strings.ReplaceAll(query, key, "KEY"), got.status,
					got.body)
			}
		}
		// the first one counts
		s.get(path+"?server_key=other&Server_Key="+key).wantError(t, http.StatusUnauthorized, "unknown")
		s.get(path+"?server_key=&server_key="+key).wantError(t, http.StatusUnauthorized, "missing")
		s.get(path+"?server-key="+key).wantError(t, http.StatusUnauthorized, "missing")
	}
	for _, path := range []string{"/sendmessage", "/SendMessage", "/SENDMESSAGE/", "//sendmessage"} {
		s.do(client(), http.MethodPost, path, bearer(token), strings.NewReader(toAll)).wantSent(t, 0)
	}
	s.do(client(), http.MethodPost, "/sendmessage", bearer(token+"  "), strings.NewReader(toAll)).wantSent(t, 0)
}

func TestACompressedBodyIsRefusedByName(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	with := func(encodings ...string) http.Header {
		h := bearer(token)
		h["Content-Encoding"] = encodings
		return h
	}
	for want, header := range map[string]http.Header{
		"gzip": with("gzip"), "br": with("br"), "deflate": with("identity", "deflate"),
		"gzip, zstd": with("gzip, zstd"),
		"x…":         with("x" + strings.Repeat("y", 500)),
	} {
		want = strings.TrimSuffix(want, "…")
		got := s.do(client(), http.MethodPost, "/sendmessage", header, strings.NewReader(toAll))
		got.wantError(t, http.StatusUnsupportedMediaType, "Content-Encoding "+want)
		if len(got.body) > 300 {
			t.Errorf("the answer is %s", got.body)
		}
	}
	s.do(client(), http.MethodPost, "/sendmessage", with("identity"), strings.NewReader(toAll)).wantSent(t, 0)
	s.do(client(), http.MethodPost, "/sendmessage", with(""), strings.NewReader(toAll)).wantSent(t, 0)
	if n := s.log.Count(`reason=content_encoding peer=127.0.0.1 app=`); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// TestWarnsOfKeysThat1CCannotHold: the message is accepted, for a newer extension
// takes it, and the sender is told.
func TestWarnsOfKeysThat1CCannotHold(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	one, two := s.newApp("one"), s.newApp("two")
	const head = `{"Recipient":{"Type":"all","IbId":"x"},"Message":{"Notification":{"Title":"t"},"Data":`
	for range 3 {
		for _, a := range []string{s.token(one), s.token(two)} {
			got := s.send(a, head+`{"order-id":"1","":"2","c ":"3"}}}`)
			got.wantSent(t, 0)
			if warning := got.header.Get("X-Warning"); !strings.Contains(warning, "Message.Data") ||
				strings.Contains(warning, "order") {
				t.Errorf("the warning is %q", warning)
			}
		}
	}
	for _, data := range []string{`{"Ключ":"1","_2":"2"}`, `{"order-id":""}`, `[]`} {
		if got := s.send(s.token(one), head+data+`}}`); got.status != http.StatusOK ||
			got.header.Get("X-Warning") != "" {
			t.Errorf("%s: %d, warning %q", data, got.status, got.header.Get("X-Warning"))
		}
	}
	if n := s.log.Count("are no names in 1C"); n != 2 || s.log.Count("order-id") > 0 {
		t.Errorf("logged %d times, want once for each app:\n%s", n, s.log)
	}
}

// TestPHPsEmptyMap: json_encode writes [] for it.
func TestPHPsEmptyMap(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	session := s.connect(a, "x", "ann", "")
	s.send(s.token(a), `{"Recipient":{"Type":"all","IbId":"x"},"Message":{"Data":[ ],"Topic":"t"}}`).wantSent(t, 1)
	wantReceived(t, session, `{"topic":"t"}`)
}

// TestADoubleSlashIsNoRedirect: the place it leads to would hold the key.
func TestADoubleSlashIsNoRedirect(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	c := s.raw()
	c.writeHeader("GET //elsewhere/../auth?server_key=x HTTP/1.1", "Host: pns")
	c.read().wantError(t, http.StatusNotFound, "")
}
