package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// quietly is a server without a log.
func quietly(o httpapi.Options) *httpapi.Server {
	o.Logger = slog.New(slog.DiscardHandler)
	return httpapi.New(o)
}

// BenchmarkSendMessage is one request over a kept connection, from the sender's
// view: handler=sendmessage does all there is to do for it, with no session and with
// one that gets the message; handler=json only reads the body with encoding/json.
// The first is to take at most 1.3 times as long as the last.
func BenchmarkSendMessage(b *testing.B) {
	type request struct {
		Recipient struct{ Type, IbId, UserId, UserGroup string }
		Message   struct {
			Topic        string
			Notification struct {
				Title, Body, Icon, Action string
				Important                 bool
			}
			Data map[string]string
		}
	}
	parsing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var parsed request
		if err := json.NewDecoder(r.Body).Decode(&parsed); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	b.Cleanup(parsing.Close)

	for _, size := range []int{200, 2 << 10, 64 << 10} {
		s := start(b, httpapi.Options{}, quietly)
		a := s.newApp("one")
		token := s.token(a)
		body := func(ib string) string {
			return fmt.Sprintf(`{"Recipient":{"Type":"all","IbId":%q,"UserId":null,"UserGroup":null},"Message":{"Topic":"заказы",`+
				`"Notification":{"Title":"Новый заказ","Body":%q,"Icon":null,"Action":null,"Important":false},"Data":{"Номер":"0001"}}}`,
				ib, strings.Repeat("Поступил заказ. ", size/30))
		}
		s.discard(a, "ib")
		for _, handler := range []struct{ name, url, ib string }{
			{"json", parsing.URL, "nowhere"},
			{"sendmessage", s.url, "nowhere"},
			{"sendmessage+session", s.url, "ib"},
		} {
			b.Run(fmt.Sprintf("handler=%s/size=%d", handler.name, size), func(b *testing.B) {
				post(b, handler.url+"/sendmessage", token, body(handler.ib))
			})
		}
	}
}

// discard is a session that throws away what it gets: what a client does with a
// frame is not the service's time.
func (s *service) discard(a *app.App, ib string) {
	s.t.Helper()
	key, err := wire.ParseClientKey(a.ClientKeys[0].Key)
	if err != nil {
		s.t.Fatal(err)
	}
	packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: a.ID, IbID: ib, UserID: "ann"}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.sessions)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(packet); err != nil {
		s.t.Fatal(err)
	}
	go io.Copy(io.Discard, conn)
	eventually(s.t, "the session to be registered", func() bool {
		sessions, _ := s.hub.AppSessions(a.ID)
		return sessions == 1
	})
}

// post sends the body b.N times over one connection.
func post(b *testing.B, url, token, body string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header["Authorization"] = []string{"Bearer " + token}
		finish(b, c, r)
	}
}

func finish(b *testing.B, c *http.Client, r *http.Request) {
	response, err := c.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		b.Fatalf("status %d", response.StatusCode)
	}
}

// BenchmarkAuth is one authorisation over a kept connection.
func BenchmarkAuth(b *testing.B) {
	s := start(b, httpapi.Options{}, quietly)
	url := s.url + "/auth?server_key=" + s.newApp("one").ServerKeys[0].Key
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		finish(b, c, r)
	}
}

// BenchmarkHandler is a request without a connection: what the package itself
// costs.
func BenchmarkHandler(b *testing.B) {
	s := start(b, httpapi.Options{}, quietly)
	a := s.newApp("one")
	header := bearer(s.token(a))
	for _, request := range []struct{ name, method, target, body string }{
		{"auth", http.MethodGet, "/auth?server_key=" + a.ServerKeys[0].Key, ""},
		{"sendmessage", http.MethodPost, "/sendmessage", toAll},
	} {
		b.Run("request="+request.name, func(b *testing.B) {
			w := httptest.NewRecorder()
			w.Body = nil
			r := httptest.NewRequest(request.method, request.target, nil)
			r.Header = header
			body := strings.NewReader(request.body)
			r.Body, r.ContentLength = io.NopCloser(body), int64(len(request.body))
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(request.body)
				s.http.Handler().ServeHTTP(w, r)
			}
			if w.Code != http.StatusOK {
				b.Fatalf("status %d", w.Code)
			}
		})
	}
}
