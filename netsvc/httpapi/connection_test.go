package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// short is a time-out that a test waits for; what is to come within one has
// patience instead, however busy the machine is.
const short = 50 * time.Millisecond

// within makes a server with time-outs of its own: for a header, for a body, and for
// the rest of a body that was refused.
func within(header, body, drain time.Duration) func(httpapi.Options) *httpapi.Server {
	return func(o httpapi.Options) *httpapi.Server { return httpapi.NewWithTimeouts(o, header, body, drain) }
}

func sendHeader(token string, more ...string) []string {
	return append([]string{"POST /sendmessage HTTP/1.1", "Host: pns", "Authorization: Bearer " + token}, more...)
}

func length(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }

func TestChecksTheTokenBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	s.newApp("one")
	for name, lines := range map[string][]string{
		"with a length": {"Content-Length: 100000"},
		"chunked":       {"Transfer-Encoding: chunked"},
		"endless":       {"Content-Length: 9000000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.raw()
			c.writeHeader(sendHeader("nonsense", lines...)...)
			c.read().wantError(t, http.StatusUnauthorized, "token")
		})
	}
}

func TestRefusesByContentLengthBeforeTheBodyArrives(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	c := s.raw()
	c.writeHeader(sendHeader(token, "Content-Length: 1048577")...)
	c.read().wantError(t, http.StatusRequestEntityTooLarge, "1048576")
}

func TestARefusedSenderMayGoOnWithTheSameConnection(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	c := s.raw()
	big := strings.Repeat("x", 1<<20)
	for range 3 {
		c.writeHeader(sendHeader("nonsense", length(big))...)
		c.read().wantError(t, http.StatusUnauthorized, "")
		c.write(big)
		c.writeHeader(sendHeader(token, length(toAll))...)
		c.write(toAll)
		c.read().wantSent(t, 0)
		c.writeHeader(sendHeader(token, "Content-Length: 4")...)
		c.write("oops")
		c.read().wantError(t, http.StatusBadRequest, "body")
		c.writeHeader("GET /auth HTTP/1.1", "Host: pns")
		c.read().wantError(t, http.StatusUnauthorized, "")
	}
}

func TestNeverTakesTheRestOfARefusedBodyForARequest(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, within(patience, patience, short))
	c := s.raw()
	c.writeHeader(sendHeader("nonsense", "Content-Length: 1000")...)
	c.read().wantError(t, http.StatusUnauthorized, "")
	c.wantClosed() // the body did not arrive in time
}

func TestAnswersASenderThatSendsTheWholeBodyFirst(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	for _, size := range []int{300 << 10, 3 << 20} {
		body := strings.Repeat("x", size)
		for status, lines := range map[int][]string{
			http.StatusUnauthorized:          sendHeader("nonsense", length(body)),
			http.StatusRequestEntityTooLarge: sendHeader(token, length(strings.Repeat("x", 3<<20))),
		} {
			if status == http.StatusRequestEntityTooLarge {
				body = strings.Repeat("x", 3<<20)
			}
			c := s.raw()
			c.writeHeader(lines...)
			c.write(body) // fails if the connection is reset meanwhile
			c.read().wantError(t, status, "")
		}
	}
}

func TestExpect100Continue(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, within(patience, patience, short))
	token := s.token(s.newApp("one"))
	t.Run("is told to continue", func(t *testing.T) {
		c := s.raw()
		c.writeHeader(sendHeader(token, length(toAll), "Expect: 100-continue")...)
		line, err := c.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
			t.Fatalf("got %q, %v; want 100 Continue", line, err)
		}
		c.in.ReadString('\n')
		c.write(toAll)
		c.read().wantSent(t, 0)
	})
	for status, lines := range map[int][]string{
		http.StatusUnauthorized:          sendHeader("nonsense", length(toAll), "Expect: 100-continue"),
		http.StatusRequestEntityTooLarge: sendHeader(token, "Content-Length: 9999999", "Expect: 100-continue"),
		http.StatusNotFound: {"POST /elsewhere HTTP/1.1", "Host: pns", length(toAll),
			"Expect: 100-continue"},
		http.StatusMethodNotAllowed: {"POST /auth HTTP/1.1", "Host: pns", length(toAll), "Expect: 100-continue"},
	} {
		t.Run(fmt.Sprintf("is refused with %d and no 100 before", status), func(t *testing.T) {
			c := s.raw()
			c.writeHeader(lines...)
			c.read().wantError(t, status, "")
			c.wantClosed()
		})
	}
}

func TestServesHTTP10(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	token := s.token(a)
	t.Run("auth", func(t *testing.T) {
		c := s.raw()
		c.writeHeader("GET /auth?server_key=" + a.ServerKeys[0].Key + " HTTP/1.0")
		if got := c.read(); got.status != http.StatusOK || !strings.Contains(got.body, "access_token") {
			t.Errorf("got %d %s", got.status, got.body)
		}
		c.wantClosed()
	})
	t.Run("sendmessage", func(t *testing.T) {
		c := s.raw()
		c.writeHeader("POST /sendmessage HTTP/1.0", "Authorization: Bearer "+token, length(toAll))
		c.write(toAll)
		c.read().wantSent(t, 0)
		c.wantClosed()
	})
	t.Run("keep-alive", func(t *testing.T) {
		c := s.raw()
		for range 2 {
			c.writeHeader("POST /sendmessage HTTP/1.0", "Connection: keep-alive", "Authorization: Bearer "+token,
				length(toAll))
			c.write(toAll)
			c.read().wantSent(t, 0)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c := s.raw()
		c.writeHeader("POST /sendmessage HTTP/1.0", length(toAll))
		c.write(toAll)
		c.read().wantError(t, http.StatusUnauthorized, "")
		c.wantClosed()
	})
}

func TestKeepsAConnectionForManyRequests(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	c := s.raw()
	for range 10 {
		c.writeHeader(sendHeader(token, length(toAll))...)
		c.write(toAll)
	}
	for range 10 { // all ten were sent ahead
		c.read().wantSent(t, 0)
	}
}

func TestTheHeaderMayBe16KiBLong(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	header := func(size int) string {
		h := strings.Join(sendHeader(token, length(toAll), "X-Padding: "), "\r\n")
		return h + strings.Repeat("x", size-len(h)-4) + "\r\n\r\n"
	}
	t.Run("16384 bytes", func(t *testing.T) {
		c := s.raw()
		c.write(header(httpapi.MaxHeaderBytes))
		c.write(toAll)
		c.read().wantSent(t, 0)
	})
	t.Run("one more", func(t *testing.T) {
		c := s.raw()
		c.write(header(httpapi.MaxHeaderBytes + 1))
		if got := c.read(); got.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d, want 431", got.status)
		}
		c.wantClosed()
	})
	t.Run("a request line alone", func(t *testing.T) {
		c := s.raw()
		c.write("GET /auth?server_key=" + strings.Repeat("x", 20<<10))
		if got := c.read(); got.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d, want 431", got.status)
		}
	})
}

func TestDoesNotWaitForASlowSender(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, within(2*time.Second, patience, patience))
	t.Run("silent after connecting", func(t *testing.T) { s.raw().wantClosed() })
	t.Run("half a header", func(t *testing.T) {
		c := s.raw()
		c.write("POST /sendmessage HTTP/1.1\r\nHost: pns\r\nX-")
		if _, err := io.ReadAll(c.in); err != nil { // net/http may say 400 before
			t.Errorf("want the end of the connection, got %v", err)
		}
	})
	// The time for a body begins with that for the header, which must arrive in it.
	s = start(t, httpapi.Options{}, within(2*time.Second, short, short))
	token := s.token(s.newApp("one"))
	for name, line := range map[string]string{"half a body": length(toAll),
		"a chunk missing": "Transfer-Encoding: chunked"} {
		t.Run(name, func(t *testing.T) {
			c := s.raw()
			c.writeHeader(sendHeader(token, line)...)
			c.write("5\r\n")
			c.read().wantError(t, http.StatusRequestTimeout, "too long")
			c.wantClosed()
		})
	}
}

func TestRefusesABrokenBody(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	t.Run("ended early", func(t *testing.T) {
		c := s.raw()
		c.writeHeader(sendHeader(token, length(toAll))...)
		c.write(toAll[:10])
		c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		c.read().wantError(t, http.StatusBadRequest, "ended early")
	})
	t.Run("malformed chunks", func(t *testing.T) {
		c := s.raw()
		c.writeHeader(sendHeader(token, "Transfer-Encoding: chunked")...)
		c.write("zz\r\nGET /auth HTTP/1.1\r\nHost: pns\r\n\r\n")
		c.read().wantError(t, http.StatusBadRequest, "malformed")
		c.wantClosed()
	})
}

func TestReadsABodyThatComesInPieces(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	token, session := s.token(a), s.connect(a, "ib", "ann", "")
	reader, writer := io.Pipe()
	go func() {
		for _, b := range []byte("\ufeff" + toAll) {
			writer.Write([]byte{b})
		}
		writer.Close()
	}()
	s.do(client(), http.MethodPost, "/sendmessage", bearer(token), reader).wantSent(t, 1)
	wantReceived(t, session, `{"topic":"t"}`)
}
