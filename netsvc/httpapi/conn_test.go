package httpapi_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// TestARequestBeforeTheRoutesLeavesATrace has what net/http refuses by itself:
// answered in our JSON, counted, and logged once.
func TestARequestBeforeTheRoutesLeavesATrace(t *testing.T) {
	t.Parallel()
	const start1 = "POST /sendmessage HTTP/1.1\r\n"
	tests := []struct {
		name, request string
		status        int
		reason        httpapi.Reason
		says          string
	}{
		{"no Host", start1 + "Content-Length: 2\r\n\r\n{}", 400, httpapi.ReasonNoHost, "Host is missing"},
		{"a Host in Cyrillic", start1 + "Host: сервер-1с:36696\r\n\r\n", 400, httpapi.ReasonBadHost, "xn--"},
		{"two Hosts", start1 + "Host: a\r\nHost: b\r\n\r\n", 400, httpapi.ReasonMalformed, "malformed"},
		{"a long header", start1 + "Host: h\r\nCookie: " + strings.Repeat("a", 20_000) + "\r\n\r\n", 431,
			httpapi.ReasonHeaderTooLarge, "16384"},
		{"an unknown Transfer-Encoding", start1 + "Host: h\r\nTransfer-Encoding: identity\r\n\r\n", 501,
			httpapi.ReasonTransferEncoding, "chunked"},
		{"a doubled Transfer-Encoding", start1 + "Host: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501,
			httpapi.ReasonTransferEncoding, "chunked"},
		{"an unknown Expect", start1 + "Host: h\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", 417,
			httpapi.ReasonExpectation, "Expect"},
		{"another version", "GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, httpapi.ReasonHTTPVersion, "1.1"},
		{"a length that is none", start1 + "Host: h\r\nContent-Length: x\r\n\r\n", 400, httpapi.ReasonMalformed,
			"malformed"},
		{"a blank in a name", start1 + "Host: h\r\nA b: c\r\n\r\n", 400, httpapi.ReasonMalformed, "malformed"},
		{"no HTTP at all", "hello\r\n\r\n", 400, httpapi.ReasonMalformed, "malformed"},
		{"a control character in the URL", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400, httpapi.ReasonMalformed,
			"malformed"},
	}
	certificate, _ := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(time.Hour))
	for scheme, o := range map[string]httpapi.Options{"HTTP": {}, "HTTPS": {Certificate: certificate}} {
		s := start(t, o, nil)
		for _, tt := range tests {
			t.Run(scheme+" "+tt.name, func(t *testing.T) {
				before := s.http.Stats().Refused[tt.reason]
				for range 3 {
					c := s.raw()
					c.write(tt.request)
					c.read().wantError(t, tt.status, tt.says)
					c.wantClosed()
				}
				if got := s.http.Stats().Refused[tt.reason] - before; got != 3 {
					t.Errorf("counted %d times, want 3", got)
				}
				if s.http.Stats().Status[tt.status] < 3 {
					t.Errorf("the status is not counted: %v", s.http.Stats().Status)
				}
				if n := s.log.Count(fmt.Sprintf(`msg="request refused" reason=%s peer=127.0.0.1`, tt.reason)); n != 1 {
					t.Errorf("logged %d times, want once:\n%s", n, s.log)
				}
			})
		}
	}
}

// TestTheAnswerToALongRequestArrives: what is still coming is read before the
// connection is closed, or the sender would see a reset and no answer.
func TestTheAnswerToALongRequestArrives(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	body := strings.Repeat("x", 8<<20)
	for name, tt := range map[string]struct {
		lines  []string
		status int
	}{
		"no Host":           {[]string{"POST /sendmessage HTTP/1.1", length(body)}, http.StatusBadRequest},
		"too large":         {sendHeader(token, length(body)), http.StatusRequestEntityTooLarge},
		"too large chunked": {sendHeader(token, "Transfer-Encoding: chunked"), http.StatusRequestEntityTooLarge},
		"unauthorised":      {sendHeader("nonsense", length(body)), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.raw()
			c.writeHeader(tt.lines...)
			if strings.Contains(name, "chunked") {
				c.write(fmt.Sprintf("%x\r\n", len(body)))
			}
			c.write(body)
			c.read().wantError(t, tt.status, "")
		})
	}
}

func TestHTTPSOnTheHTTPPortIsToldInAPlainSentence(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	for range 2 {
		conn := &recorder{Conn: s.raw().Conn}
		if err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
			t.Fatal("a handshake with an HTTP port")
		}
		conn.Close()
		if got := conn.read.String(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			// The client may have stopped reading after five bytes.
			if !strings.HasPrefix("HTTP/1.1 400 ", got) || got == "" {
				t.Errorf("the client read %q", got)
			}
		}
	}
	c := s.raw()
	c.write("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	if all, err := io.ReadAll(c.in); err != nil ||
		!strings.Contains(string(all), "this port speaks HTTP, and HTTPS was spoken to it") {
		t.Errorf("got %q, %v", all, err)
	}
	eventually(t, "three refusals", func() bool { return s.http.Stats().Refused[httpapi.ReasonTLSOnHTTP] == 3 })
	if n := s.log.Count("reason=https_on_http peer=127.0.0.1"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, s.log)
	}
}

// recorder keeps what is read.
type recorder struct {
	net.Conn
	read strings.Builder
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.read.Write(b[:n])
	return n, err
}

func TestAHeaderThatDoesNotEndIsRefusedInTime(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, within(2*time.Second, patience, short)) // what is written has to come before
	c := s.raw()
	c.write("POST /sendmessage HTTP/1.1\r\nHost: pns\r\nX-")
	c.read().wantError(t, http.StatusRequestTimeout, "header")
	c.wantClosed()
	if got := s.http.Stats().Refused[httpapi.ReasonSlowHeader]; got != 1 {
		t.Errorf("counted %d times", got)
	}
}

// TestABalancerIsToldHowTheNodeIs: as it is by itself, and as a part of its cluster.
func TestABalancerIsToldHowTheNodeIs(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{Health: func(asPart bool) (string, bool) { return "cut_off", !asPart }}, nil)
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/healthz?cluster": http.StatusServiceUnavailable,
		"/": http.StatusOK, "/healthz?x=cluster": http.StatusOK} {
		got := s.do(tlsClient(), http.MethodGet, path, nil, nil)
		if got.status != want || path != "/" && got.body != `{"status":"cut_off"}` {
			t.Errorf("%s is answered with %d %q", path, got.status, got.body)
		}
	}
}

// TestHealthChecksAreNoRefusals: a balancer looks every second, and is no sender.
func TestHealthChecksAreNoRefusals(t *testing.T) {
	t.Parallel()
	certificate, _ := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(time.Hour))
	for scheme, o := range map[string]httpapi.Options{"HTTP": {}, "HTTPS": {Certificate: certificate}} {
		t.Run(scheme, func(t *testing.T) {
			s := start(t, o, nil)
			for _, path := range []string{"/", "/healthz", "/HealthZ/", "//"} {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					want := ""
					if method == http.MethodGet && strings.Contains(strings.ToLower(path), "health") {
						want = `{"status":"ok"}`
					}
					if got := s.do(tlsClient(), method, path, nil, nil); got.status != http.StatusOK ||
						got.body != want {
						t.Errorf("%s %s is answered with %d %q", method, path, got.status, got.body)
					}
				}
			}
			for range 2 {
				conn, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
			}
			eventually(t, "ten health checks", func() bool { return s.http.Stats().HealthChecks == 10 })
			if st := s.http.Stats(); len(st.Refused) > 0 || len(st.Status) > 0 || st.TLSHandshakes > 0 ||
				s.log.Count("level=WARN") > 0 {
				t.Errorf("they are counted as requests too, or logged: %+v\n%s", st, s.log)
			}
			// A sender that lost its way is refused as before.
			s.do(tlsClient(), http.MethodGet, "/", bearer("x"), nil).wantError(t, http.StatusNotFound, "")
			s.do(tlsClient(), http.MethodPost, "/healthz", nil, nil).wantError(t, http.StatusNotFound, "")
		})
	}
}
